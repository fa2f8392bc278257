/** Collects the evidence of every work queue, and takes its balance. */
import type pg from 'pg';
import {
  entriesOutOfOrder,
  type QueueBalance,
  rejectionReasons,
  storedTimes,
  storedUnsent,
  takeBalance,
  tellsEveryMessage,
} from './balance.ts';
import type { WorkQueue } from './monitor.ts';
import type { SentEntry, SentJournal } from './sent-journal.ts';
import type { SqsControl } from './sqs-control.ts';

export async function balanceQueues(
  queues: readonly WorkQueue[],
  journal: SentJournal,
  control: SqsControl,
  pool: pg.Pool,
  since: Date,
): Promise<QueueBalance[]> {
  const sent = new Map<string, SentEntry[]>(queues.map(({ name }) => [name, []]));
  for await (const entry of journal.entries()) sent.get(entry.queue)?.push(entry);
  return Promise.all(queues.map((queue) => balanceOf(queue, sent.get(queue.name) ?? [], control, pool, since)));
}

async function balanceOf(
  queue: WorkQueue,
  sent: readonly SentEntry[],
  control: SqsControl,
  pool: pg.Pool,
  since: Date,
): Promise<QueueBalance> {
  const [depth, deadLetterDepth] = await Promise.all([control.depth(queue.url), control.depth(queue.deadLetterUrl)]);
  const deadLetterCount = deadLetterDepth.visible + deadLetterDepth.inFlight;
  const ledger = queue.name === 'ledger';
  const { suppressed } = queue.fleet.counts;
  return takeBalance({
    queue: queue.name,
    sent,
    storedTimes: await storedTimes(pool, queue.name),
    ...(await rejectionReasons(pool, queue.queueName)),
    deadLetters: await control.readDeadLetters(queue.deadLetterUrl, deadLetterCount),
    deadLetterDepth: deadLetterCount,
    waiting: depth.visible + depth.inFlight + depth.delayed,
    suppressed,
    suppressedUnseen: tellsEveryMessage(queue.name) ? 0 : suppressed,
    outOfOrder: ledger ? await entriesOutOfOrder(pool, sent, since) : undefined,
    storedUnsent: await storedUnsent(pool, queue.name, sent, since),
  });
}
