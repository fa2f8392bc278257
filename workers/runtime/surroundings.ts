/**
 * What the runtime takes from outside itself besides SQS and the database: time and chance.
 * They are handed in, so that a test or a simulator can own them.
 */
import { performance } from 'node:perf_hooks';

export interface Timer {
  cancel(): void;
}

export interface Surroundings {
  /** Milliseconds that never go back: for everything that waits, and for leases. */
  monotonicMs(): number;
  /** Milliseconds since 1970, as the machine believes: only to tell how old a message is. */
  wallMs(): number;
  /** Rings when so much time has passed by `monotonicMs`, or later; never before. */
  after(ms: number, ring: () => void): Timer;
  /** From 0 up to 1. */
  random(): number;
}

export const realSurroundings: Surroundings = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, ring) => {
    // Node counts whole milliseconds from a whole millisecond, so that it may ring almost one too early.
    const timeout = setTimeout(ring, Math.ceil(ms) + 1);
    return { cancel: () => clearTimeout(timeout) };
  },
  random: Math.random,
};

/** Ends early, without an error, when the signal aborts. */
export function sleep(surroundings: Surroundings, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const awake = () => {
      timer.cancel();
      // A signal may live as long as the process: its listeners must not pile up.
      signal?.removeEventListener('abort', awake);
      resolve();
    };
    const timer = surroundings.after(ms, awake);
    signal?.addEventListener('abort', awake);
  });
}
