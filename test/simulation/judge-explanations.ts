/**
 * What explains that a message had to come again, other than its worker's own doing: a fault, an outage, the end of a
 * process, a write that fails as it was drawn to, or a message that it waits behind.
 *
 * Nothing is noted or judged here.
 */
import type { History } from './history.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';
import { flakyFailures, POISON, type Work } from './workload.ts';

/** A fault this long before a receive may explain it: a request that arrives late, a connection that lingers. */
const FAULT_REACH_MS = 60_000;
/** A poison costs a healthy message a receive for each of the two times when nobody suspects it, and one more. */
const RECEIVES_PER_POISON_MAX = 3;

export function isExplained(history: History, receipt: Receipt, next: Receipt | undefined): boolean {
  if (receipt.explained) return true;
  const fromMs = receipt.atMs - FAULT_REACH_MS;
  const toMs = next?.atMs ?? history.nowMs;
  const isInOutage = history.outages.some((outage) => outage.toMs >= fromMs && outage.fromMs <= toMs);
  return isInOutage || isFaulted(history, receipt, toMs);
}

/** Whether a fault of its own, or the end of the process, took it from the worker that held it. */
export function isTornAway(history: History, receipt: Receipt, toMs: number): boolean {
  return receipt.explained || isFaulted(history, receipt, toMs) || isPoisoned(history, receipt);
}

/** Receives that the write function costs a message: its own failures, and on FIFO those of what it waits behind. */
export function flakyFailuresBefore(history: History, message: StoredMessage): number {
  return history.queue.messages
    .filter((each) => each === message || mayHoldUp(history, each, message))
    .reduce((sum, each) => sum + flakyFailures(each.sent.work), 0);
}

/** How many of the receives ended with a process that a poison ended, as far as the poisons that there are may cost. */
export function poisonedAmong(history: History, receipts: readonly Receipt[]): number {
  const poisons = history.queue.messages.filter(({ sent }) => sent.work.value === POISON).length;
  const poisoned = receipts.filter((receipt) => isPoisoned(history, receipt));
  return Math.min(poisoned.length, poisons * RECEIVES_PER_POISON_MAX);
}

export function isBehindDoomed(
  history: History,
  { message }: Receipt,
  isMeant: (work: Work) => boolean = () => true,
): boolean {
  return history.queue.messages.some(
    (each) => each.sent.fate === 'moved' && isMeant(each.sent.work) && mayHoldUp(history, each, message),
  );
}

/** Whether one may have been shown before the other: in the order of a group, but where the queue itself passed it. */
function mayHoldUp(
  { configuration, passedByQueue }: History,
  one: StoredMessage,
  { sent, group }: StoredMessage,
): boolean {
  if (!configuration.fifo || one.group !== group) return false;
  return one.sent.index < sent.index || passedByQueue.has(group);
}

/** Whether something was done to the worker that held it. */
function isFaulted({ incarnations }: History, { worker, atMs: receivedAtMs }: Receipt, toMs: number): boolean {
  const fromMs = receivedAtMs - FAULT_REACH_MS;
  return incarnations.get(worker)?.faultsAtMs.some((atMs) => atMs >= fromMs && atMs <= toMs) === true;
}

/** Whether the worker that held it ended by what it wrote. */
function isPoisoned({ incarnations }: History, { worker }: Receipt): boolean {
  return incarnations.get(worker)?.poisonedAtMs !== undefined;
}
