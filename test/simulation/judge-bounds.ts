/**
 * Bounds: what a worker has under way and in hand, whenever any of it grows, against every limit that the runtime names.
 *
 * It is counted at the queue's and the database's end (load.ts): a worker's own gauges count for nothing here. The limits
 * are written here once more, since one that somebody raises in the workers must be seen.
 */
import type { History } from './history.ts';
import type { Growth } from './load.ts';
import type { Incarnation } from './process.ts';

/** As poller-control.ts has it. */
const POLLS_MAX = 16;
/** As admission.ts has them. */
const MESSAGES_IN_PROCESS_MAX = 400;
const BYTES_IN_PROCESS_MAX = 160 * 1_048_576;
/** SQS quota. */
const MESSAGES_PER_RECEIVE_MAX = 10;
/** As batcher.ts has them. */
const BATCHES_MAX = 3;
const BATCH_MESSAGES_MAX = 100;
const BATCH_BYTES_MAX = 8 * 1_048_576;
/** As settling.ts has it. */
const REJECTIONS_MAX = 8;
/** A batch so full that one message more of SQS's largest size would not fit. */
const BATCH_BYTES_FULL = BATCH_BYTES_MAX - 1_048_576;

export function judgeBounds(history: History, process: Incarnation, growth: Growth): void {
  history.judged('bounds');
  const { load, name } = process;
  const { calls, transactions, reasons } = load;
  if (growth === 'held' || growth === 'receive') judgePlaces(history, process);
  else if (growth === 'transactions') {
    judge(history, transactions, BATCHES_MAX, `${name} has ${transactions} batches under way`, 'batches');
  } else if (growth === 'rejections') {
    const rejections = calls.send + reasons;
    judge(history, rejections, REJECTIONS_MAX, `${name} has ${rejections} rejections under way`, 'rejections');
  } else {
    // Each call is about one message in hand at least: a delete asks for it alone, or it is extended and given back.
    const most = growth === 'delete' ? MESSAGES_IN_PROCESS_MAX : 2 * MESSAGES_IN_PROCESS_MAX;
    judge(history, calls[growth], most, `${name} has ${calls[growth]} calls of ${growth} under way`);
  }
}

/** What a worker holds, and what its polls may bring. */
function judgePlaces(history: History, { load, name }: Incarnation): void {
  const { messageBytesMax } = history.configuration;
  const polls = load.calls.receive;
  const onTheirWay = { messages: polls * MESSAGES_PER_RECEIVE_MAX, bytes: 0 };
  onTheirWay.bytes = onTheirWay.messages * messageBytesMax;
  const held = load.held(history.nowMs, {
    messages: MESSAGES_IN_PROCESS_MAX - onTheirWay.messages,
    bytes: BYTES_IN_PROCESS_MAX - onTheirWay.bytes,
  });
  const messages = held.messages + onTheirWay.messages;
  const bytes = held.bytes + onTheirWay.bytes;
  judge(history, polls, POLLS_MAX, `${name} has ${polls} polls under way`, 'polls');
  const detail = `${name} holds ${held.messages} messages of ${held.bytes} bytes, and has ${polls} polls under way`;
  const full = { messages: MESSAGES_PER_RECEIVE_MAX, bytes: MESSAGES_PER_RECEIVE_MAX * messageBytesMax };
  judge(history, messages, MESSAGES_IN_PROCESS_MAX, detail, 'messages', MESSAGES_IN_PROCESS_MAX - full.messages + 1);
  judge(history, bytes, BYTES_IN_PROCESS_MAX, detail, 'bytes', BYTES_IN_PROCESS_MAX - full.bytes + 1);
}

/** A batch asks for the keys of its messages. */
export function judgeBatch(history: History, { name }: Incarnation, messageIds: readonly string[]): void {
  const { queue, configuration } = history;
  const batch = messageIds.flatMap((id) => queue.find(id) ?? []);
  judge(history, batch.length, BATCH_MESSAGES_MAX, `${name} writes ${batch.length} messages at once`, 'batch messages');
  const bytes = batch.reduce((sum, { sent }) => sum + Buffer.byteLength(sent.body), 0);
  // One that is larger than a batch goes alone.
  if (batch.length > 1) {
    judge(history, bytes, BATCH_BYTES_MAX, `${name} writes ${bytes} bytes at once`, 'batch bytes', BATCH_BYTES_FULL);
  }
  if (!configuration.fifo || !configuration.halts) return;
  const groups = new Set(batch.map(({ group }) => group));
  if (groups.size < batch.length) history.violated('bounds', `${name} writes two messages of a group that may halt`);
}

function judge(history: History, amount: number, most: number, detail: string, limit?: string, reached = most): void {
  if (amount > most) history.violated('bounds', detail);
  else if (amount >= reached && limit !== undefined) history.count(`bounds: ${limit} at their limit`);
}
