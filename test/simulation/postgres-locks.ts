/**
 * Who holds which lock and who waits for it: as long as another session holds it, within the lock timeout, and never in
 * a circle for long.
 *
 * Holds always: a lock has one holder, whose open transaction names it; when it is freed, whoever waits for it tries
 * again, in an order that chance draws. What a session waits for is set here alone, and forgotten by the session when
 * its statement is answered or its transaction ends.
 */
import type { PostgresModel } from './postgres-model.ts';
import { type Answer, failed } from './postgres-protocol.ts';
import type { Session } from './postgres-session.ts';

/** As connection.ts asks for it. */
const LOCK_MS_MAX = 5_000;
/** PostgreSQL looks for a deadlock after this long. */
const DEADLOCK_MS = 1_000;

export interface Waiting {
  readonly lock: string;
  readonly retry: () => void;
}

export class Locks {
  readonly #server: PostgresModel;
  readonly #holders = new Map<string, Session>();

  constructor(server: PostgresModel) {
    this.#server = server;
  }

  /** Goes on with `held`, or ends the statement with an error. */
  acquire(lock: string, session: Session, end: (answer: Answer) => void, held: () => void): void {
    const { scheduler, witness } = this.#server;
    const transaction = session.own();
    let isWaiting = false;
    const retry = (): void => {
      const holder = this.#holders.get(lock);
      if (holder === undefined || holder === session) {
        this.#holders.set(lock, session);
        transaction.locks.add(lock);
        session.waiting = undefined;
        isWaiting = false;
        held();
        return;
      }
      session.waiting = { lock, retry };
      if (isWaiting) return;
      isWaiting = true;
      const stillWaits = () =>
        isWaiting && session.isOpen && session.transaction === transaction && session.waiting?.lock === lock;
      scheduler.after(DEADLOCK_MS, () => {
        if (!stillWaits() || !this.#isInCircle(session)) return;
        isWaiting = false;
        witness.deadlock(transaction);
        end(failed('40P01', 'deadlock detected'));
      });
      scheduler.after(LOCK_MS_MAX, () => {
        if (!stillWaits()) return;
        isWaiting = false;
        witness.lockTimeout(transaction);
        end(failed('55P03', 'canceling statement due to lock timeout'));
      });
    };
    retry();
  }

  free(lock: string): void {
    this.#holders.delete(lock);
    const waiting = [...this.#server.sessions].filter((session) => session.waiting?.lock === lock);
    for (const session of this.#server.random.shuffled(waiting)) session.waiting?.retry();
  }

  #isInCircle(waiter: Session): boolean {
    const seen = new Set<Session>();
    let session: Session | undefined = waiter;
    while (session?.waiting !== undefined && !seen.has(session)) {
      seen.add(session);
      session = this.#holders.get(session.waiting.lock);
      if (session === waiter) return true;
    }
    return false;
  }
}
