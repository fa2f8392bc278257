/** Every limit of sending, and how long to wait between two attempts. */

export interface SendLimits {
  /** Requests in flight per queue. */
  readonly requestsInFlightMax: number;
  /** Messages read from the file and not yet accepted, both queues together: how far sending looks ahead. */
  readonly pendingMessagesMax: number;
  /** The bodies of those messages. */
  readonly pendingBytesMax: number;
  /** Requests that may carry one entry, the first included. */
  readonly attemptsMax: number;
  /** From an entry's first request to the last moment at which another may follow. */
  readonly tryingMsMax: number;
  /** The longest wait after the first failure; it doubles with each further one. */
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
}

export const SEND_LIMITS: SendLimits = {
  // Eight round trips of 20 ms carry 4,000 messages a second, which is more than one core builds.
  requestsInFlightMax: 8,
  // Far enough that a customer with many orders in a row does not leave the batches of the others part empty.
  pendingMessagesMax: 4000,
  pendingBytesMax: 16 * 1024 * 1024,
  // With the waits below, two minutes on average: longer than a restart or a throttle, shorter than patience.
  attemptsMax: 20,
  // SQS knows a deduplication id for five minutes; trying longer could put a message in twice. The last request
  // may start one wait after this and take one deadline.
  tryingMsMax: 180_000,
  backoffFirstMs: 200,
  backoffMaxMs: 20_000,
};

/**
 * Full jitter: anything between nothing and a bound that doubles, so that senders that failed together do not come
 * back together (Exponential Backoff and Jitter, AWS Architecture Blog).
 *
 * @param attempts - requests made so far, at least 1
 * @param random - from 0 to 1, 1 excluded
 */
export function backoffMs(attempts: number, random: number, limits: SendLimits): number {
  return random * Math.min(limits.backoffMaxMs, limits.backoffFirstMs * 2 ** (attempts - 1));
}
