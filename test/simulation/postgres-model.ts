/**
 * PostgreSQL at the level of the statements that the store and the simulated worker run: read committed, with its
 * tables, its sessions and its commit log.
 *
 * It is the server: it knows no network (postgres-pool.ts breaks connections). A session is in postgres-session.ts, what
 * a statement does in postgres-statements.ts, who waits for whom in postgres-locks.ts.
 *
 * Holds always: what a transaction wrote is seen by others when its commit took effect, and never otherwise. Only the
 * methods here write into the tables.
 */
import { Locks } from './postgres-locks.ts';
import type { Session } from './postgres-session.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Work } from './workload.ts';

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
}

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
  readonly locks = new Locks(this);
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly witness: DatabaseWitness;

  constructor(scheduler: Scheduler, random: Random, witness: DatabaseWitness) {
    this.scheduler = scheduler;
    this.random = random;
    this.witness = witness;
  }

  commit(transaction: Transaction): void {
    for (const [key, row] of transaction.keys) this.inbox.set(key, row);
    for (const [group, fence] of transaction.fences) this.fences.set(group, fence);
    this.scheduler.trace(`committed ${transaction.worker} ${[...transaction.keys.keys()].join(' ')}`);
    this.witness.committed(transaction);
  }

  /** By a statement that is a transaction of its own. */
  reject(messageId: string, haltedGroup?: string): void {
    this.rejections.add(messageId);
    if (haltedGroup === undefined) return;
    const before = this.fences.get(haltedGroup) ?? { sequence: -1n, haltedBy: null };
    this.fences.set(haltedGroup, { ...before, haltedBy: before.haltedBy ?? messageId });
  }

  /** A restart or a failover: every session ends, whatever it was doing. */
  endAllSessions(): void {
    for (const session of [...this.sessions]) session.close();
  }
}
