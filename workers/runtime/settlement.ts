/**
 * Settling: telling SQS what became of messages, in batches of ten, until it has heard.
 *
 * Holds always: results are read per entry; only what failed is told again, and only while it was the
 * service's fault; a stale handle is not an error, since it means that the message is someone else's by now
 * and the inbox makes their work a no-op. Nothing here is aborted by a shutdown: finished work is always told.
 */
import { type BackOff, backOffSeconds, CALL_BACK_OFF } from './back-off.ts';
import { type EntryResult, MESSAGES_PER_RECEIVE_MAX, type QueueClient, type VisibilityChange } from './queue-client.ts';
import type { Surroundings } from './surroundings.ts';

/** Ten seconds of back-off and five calls of ten seconds fit into the shortest visibility timeout of sixty. */
export const SETTLE_ATTEMPTS_MAX = 5;

export interface Settled {
  /** Entries that SQS never confirmed: their messages come again and are suppressed. */
  readonly unconfirmed: number;
  readonly lastError: unknown;
}

export function deleteMessages(
  queue: QueueClient,
  receiptHandles: readonly string[],
  surroundings: Surroundings,
): Promise<Settled> {
  return settle(receiptHandles, (batch) => queue.deleteBatch(batch), surroundings);
}

/** Keeps the order of the changes: a group's head is delayed before its tail. */
export function changeVisibility(
  queue: QueueClient,
  changes: readonly VisibilityChange[],
  surroundings: Surroundings,
): Promise<Settled> {
  return settle(changes, (batch) => queue.changeVisibilityBatch(batch), surroundings);
}

async function settle<Entry>(
  entries: readonly Entry[],
  call: (batch: readonly Entry[]) => Promise<EntryResult[]>,
  surroundings: Surroundings,
  backOff: BackOff = CALL_BACK_OFF,
): Promise<Settled> {
  let left = entries;
  let lastError: unknown;
  for (let attempt = 1; left.length > 0 && attempt <= SETTLE_ATTEMPTS_MAX; attempt += 1) {
    if (attempt > 1) await surroundings.sleep(backOffSeconds(backOff, attempt - 1, surroundings.random()) * 1000);
    const again: Entry[] = [];
    for (let start = 0; start < left.length; start += MESSAGES_PER_RECEIVE_MAX) {
      const batch = left.slice(start, start + MESSAGES_PER_RECEIVE_MAX);
      try {
        const results = await call(batch);
        again.push(...batch.filter((_, index) => results[index] === 'failed'));
      } catch (error) {
        lastError = error;
        again.push(...batch);
      }
    }
    left = again;
  }
  return { unconfirmed: left.length, lastError };
}
