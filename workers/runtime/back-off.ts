/** How long to wait before trying again: full jitter, so that many who failed together do not return together. */

export interface BackOff {
  readonly firstSeconds: number;
  readonly mostSeconds: number;
}

/** A message that failed: the four waits between five receives add up to 225 s at most, and half of it on average. */
export const MESSAGE_BACK_OFF: BackOff = { firstSeconds: 15, mostSeconds: 900 };
/** A message from a newer producer: the four waits add up to 75 minutes at most, half on average, to outlive a rolling deploy. */
export const NEWER_VERSION_BACK_OFF: BackOff = { firstSeconds: 300, mostSeconds: 3_600 };
/** A call to SQS that failed. */
export const CALL_BACK_OFF: BackOff = { firstSeconds: 0.2, mostSeconds: 10 };

/** @param attempt 1 for the first failure. @param random a number from 0 to 1. */
export function backOffSeconds(limits: BackOff, attempt: number, random: number): number {
  return random * Math.min(limits.firstSeconds * 2 ** Math.max(0, attempt - 1), limits.mostSeconds);
}
