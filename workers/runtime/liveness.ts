/**
 * Whether this process still does its work, so that something outside can end it when it does not.
 *
 * It never depends on the database or on the depth of the queue: a worker that waits for a database is well, and ending
 * it would not bring the database back. What it catches is a poll that never ends, and a write function that never
 * returns; that the event loop turns is shown by whoever asks in time.
 *
 * Only the consumer tells it anything. Times are milliseconds on the monotonic clock.
 */

/** A long poll ends within 26 s, and one that failed is tried again after 10 s at most. */
const POLL_SILENCE_MS_MAX = 90_000;
/**
 * Twice what one claim may take before it loses its right to commit. A batch that is halved makes a claim for each half,
 * so that all of it may take longer, and a worker that is as slow as that is ended although it gets on.
 */
export const ATTEMPT_MS_MAX = 240_000;

export class Liveness {
  #polledAtMs: number;
  readonly #attempts = new Map<object, number>();

  constructor(nowMs: number) {
    this.#polledAtMs = nowMs;
  }

  /** A poll ended, well or not, or there was a reason not to poll. */
  polled(nowMs: number): void {
    this.#polledAtMs = nowMs;
  }

  attemptBegan(attempt: object, nowMs: number): void {
    this.#attempts.set(attempt, nowMs);
  }

  attemptEnded(attempt: object): void {
    this.#attempts.delete(attempt);
  }

  isAlive(nowMs: number): boolean {
    return (
      nowMs - this.#polledAtMs <= POLL_SILENCE_MS_MAX &&
      [...this.#attempts.values()].every((beganAtMs) => nowMs - beganAtMs <= ATTEMPT_MS_MAX)
    );
  }
}
