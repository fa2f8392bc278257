/**
 * What waits to be sent to one SQS queue, and which of it goes into the next request.
 *
 *   added ──▶ ready ──(nextBatch)──▶ in flight ──(accepted)──▶ gone
 *     │         ▲                        │
 *     ▼         │                        └─(failed)──▶ backing off ──(due)──▶ ready, first in line
 *   behind its group's earlier entry
 *
 * Messages of one group must arrive in the order in which they were added. SQS may accept the second of two
 * entries of a batch and refuse the first; so an entry of a group becomes ready only when the one before it has
 * been accepted, and the other groups go on.
 *
 * Holds always: of each group exactly one entry is ready, in flight or backing off, and it is the group's oldest.
 */
import assert from 'node:assert/strict';
import type { ProducedOrder } from './order-assembly.ts';

/** What SQS takes in one request. */
export const BATCH_ENTRIES_MAX = 10;
/** What SQS takes in one request, all bodies and attributes together; ours have no attributes. */
export const BATCH_BYTES_MAX = 1024 * 1024;

/** One message, on its way to one queue. */
export interface SendEntry {
  readonly order: ProducedOrder;
  /** The message group of a FIFO queue; undefined on a standard queue. */
  readonly groupId: string | undefined;
  readonly deduplicationId: string | undefined;
}

export interface Attempts {
  /** Requests that have carried the entry. */
  count: number;
  /** When the first of them went out. */
  readonly firstMs: number;
}

export class SendQueue {
  #ready: SendEntry[] = [];
  #backingOff: { readonly entry: SendEntry; readonly dueMs: number }[] = [];
  /** Per group that has an entry on its way: those behind it, oldest first. */
  readonly #behind = new Map<string, SendEntry[]>();
  readonly #inFlight = new Set<SendEntry>();
  readonly #attempts = new Map<SendEntry, Attempts>();

  add(entry: SendEntry): void {
    const behind = entry.groupId === undefined ? undefined : this.#behind.get(entry.groupId);
    if (behind !== undefined) {
      behind.push(entry);
      return;
    }
    if (entry.groupId !== undefined) this.#behind.set(entry.groupId, []);
    this.#ready.push(entry);
  }

  /**
   * Takes the next request's entries, or none while they would not fill one.
   *
   * @param takePart - also take entries that do not fill a request
   */
  nextBatch(nowMs: number, takePart: boolean): SendEntry[] {
    this.#takeBackDue(nowMs);
    let count = 0;
    let bytes = 0;
    let isFull = false;
    while (!isFull && count < this.#ready.length) {
      const next = this.#ready[count]!;
      isFull = bytes + next.order.bodyBytes > BATCH_BYTES_MAX;
      if (isFull) break;
      bytes += next.order.bodyBytes;
      count += 1;
      isFull = count === BATCH_ENTRIES_MAX;
    }
    if (!isFull && !takePart) return [];
    const batch = this.#ready.splice(0, count);
    for (const entry of batch) {
      this.#inFlight.add(entry);
      const attempts = this.#attempts.get(entry);
      if (attempts === undefined) this.#attempts.set(entry, { count: 1, firstMs: nowMs });
      else attempts.count += 1;
    }
    return batch;
  }

  accepted(entry: SendEntry): void {
    assert(this.#inFlight.delete(entry), 'only an entry in flight can be accepted');
    this.#attempts.delete(entry);
    if (entry.groupId === undefined) return;
    const next = this.#behind.get(entry.groupId)?.shift();
    if (next === undefined) this.#behind.delete(entry.groupId);
    else this.#ready.push(next);
  }

  /** Sends the entry again, but not before `dueMs`. */
  failed(entry: SendEntry, dueMs: number): void {
    assert(this.#inFlight.delete(entry), 'only an entry in flight can fail');
    this.#backingOff.push({ entry, dueMs });
  }

  /** What has been tried for an entry that is in flight. */
  attemptsOf(entry: SendEntry): Readonly<Attempts> {
    const attempts = this.#attempts.get(entry);
    assert(attempts !== undefined, 'an entry in flight has been tried');
    return attempts;
  }

  /** When the first entry that backs off after `nowMs` may go again; undefined if there is none. */
  nextDueMs(nowMs: number): number | undefined {
    let nextMs: number | undefined;
    for (const { dueMs } of this.#backingOff) {
      if (dueMs > nowMs && (nextMs === undefined || dueMs < nextMs)) nextMs = dueMs;
    }
    return nextMs;
  }

  #takeBackDue(nowMs: number): void {
    const due = this.#backingOff.filter(({ dueMs }) => dueMs <= nowMs);
    if (due.length === 0) return;
    this.#backingOff = this.#backingOff.filter(({ dueMs }) => dueMs > nowMs);
    this.#ready.unshift(...due.map(({ entry }) => entry));
  }
}
