/**
 * What waits to come again and why, as the workers say when they give a message back.
 *
 * A message that was given back cannot be settled before its delay has passed, so it counts until then and no
 * longer; if it fails again, the worker says so again. Nothing needs to be known of the single message.
 *
 * Holds always: at most `REASONS_MAX` reasons and one for all others, each with one number per second of the future.
 */

/** More at once than a person reads; those that come later are counted together. */
const REASONS_MAX = 4;
const OTHER_REASONS = 'other reasons';

/** Messages that wait to come again for the same reason. */
export interface Wait {
  readonly reason: string;
  readonly messages: number;
  /** Until the first of them may come. */
  readonly nextSeconds: number;
}

export class GivenBack {
  /** By reason, how many messages may come again at which second of the monotonic clock. */
  readonly #dueOf = new Map<string, Map<number, number>>();

  add(reason: string, delaySeconds: number, nowMs: number): void {
    const counted = this.#dueOf.has(reason) || this.#hasRoom(nowMs) ? reason : OTHER_REASONS;
    const due = this.#dueOf.get(counted) ?? new Map<number, number>();
    const second = Math.ceil(nowMs / 1000 + delaySeconds);
    this.#dueOf.set(counted, due.set(second, (due.get(second) ?? 0) + 1));
  }

  waits(nowMs: number): Wait[] {
    this.#forgetPast(nowMs);
    return [...this.#dueOf].map(([reason, due]) => ({
      reason,
      messages: [...due.values()].reduce((sum, messages) => sum + messages, 0),
      nextSeconds: Math.min(...due.keys()) - nowMs / 1000,
    }));
  }

  #hasRoom(nowMs: number): boolean {
    this.#forgetPast(nowMs);
    return this.#dueOf.size < REASONS_MAX;
  }

  #forgetPast(nowMs: number): void {
    for (const [reason, due] of this.#dueOf) {
      for (const second of due.keys()) if (second * 1000 <= nowMs) due.delete(second);
      if (due.size === 0) this.#dueOf.delete(reason);
    }
  }
}
