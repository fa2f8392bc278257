/**
 * A session of the server: one statement at a time, in the order in which they were sent, with the statement and idle
 * timeouts of the worker's connections, and its transaction.
 *
 * Holds always: one that ends rolls back and frees its locks, and answers nothing any more.
 */
import type { Waiting } from './postgres-locks.ts';
import type { PostgresModel, Transaction } from './postgres-model.ts';
import { type Answer, failed, type Statement } from './postgres-protocol.ts';
import { execute } from './postgres-statements.ts';
import type { Timer } from './scheduler.ts';

/** As connection.ts asks for them. */
const STATEMENT_MS_MAX = 10_000;
const IDLE_IN_TRANSACTION_MS_MAX = 15_000;

interface Request {
  readonly statement: Statement;
  readonly answer: (answer: Answer) => void;
}

export class Session {
  readonly server: PostgresModel;
  readonly worker: string;
  transaction: Transaction | undefined;
  waiting: Waiting | undefined;
  /** Told when the server ends the session by itself. */
  onClosed: () => void = () => {};
  isOpen = true;
  readonly #requests: Request[] = [];
  #isBusy = false;
  #idleTimer: Timer | undefined;

  constructor(server: PostgresModel, worker: string) {
    this.server = server;
    this.worker = worker;
    server.sessions.add(this);
  }

  request(statement: Statement, answer: (answer: Answer) => void): void {
    if (!this.isOpen) return;
    this.#requests.push({ statement, answer });
    this.#next();
  }

  /** Ends it at once: a transaction that is open is rolled back. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#requests.length = 0;
    this.#idleTimer?.cancel();
    this.server.sessions.delete(this);
    this.end();
    this.onClosed();
  }

  /** Ends it when what was already sent has been done. */
  closeAfterRequests(): void {
    if (this.#isBusy || this.#requests.length > 0) this.request({ name: 'close', values: [] }, () => {});
    else this.close();
  }

  /** The transaction that is open. */
  own(): Transaction {
    if (this.transaction === undefined) throw new Error('a statement outside of a transaction');
    return this.transaction;
  }

  begin(): void {
    const { worker } = this;
    this.transaction = { worker, keys: new Map(), fences: new Map(), effects: [], locks: new Set(), isFailed: false };
  }

  /** Ends the transaction, however: its locks are free. */
  end(): void {
    const { transaction } = this;
    this.transaction = undefined;
    this.waiting = undefined;
    for (const lock of transaction?.locks ?? []) this.server.locks.free(lock);
  }

  #next(): void {
    const request = this.#requests[0];
    if (this.#isBusy || request === undefined) return;
    this.#requests.shift();
    this.#isBusy = true;
    this.#idleTimer?.cancel();
    const { scheduler } = this.server;
    let isDone = false;
    let cancelled: Timer | undefined;
    const done = (answer: Answer) => {
      if (isDone || !this.isOpen) return;
      isDone = true;
      cancelled?.cancel();
      this.waiting = undefined;
      if ('error' in answer && this.transaction !== undefined) this.transaction.isFailed = true;
      this.#isBusy = false;
      request.answer(answer);
      if (this.transaction !== undefined) {
        this.#idleTimer = scheduler.after(IDLE_IN_TRANSACTION_MS_MAX, () => this.close());
      }
      this.#next();
    };
    cancelled = scheduler.after(STATEMENT_MS_MAX, () =>
      done(failed('57014', 'canceling statement due to statement timeout')),
    );
    if (request.statement.name === 'close') this.close();
    else execute(this, request.statement, done);
  }
}
