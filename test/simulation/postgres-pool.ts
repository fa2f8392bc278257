/**
 * pg's pool as one worker sees it, with the network between it and the server: connections are refused, break before,
 * during or after a statement, and swallow packets; a commit takes effect and its answer is lost, or takes effect long
 * after the client gave up.
 *
 * Holds always, as in pg: queries on a connection are answered in their order; a query ends by its timeout; at most
 * four connections, and who waits for one waits for five seconds at most.
 */
import type { Connections } from '../../workers/store/renewed-pool.ts';
import type { Configuration } from './configuration.ts';
import { DATABASE_FAULTS, type DatabaseFault } from './faults.ts';
import type { PostgresModel, Transaction } from './postgres-model.ts';
import { type Answer, failed, type Statement } from './postgres-protocol.ts';
import { Session } from './postgres-session.ts';
import type { Fate, Incarnation } from './process.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** As connection.ts asks for them. */
const CONNECTIONS_MAX = 4;
const CONNECT_MS_MAX = 5_000;
const QUERY_MS_MAX = 12_000;

/** Transient errors, by operation: none of them says anything about a message. */
export const SERVER_ERROR = 'an error of the server';
const SERVER_STATES = ['40P01', '40001', '55P03', '57014', '57P01', '53200', 'XX000'];
const CONNECT_STATES = ['53300', '57P03', '28000'];

type Query =
  | string
  | { readonly name?: string; readonly text: string; readonly values?: unknown[]; readonly query_timeout?: number };

export interface DatabaseSurroundings {
  readonly scheduler: Scheduler;
  readonly configuration: Configuration;
  readonly random: Random;
  readonly fate: Fate;
  readonly server: PostgresModel;
  readonly count: (what: string) => void;
  /** Told when a worker sends a commit, with what it would commit. */
  readonly commitSent: (process: Incarnation, transaction: Transaction) => void;
  /** Told when a worker asks for the keys of a batch. */
  readonly keysAsked: (process: Incarnation, messageIds: readonly string[]) => void;
}

/** The pools that one worker has opened: a new one after every sign of an outage. */
export class PoolModels {
  readonly #around: DatabaseSurroundings;
  readonly #process: Incarnation;
  readonly #pools: PoolModel[] = [];

  constructor(around: DatabaseSurroundings, process: Incarnation) {
    this.#around = around;
    this.#process = process;
  }

  open(): Connections {
    const pool = new PoolModel(this.#around, this.#process);
    this.#pools.push(pool);
    return pool.asPool;
  }

  /** The process is gone: the server hears of it soon, or by its own timeouts. */
  abandon(): void {
    for (const pool of this.#pools) pool.abandon();
  }
}

class PoolModel {
  readonly #around: DatabaseSurroundings;
  readonly #process: Incarnation;
  readonly #idle: ConnectionModel[] = [];
  readonly #waiting: { readonly give: (connection: ConnectionModel) => void }[] = [];
  readonly #open = new Set<ConnectionModel>();
  #opening = 0;
  #isEnded = false;

  constructor(around: DatabaseSurroundings, process: Incarnation) {
    this.#around = around;
    this.#process = process;
  }

  /** The store uses `connect`, `query`, `end` and `release` alone: the rest of pg's pool is not there. */
  get asPool(): Connections {
    return this as unknown as Connections;
  }

  /** Idle connections are closed, and those in use when they are given back. */
  async end(): Promise<void> {
    this.#isEnded = true;
    for (const connection of this.#idle.splice(0)) connection.end();
  }

  get connections(): number {
    return this.#open.size + this.#opening;
  }

  connect(): Promise<ConnectionModel> {
    const { scheduler } = this.#around;
    return new Promise((resolve, reject) => {
      const idle = this.#idle.pop();
      if (idle !== undefined) return resolve(idle);
      let isOver = false;
      const timer = scheduler.deliver(this.#process, CONNECT_MS_MAX, () => {
        isOver = true;
        this.#waiting.splice(0, this.#waiting.length, ...this.#waiting.filter((other) => other !== waiter));
        reject(new Error('timeout exceeded when trying to connect'));
      });
      const waiter = {
        give: (connection: ConnectionModel) => {
          timer.cancel();
          resolve(connection);
        },
      };
      if (this.connections >= CONNECTIONS_MAX) return void this.#waiting.push(waiter);
      this.#openOne(
        (connection) => {
          if (isOver) return connection.end();
          waiter.give(connection);
        },
        (error) => {
          if (isOver) return;
          timer.cancel();
          this.#process.refusedSinceMs ??= scheduler.nowMs;
          reject(error);
        },
      );
    });
  }

  async query(query: Query): Promise<{ rows: readonly unknown[] }> {
    const { load } = this.#process;
    const isReason = statementOf(query).name === 'insert-rejection';
    if (isReason) load.reasonBegan();
    try {
      return await this.#queryAlone(query);
    } finally {
      if (isReason) load.reasons -= 1;
    }
  }

  async #queryAlone(query: Query): Promise<{ rows: readonly unknown[] }> {
    const connection = await this.connect();
    try {
      const result = await connection.query(query);
      connection.release();
      return result;
    } catch (error) {
      connection.release(true);
      throw error;
    }
  }

  /** The process is gone: the server hears of it soon, or by its own timeouts. */
  abandon(): void {
    const { random } = this.#around;
    for (const connection of this.#open) connection.abandon(random.chance(0.5));
  }

  #openOne(opened: (connection: ConnectionModel) => void, refused: (error: Error) => void): void {
    const { random, fate, server, count, scheduler, configuration } = this.#around;
    this.#opening += 1;
    const isFaulty = scheduler.nowMs < configuration.faultsEndMs && random.chance(configuration.databaseFaults);
    const kind = isFaulty ? random.pick(['refused', 'swallowed', 'error'] as const) : 'opened';
    if (isFaulty) this.#process.faultsAtMs.push(scheduler.nowMs);
    if (isFaulty) count(`database connect: ${kind}`);
    const afterMs = kind === 'swallowed' ? CONNECT_MS_MAX + 1 : random.uniform(1, 20);
    fate.answer(this.#process, 'connect', afterMs, () => {
      this.#opening -= 1;
      if (kind === 'error') refused(failed(random.pick(CONNECT_STATES), 'the server accepts nobody').error);
      else if (kind !== 'opened' || server.health === 'refusing') refused(new Error('connect ECONNREFUSED'));
      else {
        const connection = new ConnectionModel(
          this.#around,
          this.#process,
          (self) => this.#ended(self),
          (self) => this.#released(self),
        );
        this.#open.add(connection);
        opened(connection);
      }
    });
  }

  #released(connection: ConnectionModel): void {
    if (this.#isEnded) {
      connection.end();
      return;
    }
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#idle.push(connection);
    else waiter.give(connection);
  }

  /** A place is free: who waits gets a new connection. */
  #ended(connection: ConnectionModel): void {
    if (!this.#open.delete(connection)) return;
    this.#idle.splice(0, this.#idle.length, ...this.#idle.filter((other) => other !== connection));
    if (this.#waiting.length === 0) return;
    this.#openOne(
      (fresh) => this.#released(fresh),
      // Whoever waits hears of it by the timeout.
      () => {},
    );
  }
}

interface Pending {
  readonly resolve: (result: { rows: readonly unknown[] }) => void;
  readonly reject: (error: Error) => void;
  isOver: boolean;
}

class ConnectionModel {
  readonly #around: DatabaseSurroundings;
  readonly #process: Incarnation;
  readonly #session: Session;
  readonly #onEnd: (self: ConnectionModel) => void;
  readonly #onRelease: (self: ConnectionModel) => void;
  readonly #pending = new Set<Pending>();
  /** Packets of one connection arrive in their order. */
  #lastArrivalMs = 0;
  #lastAnswerMs = 0;
  #isBroken = false;
  /** The network swallows what either side sends. */
  #isSwallowed = false;
  /** From a `begin` on, until it is given back. */
  #isInBatch = false;
  /** As the last answer told it: idle, in a transaction, or in one that failed. */
  #transactionStatus: 'I' | 'T' | 'E' = 'I';

  constructor(
    around: DatabaseSurroundings,
    process: Incarnation,
    onEnd: (self: ConnectionModel) => void,
    onRelease: (self: ConnectionModel) => void,
  ) {
    this.#around = around;
    this.#process = process;
    this.#session = new Session(around.server, process.name);
    this.#onEnd = onEnd;
    this.#onRelease = onRelease;
    this.#session.onClosed = () =>
      this.#answered('connection closed', around.random.uniform(1, 20), () => this.#break());
  }

  query(query: Query): Promise<{ rows: readonly unknown[] }> {
    const { scheduler, fate } = this.#around;
    return new Promise((resolve, reject) => {
      const statement = statementOf(query);
      if (this.#isBroken) {
        const error = new Error('Client has encountered a connection error and is not queryable');
        return void fate.answer(this.#process, 'broken connection', 0, () => reject(error));
      }
      const pending: Pending = { resolve, reject, isOver: false };
      this.#pending.add(pending);
      const timeoutMs = typeof query === 'string' ? QUERY_MS_MAX : (query.query_timeout ?? QUERY_MS_MAX);
      scheduler.deliver(this.#process, timeoutMs, () =>
        this.#settle(pending, () => reject(new Error('Query read timeout'))),
      );
      this.#note(statement);
      if (statement.name === 'commit' && this.#session.transaction !== undefined) {
        this.#around.commitSent(this.#process, this.#session.transaction);
      }
      this.#send(statement, pending);
    });
  }

  getTransactionStatus(): 'I' | 'T' | 'E' {
    return this.#transactionStatus;
  }

  release(destroy = false): void {
    if (this.#isInBatch) this.#process.load.transactions -= 1;
    this.#isInBatch = false;
    if (destroy || this.#isBroken) this.end();
    else this.#onRelease(this);
  }

  end(): void {
    const { scheduler } = this.#around;
    this.#isBroken = true;
    this.#onEnd(this);
    if (!this.#isSwallowed) scheduler.at(this.#arrivalMs(), () => this.#session.closeAfterRequests());
    else scheduler.after(this.#lingerMs(), () => this.#session.close());
  }

  abandon(isNoticed: boolean): void {
    const { scheduler } = this.#around;
    if (isNoticed) scheduler.at(this.#arrivalMs(), () => this.#session.closeAfterRequests());
    else scheduler.after(this.#lingerMs(), () => this.#session.close());
  }

  #note({ name, values }: Statement): void {
    if (name.startsWith('begin') && !this.#isInBatch) {
      this.#isInBatch = true;
      this.#process.load.transactionBegan();
    } else if (name === 'insert-inbox-keys') {
      const [, , , messageIds] = values as [string, string[], Buffer[], string[]];
      this.#around.keysAsked(this.#process, messageIds);
    }
  }

  #send(statement: Statement, pending: Pending): void {
    const { scheduler, random } = this.#around;
    const fault = this.#draw(statement);
    scheduler.trace(`${this.#process.name} ${statement.name} ${fault}`);
    if (fault === 'connection lost before it arrives') {
      scheduler.after(this.#lingerMs(), () => this.#session.close());
      this.#answered('connection lost', random.uniform(1, 20), () => this.#break());
      return;
    }
    if (fault === 'answer swallowed') this.#isSwallowed = true;
    const lateMs = fault === 'arrives late' ? random.uniform(1_000, 30_000) : 0;
    const arrivalMs = this.#arrivalMs() + lateMs;
    this.#lastArrivalMs = arrivalMs;
    scheduler.at(arrivalMs, () => this.#arrive(statement, pending, fault));
  }

  #arrive(statement: Statement, pending: Pending, fault: DatabaseFault): void {
    const { scheduler, random, configuration } = this.#around;
    const answer = (result: Answer) => {
      const { transaction } = this.#session;
      const status = transaction === undefined ? 'I' : transaction.isFailed ? 'E' : 'T';
      if (fault === 'connection lost after its effect') {
        scheduler.after(0, () => this.#session.close());
        return;
      }
      if (this.#isSwallowed) return;
      this.#lastAnswerMs = Math.max(
        this.#lastAnswerMs,
        scheduler.nowMs + random.uniform(0.2, configuration.statementMsMax),
      );
      this.#answered(statement.name, this.#lastAnswerMs - scheduler.nowMs, () =>
        this.#settle(pending, () => {
          this.#transactionStatus = status;
          if ('error' in result) return pending.reject(result.error);
          this.#process.refusedSinceMs = undefined;
          pending.resolve(result);
        }),
      );
    };
    if (fault === 'error of the server') {
      const state = random.pick(SERVER_STATES);
      if (this.#session.transaction !== undefined) this.#session.transaction.isFailed = true;
      answer(failed(state, SERVER_ERROR));
      if (state === '57P01') this.#session.close();
      return;
    }
    this.#session.request(statement, answer);
  }

  #settle(pending: Pending, settle: () => void): void {
    if (pending.isOver) return;
    pending.isOver = true;
    this.#pending.delete(pending);
    settle();
  }

  #answered(what: string, afterMs: number, ring: () => void): void {
    if (this.#isSwallowed && what.startsWith('connection')) return;
    this.#around.fate.answer(this.#process, what, afterMs, ring);
  }

  #break(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#onEnd(this);
    for (const pending of [...this.#pending]) {
      this.#settle(pending, () => pending.reject(new Error('Connection terminated unexpectedly')));
    }
  }

  #arrivalMs(): number {
    const { scheduler, random, configuration } = this.#around;
    return Math.max(this.#lastArrivalMs, scheduler.nowMs + random.uniform(0.2, configuration.statementMsMax));
  }

  /** How long the server keeps a session whose client is gone without a word. */
  #lingerMs(): number {
    return this.#around.random.uniform(0, 15_000);
  }

  #draw({ name }: Statement): DatabaseFault {
    const { scheduler, configuration, random, count } = this.#around;
    if (scheduler.nowMs >= configuration.faultsEndMs || !random.chance(configuration.databaseFaults)) return 'none';
    const fault = random.pick(DATABASE_FAULTS);
    count(`database ${name.split(' ')[0]}: ${fault}`);
    this.#process.faultsAtMs.push(scheduler.nowMs);
    return fault;
  }
}

function statementOf(query: Query): Statement {
  return typeof query === 'string'
    ? { name: query, values: [] }
    : { name: query.name ?? query.text, values: query.values ?? [] };
}
