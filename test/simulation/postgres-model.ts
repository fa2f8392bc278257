/**
 * PostgreSQL at the level of the statements that the store and the simulated worker run: read committed, keys locked
 * one by one until the transaction ends, the lock and idle timeouts of the worker's connections, and a commit log.
 *
 * It is the server: it knows no network (postgres-pool.ts breaks connections).
 *
 * Holds always: what a transaction wrote is seen by others when its commit took effect, and never otherwise; a session
 * that ends rolls back and frees its locks.
 */
import { DatabaseError } from 'pg';
import type { Random } from './random.ts';
import type { Scheduler, Timer } from './scheduler.ts';
import { REFUSED_STATES, type Work } from './workload.ts';

/** As connection.ts asks for them. */
const LOCK_MS_MAX = 5_000;
const STATEMENT_MS_MAX = 10_000;
const IDLE_IN_TRANSACTION_MS_MAX = 15_000;
/** Keys are locked one by one, and now and then another session comes in between. */
const PAUSE_BETWEEN_KEYS = { chance: 0.15, ms: 20 };
/** PostgreSQL looks for a deadlock after this long. */
const DEADLOCK_MS = 1_000;

export interface InboxRow {
  readonly hash: Buffer;
  readonly messageId: string;
}

export interface Fence {
  readonly sequence: bigint;
  readonly haltedBy: string | null;
}

export interface Transaction {
  readonly worker: string;
  readonly keys: Map<string, InboxRow>;
  readonly fences: Map<string, Fence>;
  readonly effects: Work[];
  readonly locks: Set<string>;
  isFailed: boolean;
  /** Messages whose lease had ended when the commit was sent; the judge fills it. */
  readonly late: Set<string>;
}

export interface Statement {
  readonly name: string;
  readonly values: readonly unknown[];
}

export type Answer =
  /** PostgreSQL's own word for what it did; read of a commit alone. */
  { readonly rows: readonly unknown[]; readonly command?: string } | { readonly error: DatabaseError };

/** What the judge is told. */
export interface DatabaseWitness {
  committed(transaction: Transaction): void;
  deadlock(transaction: Transaction): void;
  lockTimeout(transaction: Transaction): void;
}

/** What the server is able to do at the moment. */
export type Health = 'well' | 'refusing' | 'read-only' | 'full';

export class PostgresModel {
  health: Health = 'well';
  readonly inbox = new Map<string, InboxRow>();
  readonly fences = new Map<string, Fence>();
  /** Message ids whose reason is recorded. */
  readonly rejections = new Set<string>();
  readonly sessions = new Set<Session>();
  readonly locks = new Map<string, Session>();
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly witness: DatabaseWitness;

  constructor(scheduler: Scheduler, random: Random, witness: DatabaseWitness) {
    this.scheduler = scheduler;
    this.random = random;
    this.witness = witness;
  }

  /** A restart or a failover: every session ends, whatever it was doing. */
  endAllSessions(): void {
    for (const session of [...this.sessions]) session.close();
  }
}

interface Request {
  readonly statement: Statement;
  readonly answer: (answer: Answer) => void;
}

export class Session {
  readonly worker: string;
  transaction: Transaction | undefined;
  /** Told when the server ends the session by itself. */
  onClosed: () => void = () => {};
  isOpen = true;
  waitsFor: string | undefined;
  #retry: (() => void) | undefined;
  readonly #server: PostgresModel;
  readonly #requests: Request[] = [];
  #isBusy = false;
  #idleTimer: Timer | undefined;

  constructor(server: PostgresModel, worker: string) {
    this.#server = server;
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
    this.#server.sessions.delete(this);
    this.#end();
    this.onClosed();
  }

  /** Ends it when what was already sent has been done. */
  closeAfterRequests(): void {
    if (this.#isBusy || this.#requests.length > 0) this.request({ name: 'close', values: [] }, () => {});
    else this.close();
  }

  #next(): void {
    const request = this.#requests[0];
    if (this.#isBusy || request === undefined) return;
    this.#requests.shift();
    this.#isBusy = true;
    this.#idleTimer?.cancel();
    const { scheduler } = this.#server;
    let isDone = false;
    let cancelled: Timer | undefined;
    const done = (answer: Answer) => {
      if (isDone || !this.isOpen) return;
      isDone = true;
      cancelled?.cancel();
      this.waitsFor = undefined;
      this.#retry = undefined;
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
    this.#execute(request.statement, done);
  }

  #execute(statement: Statement, done: (answer: Answer) => void): void {
    const { name, values } = statement;
    if (name === 'close') this.close();
    else if (name === 'move-fences' && this.#refusal() === undefined) {
      this.#moveFences(values[1] as string[], (values[2] as string[]).map(BigInt), [], done);
    } else if (name === 'insert-inbox-keys' && this.#refusal() === undefined) {
      const [, keys, hashes, messageIds] = values as [string, string[], Buffer[], string[]];
      const rows = keys.map((key, index) => ({
        key,
        hash: Buffer.from(hashes[index]!),
        messageId: messageIds[index]!,
      }));
      this.#insertKeys(rows, [], done);
    } else if (name === 'insert-rejection' && values[5] !== null && this.#refusal() === undefined) {
      this.#recordAndHalt(String(values[1]), String(values[5]), done);
    } else if (name === 'insert-effects' && this.#refusal() === undefined) {
      this.#insertEffects(JSON.parse(String(values[0])) as Work[], done);
    } else done(this.#answer(statement));
  }

  /** To a statement that waits for nobody, or that cannot be run now. */
  #answer({ name, values }: Statement): Answer {
    if (name === 'begin isolation level read committed') return this.#begin();
    if (name === 'commit') return this.#commit();
    if (name === 'rollback') {
      this.#end();
      return { rows: [] };
    }
    if (name === 'select-inbox-keys' && this.transaction?.isFailed !== true) {
      return this.#knownKeys(values[1] as string[]);
    }
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    if (name === 'upsert-probe') return { rows: [] };
    if (name !== 'insert-rejection') {
      throw new Error(`the model of PostgreSQL does not know this statement: ${name}`);
    }
    this.#server.rejections.add(String(values[1]));
    return { rows: [] };
  }

  /** Why nothing can be written now. */
  #refusal(): Answer | undefined {
    const { health } = this.#server;
    if (this.transaction?.isFailed === true) return failed('25P02', 'current transaction is aborted');
    if (health === 'read-only') return failed('25006', 'cannot execute INSERT in a read-only transaction');
    if (health === 'full') return failed('53100', 'could not extend file: No space left on device');
    return undefined;
  }

  #begin(): Answer {
    this.transaction = {
      worker: this.worker,
      keys: new Map(),
      fences: new Map(),
      effects: [],
      locks: new Set(),
      isFailed: false,
      late: new Set(),
    };
    return { rows: [] };
  }

  /** A transaction that failed is rolled back, and the server answers without an error. */
  #commit(): Answer {
    const { transaction } = this;
    const { inbox, fences, witness, scheduler } = this.#server;
    const isRolledBack = transaction?.isFailed === true;
    if (transaction !== undefined && !isRolledBack) {
      for (const [key, row] of transaction.keys) inbox.set(key, row);
      for (const [group, fence] of transaction.fences) fences.set(group, fence);
      scheduler.trace(`committed ${this.worker} ${[...transaction.keys.keys()].join(' ')}`);
      witness.committed(transaction);
    }
    this.#end();
    return { rows: [], command: isRolledBack ? 'ROLLBACK' : 'COMMIT' };
  }

  #knownKeys(keys: readonly string[]): Answer {
    const rows = keys.flatMap((key) => {
      const row = this.transaction?.keys.get(key) ?? this.#server.inbox.get(key);
      return row === undefined ? [] : [{ key, payload_hash: Buffer.from(row.hash), message_id: row.messageId }];
    });
    return { rows };
  }

  /** Waits for the group's row, moves its fence forward, and tells where it stood. */
  #moveFences(groups: string[], sequences: bigint[], rows: unknown[], done: (answer: Answer) => void): void {
    const transaction = this.#own();
    const [group, ...others] = groups;
    const [sequence, ...otherSequences] = sequences;
    if (group === undefined || sequence === undefined) {
      done({ rows });
      return;
    }
    this.#lock(`fence ${group}`, done, () => {
      const before = this.#server.fences.get(group);
      const furthest = before === undefined || sequence > before.sequence ? sequence : before.sequence;
      const haltedBy = before?.haltedBy ?? null;
      transaction.fences.set(group, { sequence: haltedBy === null || !before ? furthest : before.sequence, haltedBy });
      const previous = before === undefined ? null : String(before.sequence);
      const row = { message_group: group, previous_sequence: previous, halted_by: haltedBy };
      this.#moveFences(others, otherSequences, [...rows, row], done);
    });
  }

  /** A transaction of its own, which waits for whoever is moving the group's fence. */
  #recordAndHalt(messageId: string, group: string, done: (answer: Answer) => void): void {
    this.#begin();
    const end = (answer: Answer) => {
      this.#end();
      done(answer);
    };
    this.#lock(`fence ${group}`, end, () => {
      const { fences, rejections } = this.#server;
      const before = fences.get(group) ?? { sequence: -1n, haltedBy: null };
      fences.set(group, { ...before, haltedBy: before.haltedBy ?? messageId });
      rejections.add(messageId);
      end({ rows: [] });
    });
  }

  #insertKeys(
    keyed: readonly (InboxRow & { readonly key: string })[],
    rows: { key: string }[],
    done: (answer: Answer) => void,
  ): void {
    const transaction = this.#own();
    const [first, ...others] = keyed;
    if (first === undefined) {
      done({ rows });
      return;
    }
    const { key } = first;
    const next = () => {
      if (this.isOpen && this.transaction === transaction && !transaction.isFailed) {
        this.#insertKeys(others, rows, done);
      }
    };
    const { scheduler, random } = this.#server;
    const goOn = () => {
      if (others.length > 0 && random.chance(PAUSE_BETWEEN_KEYS.chance)) {
        scheduler.after(random.uniform(0, PAUSE_BETWEEN_KEYS.ms), next);
      } else next();
    };
    const isThere = () => transaction.keys.has(key) || this.#server.inbox.has(key);
    // On conflict do nothing: a row of another transaction is waited for until it is there or gone.
    if (isThere()) goOn();
    else
      this.#lock(`key ${key}`, done, () => {
        if (isThere()) {
          this.#unlock(`key ${key}`);
        } else {
          transaction.keys.set(key, first);
          rows.push({ key });
        }
        goOn();
      });
  }

  /** Like the ledger's statement, it locks a row per group, in the order of their names. */
  #insertEffects(works: readonly Work[], done: (answer: Answer) => void): void {
    const refused = works.find(({ value }) => REFUSED_STATES.includes(value));
    const groups = [...new Set(works.map(({ group }) => group))].sort();
    const lockFrom = (index: number): void => {
      const group = groups[index];
      if (group !== undefined) this.#lock(`group ${group}`, done, () => lockFrom(index + 1));
      else if (refused !== undefined) done(failed(refused.value, 'a value was refused'));
      else {
        this.#own().effects.push(...works);
        done({ rows: [] });
      }
    };
    lockFrom(0);
  }

  #own(): Transaction {
    if (this.transaction === undefined) throw new Error('a statement outside of a transaction');
    return this.transaction;
  }

  /** Waits as long as another session holds it, within the lock timeout. */
  #lock(name: string, done: (answer: Answer) => void, held: () => void): void {
    const { locks, scheduler, witness } = this.#server;
    const transaction = this.#own();
    let isWaiting = false;
    const attempt = (): void => {
      const holder = locks.get(name);
      if (holder === undefined || holder === this) {
        locks.set(name, this);
        transaction.locks.add(name);
        this.waitsFor = undefined;
        this.#retry = undefined;
        isWaiting = false;
        held();
        return;
      }
      this.waitsFor = name;
      this.#retry = attempt;
      if (isWaiting) return;
      isWaiting = true;
      const stillWaits = () => isWaiting && this.isOpen && this.transaction === transaction && this.waitsFor === name;
      scheduler.after(DEADLOCK_MS, () => {
        if (!stillWaits() || !this.#isInCircle()) return;
        isWaiting = false;
        witness.deadlock(transaction);
        done(failed('40P01', 'deadlock detected'));
      });
      scheduler.after(LOCK_MS_MAX, () => {
        if (!stillWaits()) return;
        isWaiting = false;
        witness.lockTimeout(transaction);
        done(failed('55P03', 'canceling statement due to lock timeout'));
      });
    };
    attempt();
  }

  #isInCircle(): boolean {
    const seen = new Set<Session>();
    let session: Session | undefined = this;
    while (session?.waitsFor !== undefined && !seen.has(session)) {
      seen.add(session);
      session = this.#server.locks.get(session.waitsFor);
      if (session === this) return true;
    }
    return false;
  }

  #unlock(name: string): void {
    this.#server.locks.delete(name);
    this.transaction?.locks.delete(name);
    this.#wakeWaiters(name);
  }

  #wakeWaiters(name: string): void {
    const waiting = [...this.#server.sessions].filter(({ waitsFor }) => waitsFor === name);
    for (const session of this.#server.random.shuffled(waiting)) session.#retry?.();
  }

  /** Ends the transaction, however: its locks are free. */
  #end(): void {
    const { transaction } = this;
    this.transaction = undefined;
    this.waitsFor = undefined;
    this.#retry = undefined;
    for (const name of transaction?.locks ?? []) {
      this.#server.locks.delete(name);
      this.#wakeWaiters(name);
    }
  }
}

export function failed(state: string, message: string): { readonly error: DatabaseError } {
  const error = new DatabaseError(message, message.length, 'error');
  error.code = state;
  return { error };
}
