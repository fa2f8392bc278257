/** How many messages may wait for each instance of a fleet, for the construct and for the configuration that feeds it. */

/** SQS and the group report once a minute: a wait below this cannot be seen, let alone kept. */
export const ACCEPTABLE_LATENCY_MIN_SECONDS = 60;
/** Half a day: whoever may wait longer needs no fleet that grows, and what a person is told by lies above it. */
export const ACCEPTABLE_LATENCY_MAX_SECONDS = 43_200;
/** A message in a quarter of an hour: what takes longer than a lease can be extended is no work for a queue. */
export const INSTANCE_RATE_MIN_MESSAGES_PER_SECOND = 0.001;
export const INSTANCE_RATE_MAX_MESSAGES_PER_SECOND = 100_000;

/**
 * Half of the 5,367 that two workers of docs/performance.md committed, one row and one key a message, on two cores of an
 * AMD EPYC with PostgreSQL beside them.
 */
export const INSTANCE_RATE_DEFAULT_MESSAGES_PER_SECOND = 2683;

/** What one instance works off within the latency: with that many waiting for it, the last one waits just as long. */
export function backlogPerInstanceMessages(
  acceptableLatencySeconds: number,
  messagesPerSecondPerInstance: number,
): number {
  return Math.floor(acceptableLatencySeconds * messagesPerSecondPerInstance);
}
