/**
 * The balance: for every message that the queues accepted, by its id, where it is now.
 *
 * It trusts no worker. What is stored is read from the tables, what is rejected from the dead-letter queue and
 * the table of reasons, what is waiting from the queue; whatever is nowhere is lost.
 */
import type pg from 'pg';
import { z } from 'zod';
import { parsedJson } from './json-text.ts';
import type { SentEntry } from './sent-journal.ts';
import type { DeadLetterRead } from './sqs-control.ts';

export interface QueueBalance {
  readonly queue: string;
  readonly sent: number;
  readonly stored: number;
  /** Deliveries whose effect was there already, as the workers counted them. */
  readonly suppressed: number;
  /** For a reason that lies in the message. */
  readonly rejected: number;
  /** In the dead-letter queue for no reason of its own: received too often, or behind one that was rejected. */
  readonly dead: number;
  /** Still in the queue when the balance was taken. */
  readonly waiting: number;
  readonly lost: number;
  readonly storedTwice: number;
  /** Undefined where order is not promised. */
  readonly outOfOrder: number | undefined;
  /** How often each reason, and the first orders that had it. */
  readonly reasons: readonly RejectionCount[];
  /** The same of the dead, as far as a worker gave one. */
  readonly deadReasons: readonly RejectionCount[];
  readonly lostOrders: readonly string[];
  /** Stored since the run began and sent by nobody whom the journal knows: in no other figure. */
  readonly storedUnsent: number;
}

export interface RejectionCount {
  readonly reason: string;
  readonly count: number;
  readonly orderIds: readonly string[];
}

/** Enough for a person to look one up; the tables and the queue have the rest. */
const ORDER_IDS_SHOWN_MAX = 5;

export interface QueueEvidence {
  readonly queue: string;
  readonly sent: readonly SentEntry[];
  /** How often each order is in the tables. */
  readonly storedTimes: ReadonlyMap<string, number>;
  /** From the table of rejections, by message id. */
  readonly rejectionReasons: ReadonlyMap<string, string>;
  /** Message ids whose reason does not lie in the message. */
  readonly givenUp: ReadonlySet<string>;
  readonly deadLetters: readonly DeadLetterRead[];
  readonly deadLetterDepth: number;
  readonly waiting: number;
  readonly suppressed: number;
  /** Of the suppressed, those that the tables cannot tell: so many that are nowhere else are believed to be stored. */
  readonly suppressedUnseen: number;
  readonly outOfOrder: number | undefined;
  readonly storedUnsent: number;
}

export function takeBalance(evidence: QueueEvidence): QueueBalance {
  const reasons = new Map<string, string[]>();
  const deadReasons = new Map<string, string[]>();
  const missing: string[] = [];
  let stored = 0;
  let storedTwice = 0;
  let dead = 0;
  const sent = new Map(evidence.sent.map((entry) => [entry.messageId, entry]));
  const letters = new Map(evidence.deadLetters.map((letter) => [letter.rejectedMessageId ?? letter.messageId, letter]));
  // A copy that had no room for attributes has an id of its own and says only by its body which order it is.
  const bareLetters = new Set(
    evidence.deadLetters
      .filter(({ rejectionReason }) => rejectionReason === undefined)
      .map(({ body }) => orderIdIn(body)),
  );
  // A FIFO dead-letter queue shows only the first of each group; the others are believed up to their number.
  let unreadLetters = Math.max(0, evidence.deadLetterDepth - evidence.deadLetters.length);
  for (const { messageId, orderId } of sent.values()) {
    const times = evidence.storedTimes.get(orderId) ?? 0;
    const letter = letters.get(messageId);
    const reason = evidence.rejectionReasons.get(messageId) ?? letter?.rejectionReason;
    if (times > 1) storedTwice += 1;
    // Rejected comes first: a key that was used before has rows in the tables, but not this message's.
    const isThere = letter !== undefined || bareLetters.has(orderId);
    if (reason !== undefined && (isThere || unreadLetters > 0)) {
      if (!isThere) unreadLetters -= 1;
      const isGivenUp = evidence.givenUp.has(messageId);
      // One that was stored before its last receive has its effect, whatever lies in the dead-letter queue.
      if (isGivenUp && times > 0) stored += 1;
      else append(isGivenUp ? deadReasons : reasons, reason, orderId);
    } else if (times > 0) {
      stored += 1;
    } else if (letter !== undefined) {
      dead += 1;
    } else {
      missing.push(orderId);
    }
  }
  const rejected = sizeOf(reasons);
  const waiting = Math.min(evidence.waiting, missing.length);
  const unseen = Math.min(evidence.suppressedUnseen, missing.length - waiting);
  const lost = missing.length - waiting - unseen;
  return {
    queue: evidence.queue,
    sent: sent.size,
    stored: stored + unseen,
    suppressed: evidence.suppressed,
    rejected,
    dead: dead + sizeOf(deadReasons),
    waiting,
    lost,
    storedTwice,
    outOfOrder: evidence.outOfOrder,
    reasons: counted(reasons),
    deadReasons: counted(deadReasons),
    lostOrders: lost === 0 ? [] : missing.slice(0, ORDER_IDS_SHOWN_MAX),
    storedUnsent: evidence.storedUnsent,
  };
}

function append(lists: Map<string, string[]>, key: string, value: string): void {
  lists.set(key, [...(lists.get(key) ?? []), value]);
}

function sizeOf(lists: ReadonlyMap<string, readonly string[]>): number {
  return [...lists.values()].reduce((sum, list) => sum + list.length, 0);
}

function counted(reasons: ReadonlyMap<string, readonly string[]>): RejectionCount[] {
  return [...reasons].map(([reason, orderIds]) => ({
    reason,
    count: orderIds.length,
    orderIds: orderIds.slice(0, ORDER_IDS_SHOWN_MAX),
  }));
}

const bodySchema = z.object({ payload: z.object({ orderId: z.string() }) });

function orderIdIn(body: string): string | undefined {
  // A body that is not JSON names no order.
  return bodySchema.safeParse(parsedJson(body)).data?.payload.orderId;
}

/** Nothing is lost, stored twice, out of order, or dead without a reason of its own; some may still be waiting. */
export function isExact(balance: QueueBalance): boolean {
  return balance.lost + balance.dead + balance.storedTwice + (balance.outOfOrder ?? 0) === 0;
}

export function isComplete(balances: readonly QueueBalance[]): boolean {
  return balances.every(({ waiting }) => waiting === 0);
}

/** Where the rows of each worker are. That none is there twice is seen to by the tables' keys. */
const STORED_ROWS: ReadonlyMap<string, string> = new Map([
  // Only with all of its lines: they are numbered without a gap, and add up to its total.
  [
    'orders',
    `select order_id as key, 1 as times
     from orders join (
       select order_id, sum(quantity * unit_price) as total, count(*) = max(line_no) as is_numbered
       from order_lines group by order_id
     ) lines using (order_id)
     where orders.total = lines.total and is_numbered`,
  ],
  ['ledger', 'select order_id as key, count(*)::integer as times from ledger_entries group by order_id'],
]);
/**
 * Of a worker whose tables are not named above, the inbox is believed: its keys commit with the rows. What its key is only
 * the worker knows, so its messages are found by their ids, and one whose key was there already is not found.
 */
const STORED_MESSAGES =
  'select message_id as key, 1 as times from inbox where consumer = $1 and message_id is not null';

/** Whether the tables tell of every message of a worker, of one whose key was there already too. */
export function tellsEveryMessage(worker: string): boolean {
  return STORED_ROWS.has(worker);
}

/** How often each order is in the tables of a worker, whole; by the message ids where it keeps no orders. */
export async function storedTimes(pool: pg.Pool, worker: string): Promise<Map<string, number>> {
  const rowsOf = STORED_ROWS.get(worker);
  const { rows } = await pool.query<{ key: string; times: number }>(
    rowsOf === undefined ? { text: STORED_MESSAGES, values: [worker] } : { text: rowsOf },
  );
  return new Map(rows.map(({ key, times }) => [key, times]));
}

/** How many messages a worker has stored since `since` that are none of `sent`. */
export async function storedUnsent(
  pool: pg.Pool,
  worker: string,
  sent: readonly SentEntry[],
  since: Date,
): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count from inbox
     where consumer = $1 and stored_at >= $2 and message_id <> all($3::text[])`,
    [worker, since, sent.map(({ messageId }) => messageId)],
  );
  return rows[0]?.count ?? 0;
}

/** Classes of rejections whose reason lies in the message: `RejectionClass` of the workers. */
const OWN_FAULTS = ['InvalidMessage', 'RefusedByDatabase', 'KeyReused'];

/** Of every message that a worker rejected: why, and which of them were given up for no reason of their own. */
export async function rejectionReasons(
  pool: pg.Pool,
  queueName: string,
): Promise<Pick<QueueEvidence, 'rejectionReasons' | 'givenUp'>> {
  const { rows } = await pool.query<{ message_id: string; reason: string; error_class: string }>(
    'select message_id, reason, error_class from rejections where queue = $1',
    [queueName],
  );
  const givenUp = rows.filter(({ error_class: errorClass }) => !OWN_FAULTS.includes(errorClass));
  return {
    rejectionReasons: new Map(rows.map(({ message_id: messageId, reason }) => [messageId, reason])),
    givenUp: new Set(givenUp.map(({ message_id: messageId }) => messageId)),
  };
}

/**
 * Entries whose place in their customer's file is not after that of the entry before, among those stored by one send
 * of this run: every file counts its places from 1. A running balance that does not add up counts too.
 *
 * @param since when the run began; what was stored before it has the places of other files.
 */
export async function entriesOutOfOrder(pool: pg.Pool, sent: readonly SentEntry[], since: Date): Promise<number> {
  const sendOf = new Map<string, string>();
  // An order that was sent twice has the place of the send that came first.
  for (const { orderId, send } of sent) if (!sendOf.has(orderId)) sendOf.set(orderId, send);
  const { rows } = await pool.query<{ count: number }>(
    `with sent as (select * from unnest($1::text[], $2::text[]) as sent (order_id, send)),
     entry as (
       select order_id, send,
              send is not null and stored_at >= $3 and file_position <= lag(file_position) over (
                partition by customer_id, send, stored_at >= $3 order by entry_no) as late,
              balance <> sum(amount) over (partition by customer_id order by entry_no) as wrong
       from ledger_entries
       join inbox on inbox.consumer = 'ledger' and inbox.key = order_id
       left join sent using (order_id)
     )
     select count(*)::integer as count from entry where send is not null and (late or wrong)`,
    [[...sendOf.keys()], [...sendOf.values()], since],
  );
  return rows[0]?.count ?? 0;
}
