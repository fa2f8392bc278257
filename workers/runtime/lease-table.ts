/**
 * The leases of a worker: one entry per receipt handle that it holds, with the time at which SQS shows the
 * message to others again.
 *
 *   held ──(settling)──▶ settling ──(released)──▶ gone
 *    │ └──(extended)──▶ held                        ▲
 *    └──(time passed, or SQS said so)──▶ lost ──────┘ (released)
 *
 * Holds always: a deadline counts from when the request was *sent*, so it errs on the early side; an entry
 * that is being settled is not extended any more, since an extension that overtakes the settling would hide
 * a message that was just given back; nothing is extended beyond twelve hours from its receive.
 *
 * Only the consumer changes it. Times are milliseconds on the monotonic clock.
 */
import assert from 'node:assert/strict';

/** SQS refuses a visibility that would reach beyond this from the receive (SQS Developer Guide, visibility timeout). */
export const LEASE_TOTAL_HOURS_MAX = 12;

interface Lease {
  readonly receivedAtMs: number;
  deadlineMs: number;
  state: 'held' | 'settling' | 'lost';
}

export class LeaseTable {
  readonly #visibilityTimeoutMs: number;
  readonly #leases = new Map<string, Lease>();

  constructor(visibilityTimeoutSeconds: number) {
    this.#visibilityTimeoutMs = visibilityTimeoutSeconds * 1000;
  }

  get size(): number {
    return this.#leases.size;
  }

  received(receiptHandle: string, requestSentAtMs: number): void {
    assert(!this.#leases.has(receiptHandle), 'a receipt handle is leased once');
    this.#leases.set(receiptHandle, {
      receivedAtMs: requestSentAtMs,
      deadlineMs: requestSentAtMs + this.#visibilityTimeoutMs,
      state: 'held',
    });
  }

  /** Whether it is leased here at all, in whatever state. */
  has(receiptHandle: string): boolean {
    return this.#leases.has(receiptHandle);
  }

  /** Whether a commit may start: the lease is ours, not yet being settled, and will be for `marginMs` more. */
  holds(receiptHandle: string, nowMs: number, marginMs = 0): boolean {
    const lease = this.#leases.get(receiptHandle);
    return lease?.state === 'held' && lease.deadlineMs > nowMs + marginMs;
  }

  /** Receipt handles to extend now: held, and past half of their time. */
  due(nowMs: number): string[] {
    const due: string[] = [];
    for (const [receiptHandle, lease] of this.#leases) {
      if (lease.state !== 'held') continue;
      if (lease.deadlineMs <= nowMs) lease.state = 'lost';
      else if (lease.deadlineMs - nowMs <= this.#visibilityTimeoutMs / 2 && this.#mayExtend(lease, nowMs))
        due.push(receiptHandle);
    }
    return due;
  }

  extended(receiptHandle: string, requestSentAtMs: number): void {
    const lease = this.#leases.get(receiptHandle);
    // Settled or lost while the extension was under way: the answer is about the past.
    if (lease?.state === 'held') lease.deadlineMs = requestSentAtMs + this.#visibilityTimeoutMs;
  }

  /** SQS says that the handle is no longer ours. */
  lost(receiptHandle: string): void {
    const lease = this.#leases.get(receiptHandle);
    if (lease !== undefined) lease.state = 'lost';
  }

  /** From here on the message is being deleted or given back. */
  settling(receiptHandle: string): void {
    const lease = this.#leases.get(receiptHandle);
    assert(lease !== undefined, 'only a leased message is settled');
    if (lease.state === 'held') lease.state = 'settling';
  }

  released(receiptHandle: string): void {
    assert(this.#leases.delete(receiptHandle), 'only a leased message is released');
  }

  #mayExtend(lease: Lease, nowMs: number): boolean {
    return nowMs + this.#visibilityTimeoutMs <= lease.receivedAtMs + LEASE_TOTAL_HOURS_MAX * 3_600_000;
  }
}
