/**
 * Whether a run is exact: what the file dictates is compared with the tables, the rejections and the dead letters, row
 * by row. It trusts no worker and none of the product's readings of the file.
 */
import type { SQSClient } from '@aws-sdk/client-sqs';
import type pg from 'pg';
import type { QueueBalance } from '../../local/balance.ts';
import type { WorkQueue } from '../../local/monitor.ts';
import type { SentEntry } from '../../local/sent-journal.ts';
import { takenDeadLetters } from '../dead-letters.ts';
import { actualTables } from '../e2e/actual-tables.ts';
import { type ExpectedTables, row } from '../e2e/expected-tables.ts';

/** Enough to begin a search with. */
const ROWS_SHOWN_MAX = 3;
const ROW_CHARACTERS_SHOWN_MAX = 120;

export interface Evidence {
  readonly queues: readonly WorkQueue[];
  readonly balances: readonly QueueBalance[];
  readonly sent: readonly SentEntry[];
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  readonly sqs: SQSClient;
}

/** What is not as the file dictates, one sentence each; empty for an exact run. Empties the dead-letter queues. */
export async function judge(expected: ExpectedTables, evidence: Evidence): Promise<string[]> {
  const { queues, balances, sent, databaseUrl, pool, sqs } = evidence;
  const orders = new Map(sent.map(({ queue, messageId, orderId }) => [`${queue}|${messageId}`, orderId]));
  const orderOf = (queue: string, messageId: string) => orders.get(`${queue}|${messageId}`) ?? `message ${messageId}`;
  const tables = await actualTables(databaseUrl);
  const rejections = await recordedRejections(pool, queues, orderOf);
  const letters = await deadLetters(sqs, queues, orderOf);
  return [
    ...balances.flatMap(faultsOf),
    ...differences('orders', expected.orders, tables.orders),
    ...differences('order_lines', expected.orderLines, tables.orderLines),
    ...differences('ledger_entries', expected.ledgerEntries, tables.ledgerEntries),
    ...differences('rejections', expected.rejected, rejections),
    ...differences('dead-letter queues', expected.rejected, letters),
    ...differences(
      'messages sent',
      expectedMessages(expected),
      sent.map(({ queue, orderId }) => row(queue, orderId)),
    ),
  ];
}

function faultsOf({ queue, lost, dead, waiting, storedTwice, outOfOrder = 0 }: QueueBalance): string[] {
  const faults = { lost, dead, waiting, 'stored twice': storedTwice, 'out of order': outOfOrder };
  return Object.entries(faults).flatMap(([what, count]) => (count === 0 ? [] : [`${queue}: ${count} ${what}`]));
}

/** Every order that is stored or rejected was one message to its queue. */
function expectedMessages({ orders, ledgerEntries, rejected }: ExpectedTables): string[] {
  const field = (text: string, index: number) => text.split('|')[index]!;
  return [
    ...orders.map((order) => row('orders', field(order, 0))),
    ...ledgerEntries.map((entry) => row('ledger', field(entry, 2))),
    ...rejected.map((rejection) => row(field(rejection, 0), field(rejection, 1))),
  ];
}

type OrderOf = (queue: string, messageId: string) => string;

async function recordedRejections(pool: pg.Pool, queues: readonly WorkQueue[], orderOf: OrderOf): Promise<string[]> {
  const { rows } = await pool.query<{ queue: string; message_id: string; reason: string }>(
    'select queue, message_id, reason from rejections',
  );
  return rows.map(({ queue: queueName, message_id: messageId, reason }) => {
    const queue = queues.find((candidate) => candidate.queueName === queueName)?.name ?? queueName;
    return row(queue, orderOf(queue, messageId), reason);
  });
}

/** A copy that was sent twice counts once, by the id of the message that was rejected. */
async function deadLetters(sqs: SQSClient, queues: readonly WorkQueue[], orderOf: OrderOf): Promise<string[]> {
  const rows = new Set<string>();
  for (const { name, deadLetterUrl } of queues) {
    for await (const letter of takenDeadLetters(sqs, deadLetterUrl)) {
      const { messageId, rejectedMessageId = messageId, reason = 'without a reason' } = letter;
      rows.add(row(name, orderOf(name, rejectedMessageId), reason));
    }
  }
  return [...rows];
}

/** As multisets, in one sentence for what is missing and one for what is too much. */
function differences(where: string, expected: readonly string[], actual: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of expected) counts.set(text, (counts.get(text) ?? 0) + 1);
  for (const text of actual) counts.set(text, (counts.get(text) ?? 0) - 1);
  const missing = [...counts].filter(([, count]) => count > 0).map(([text]) => text);
  const added = [...counts].filter(([, count]) => count < 0).map(([text]) => text);
  return [...sentence(where, 'missing', missing), ...sentence(where, 'not in the file', added)];
}

function sentence(where: string, what: string, rows: readonly string[]): string[] {
  if (rows.length === 0) return [];
  const shown = rows.slice(0, ROWS_SHOWN_MAX).map((text) => text.slice(0, ROW_CHARACTERS_SHOWN_MAX));
  return [`${where}: ${rows.length} ${what}, such as ${shown.join(' and ')}`];
}
