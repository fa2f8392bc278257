/** Cost: without faults one receive a message, few empty ones, no extension, few deletes. */
import type { History } from './history.ts';
import type { Receipt } from './sqs-message.ts';
import { flakyFailures } from './workload.ts';

/** A long poll of SQS's longest: the fewest empty receives. */
const LONG_POLL_MS = 20_000;
const MESSAGES_PER_RECEIVE_MAX = 10;
/** As batcher.ts has it: a receive of larger messages is written, and deleted, in parts. */
const BATCH_BYTES_MAX = 8 * 1_048_576;

/** When nothing is left to be done. */
export function judgeCost(history: History): void {
  const { configuration, incarnations } = history;
  if (configuration.faultsEndMs > 0 || configuration.drains > 0) return;
  history.judged('cost');
  const { messages, copies } = history.queue;
  // A group that may be halted is taken one message at a time.
  if (configuration.halts) return;
  if (messages.some(({ sent }) => sent.fate === 'moved' || flakyFailures(sent.work) > 0)) return;
  const again = messages.filter(({ receipts }) => receipts.length !== 1);
  if (again.length > 0)
    history.violated('cost', `without faults ${again.map(({ messageId }) => messageId)} came again`);
  const sum = { delete: 0, changeVisibility: 0, send: 0 };
  for (const { requests } of incarnations.values()) {
    sum.delete += requests.delete;
    sum.changeVisibility += requests.changeVisibility;
    sum.send += requests.send;
  }
  const receives = Map.groupBy(
    messages.flatMap(({ receipts }) => receipts),
    ({ answer }) => answer,
  );
  judgeReceives(history, [...receives.values()]);
  const batchesPerReceive = 1 + Math.floor((MESSAGES_PER_RECEIVE_MAX * configuration.bodyBytes) / BATCH_BYTES_MAX);
  const deletesMax = 2 * receives.size * batchesPerReceive + copies.length;
  if (sum.delete > deletesMax || sum.changeVisibility > 0 || sum.send !== copies.length) {
    history.violated('cost', `without faults ${JSON.stringify(sum)} for ${receives.size} receives`);
  }
}

/**
 * A quiet queue costs a poll in twenty seconds. A receive that came back full asks for one poll more, which may find
 * nothing.
 */
function judgeReceives(history: History, receives: readonly (readonly Receipt[])[]): void {
  for (const { name, requests } of history.incarnations.values()) {
    const own = receives.filter(([first]) => first?.worker === name);
    const full = own.filter(({ length }) => length >= MESSAGES_PER_RECEIVE_MAX);
    const emptyMax = 1 + Math.floor(history.nowMs / LONG_POLL_MS) + full.length;
    if (requests.receive > own.length + emptyMax) {
      history.violated(
        'cost',
        `without faults ${name} receives ${requests.receive} times, ${own.length} of them for messages`,
      );
    }
  }
}
