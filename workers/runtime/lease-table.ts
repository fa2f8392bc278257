/**
 * The leases of a worker: one entry per receipt handle that it holds, with the time at which SQS shows the
 * message to others again.
 *
 *   held ──(returning)──▶ returning ──(released)──▶ gone
 *    │ └──(extended)──▶ held                          ▲
 *    └──(time passed, or SQS said so)──▶ lost ────────┘ (released)
 *
 * Holds always: a deadline counts from when the request was *sent*, so it errs on the early side; of changes that may
 * be done in any order the shortest counts; an entry that is being given back is not extended any more, since an
 * extension that overtakes the return would hide a message that was just given back; nothing is asked for beyond twelve
 * hours from its receive; a lease that is lost stays lost.
 *
 * Only the consumer and its lease keeper change it. Times are milliseconds on the monotonic clock.
 */
import assert from 'node:assert/strict';

/** SQS refuses a visibility that would reach beyond this from the receive (SQS Developer Guide, visibility timeout). */
export const LEASE_TOTAL_HOURS_MAX = 12;
/**
 * What is worked on for hours is asked for in pieces of this: when its worker is killed it comes again within a quarter of an
 * hour, however long its queue hides a message.
 */
const EXTENSION_SECONDS_MAX = 900;

/** A visibility that was asked for. */
interface Change {
  readonly requestSentAtMs: number;
  readonly seconds: number;
  /** Until when the lease lasted before it was asked for. */
  readonly deadlineBeforeMs: number;
  isAnswered: boolean;
}

/** Of most leases: they are held for milliseconds. */
const NO_CHANGES: readonly Change[] = [];

interface Lease {
  readonly receivedAtMs: number;
  deadlineMs: number;
  /** Any of these may be the last that SQS does. */
  changes: readonly Change[];
  state: 'held' | 'returning' | 'lost';
  /** SQS has hidden it for as long as it does. */
  isAtLimit: boolean;
}

export class LeaseTable {
  /** What an extension asks for, from then on. */
  readonly extensionSeconds: number;
  readonly #visibilityTimeoutMs: number;
  readonly #leases = new Map<string, Lease>();
  readonly #onLost: (receiptHandle: string) => void;

  /** @param onLost told once for every lease that ends in this worker's hands. */
  constructor(visibilityTimeoutSeconds: number, onLost: (receiptHandle: string) => void = () => {}) {
    this.#visibilityTimeoutMs = visibilityTimeoutSeconds * 1000;
    this.extensionSeconds = Math.min(visibilityTimeoutSeconds, EXTENSION_SECONDS_MAX);
    this.#onLost = onLost;
  }

  get size(): number {
    return this.#leases.size;
  }

  received(receiptHandle: string, requestSentAtMs: number): void {
    assert(!this.#leases.has(receiptHandle), 'a receipt handle is leased once');
    this.#leases.set(receiptHandle, {
      receivedAtMs: requestSentAtMs,
      deadlineMs: requestSentAtMs + this.#visibilityTimeoutMs,
      changes: NO_CHANGES,
      state: 'held',
      isAtLimit: false,
    });
  }

  /** Whether it is leased here at all, in whatever state. */
  has(receiptHandle: string): boolean {
    return this.#leases.has(receiptHandle);
  }

  /** Whether a commit or a change of visibility may start: the lease is ours, and will be for `marginMs` more. */
  holds(receiptHandle: string, nowMs: number, marginMs = 0): boolean {
    const lease = this.#leases.get(receiptHandle);
    return lease?.state === 'held' && lease.deadlineMs > nowMs + marginMs;
  }

  /** How much of the lease is left; negative when it is over, undefined when there is none. */
  leftMs(receiptHandle: string, nowMs: number): number | undefined {
    const lease = this.#leases.get(receiptHandle);
    return lease === undefined ? undefined : lease.deadlineMs - nowMs;
  }

  /** Receipt handles to extend now: held, with half an extension left. Those whose time has passed are lost. */
  due(nowMs: number): string[] {
    const due: string[] = [];
    for (const [receiptHandle, lease] of this.#leases) {
      if (lease.state !== 'held') continue;
      if (lease.deadlineMs <= nowMs) this.lost(receiptHandle);
      else if (this.#dueAtMs(lease) <= nowMs && this.#mayLast(lease, nowMs + this.#extensionMs)) {
        due.push(receiptHandle);
      }
    }
    return due;
  }

  /** When to look at them again; undefined when none is held. */
  get dueAtMs(): number | undefined {
    let dueAtMs: number | undefined;
    for (const lease of this.#leases.values()) {
      if (lease.state === 'held') dueAtMs = Math.min(dueAtMs ?? Number.POSITIVE_INFINITY, this.#dueAtMs(lease));
    }
    return dueAtMs;
  }

  /** When a lease is due whose request was sent then. */
  firstDueAtMs(requestSentAtMs: number): number {
    return requestSentAtMs + this.#visibilityTimeoutMs - this.#extensionMs / 2;
  }

  /** The longest that SQS would hide a message from now; 0 when there is no lease of it. */
  secondsPermitted(receiptHandle: string, nowMs: number): number {
    const lease = this.#leases.get(receiptHandle);
    return lease === undefined ? 0 : Math.max(0, Math.floor((this.#endsAtMs(lease) - nowMs) / 1000));
  }

  /**
   * A change is on its way. One that shortens the lease counts from here: should its answer get lost, it may have been
   * done all the same.
   */
  asked(receiptHandle: string, requestSentAtMs: number, seconds: number): void {
    const lease = this.#leases.get(receiptHandle);
    if (lease === undefined) return;
    const deadlineBeforeMs = lease.deadlineMs;
    lease.deadlineMs = Math.min(deadlineBeforeMs, requestSentAtMs + seconds * 1000);
    // What was answered is done before this one; what was not, and whose own time has passed, does not arrive any more.
    const mayBeDone = (change: Change) =>
      !change.isAnswered && change.requestSentAtMs + change.seconds * 1000 > requestSentAtMs;
    const change = { requestSentAtMs, seconds, deadlineBeforeMs, isAnswered: false };
    lease.changes = [...lease.changes.filter(mayBeDone), change];
  }

  /** It is hidden as long as before, and no longer. */
  refused(receiptHandle: string, requestSentAtMs: number, seconds: number): void {
    const lease = this.#leases.get(receiptHandle);
    if (lease?.state !== 'held') return;
    lease.isAtLimit = true;
    const isThis = (change: Change) => change.requestSentAtMs === requestSentAtMs && change.seconds === seconds;
    const change = lease.changes.find(isThis);
    lease.changes = lease.changes.filter((other) => other !== change);
    // Where others are on their way, any of them may be done: the earlier end stands.
    if (change !== undefined && lease.changes.every(({ isAnswered }) => isAnswered)) {
      lease.deadlineMs = change.deadlineBeforeMs;
    }
  }

  /** @param seconds what was asked for, counted from the request: absolute, and never added to what was left. */
  extended(receiptHandle: string, requestSentAtMs: number, seconds: number, answeredAtMs: number): void {
    const lease = this.#leases.get(receiptHandle);
    // Given back or lost while the extension was under way: the answer is about the past.
    if (lease?.state !== 'held') return;
    // It may have been received elsewhere before the extension came, which a standard queue then takes all the same.
    if (lease.deadlineMs <= answeredAtMs) {
      this.lost(receiptHandle);
      return;
    }
    const isThis = (change: Change) => change.requestSentAtMs === requestSentAtMs && change.seconds === seconds;
    for (const change of lease.changes.filter(isThis)) change.isAnswered = true;
    const shortestSeconds = Math.min(seconds, ...lease.changes.map((change) => change.seconds));
    lease.deadlineMs = requestSentAtMs + shortestSeconds * 1000;
  }

  /** Time has passed, or SQS says that the handle is no longer ours. */
  lost(receiptHandle: string): void {
    const lease = this.#leases.get(receiptHandle);
    if (lease === undefined || lease.state === 'lost') return;
    lease.state = 'lost';
    this.#onLost(receiptHandle);
  }

  /** From here on the message is being given back. */
  returning(receiptHandle: string): void {
    const lease = this.#leases.get(receiptHandle);
    assert(lease !== undefined, 'only a leased message is given back');
    assert(lease.state === 'held', 'a message is given back once, and only while it is ours');
    lease.state = 'returning';
  }

  released(receiptHandle: string): void {
    assert(this.#leases.delete(receiptHandle), 'only a leased message is released');
  }

  /** Half an extension before its end; at its end, where it may not be extended. */
  #dueAtMs(lease: Lease): number {
    const dueAtMs = lease.deadlineMs - this.#extensionMs / 2;
    return this.#mayLast(lease, dueAtMs + this.#extensionMs) ? dueAtMs : lease.deadlineMs;
  }

  #mayLast(lease: Lease, untilMs: number): boolean {
    return !lease.isAtLimit && untilMs <= this.#endsAtMs(lease);
  }

  #endsAtMs({ receivedAtMs }: Lease): number {
    return receivedAtMs + LEASE_TOTAL_HOURS_MAX * 3_600_000;
  }

  get #extensionMs(): number {
    return this.extensionSeconds * 1000;
  }
}
