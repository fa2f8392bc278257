/**
 * What a distributed queue may do and mostly does not: now and then by chance, until the faults end.
 *
 * Holds always: a message comes again by the queue's own doing twice at most.
 */
import type { StoredMessage } from './sqs-message.ts';
import type { QueueSurroundings } from './sqs-surroundings.ts';

/** More redeliveries than this of one message by the queue's own doing would march it into the dead-letter queue. */
const QUIRKS_PER_MESSAGE_MAX = 2;

export type Quirk =
  /** A long poll may return early and empty. */
  | 'poll ends early'
  /** A standard queue asks some of its hosts, so it may show fewer than there are. */
  | 'sample'
  | 'duplicate delivery'
  /** A host that was away during the delete may show the message once more. */
  | 'comes again after its delete'
  | 'expired handle refused'
  | 'expired handle changes visibility';

/** Whether the queue does it this time. */
export function happens(
  quirk: Quirk,
  { scheduler, settings, random, count }: QueueSurroundings,
  message?: StoredMessage,
): boolean {
  if (scheduler.nowMs >= settings.faultsEndMs || !random.chance(settings.sqsQuirks)) return false;
  if (message !== undefined) {
    if (message.quirks >= QUIRKS_PER_MESSAGE_MAX) return false;
    message.quirks += 1;
  }
  count(`queue: ${quirk}`);
  return true;
}
