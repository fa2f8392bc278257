/** Outage: who knows that the database is away receives nothing, and nothing comes again that is held. */
import type { History } from './history.ts';
import { flakyFailuresBefore, isBehindDoomed, isTornAway } from './judge-explanations.ts';
import type { Incarnation } from './process.ts';
import type { Receipt } from './sqs-message.ts';

/** A bisection that is under way when the first connection is refused is carried to its end. */
const NOTICE_MS = 20_000;
/** As outage.ts has it. */
const HELD_MS_MAX = 300_000;
/** A poll that is under way when the outage is met may bring a message so much later, which is held so much shorter. */
const LONG_POLL_MS = 20_000;

export function judgeReceiveInOutage(history: History, { worker, askedAtMs, message }: Receipt): void {
  history.judged('outage');
  const process = history.incarnations.get(worker);
  if (process !== undefined && knowsOfOutage(process, askedAtMs)) {
    history.violated('outage', `${worker} receives ${message.messageId} although it knows that the database is away`);
  }
}

function knowsOfOutage({ refusedSinceMs, pausedUntilMs }: Incarnation, askedAtMs: number): boolean {
  if (refusedSinceMs === undefined || pausedUntilMs > refusedSinceMs) return false;
  return askedAtMs > refusedSinceMs + NOTICE_MS;
}

/**
 * Held messages stay held: two receives within one outage need a fault of their own. One that was kept for as long as
 * messages are kept may be received once more by a worker that has not met the outage yet, having had nothing to write.
 */
export function judgeComingAgain(history: History, before: Receipt): void {
  const { nowMs } = history;
  const { messageId, sent, receipts } = before.message;
  const outage = history.outages.find(({ fromMs, toMs }) => fromMs <= before.atMs && nowMs <= toMs);
  if (outage === undefined || sent.fate === 'moved' || isBehindDoomed(history, before)) return;
  if (flakyFailuresBefore(history, before.message) > 0 || isTornAway(history, before, nowMs)) return;
  const isUnexplained = (each: Receipt, index: number) =>
    each.atMs >= outage.fromMs && !isTornAway(history, each, receipts[index + 1]!.atMs);
  if (nowMs >= before.atMs + HELD_MS_MAX - LONG_POLL_MS && !receipts.slice(0, -2).some(isUnexplained)) {
    history.count('state: given back after five minutes, and received once more in the same outage');
  } else history.violated('outage', `${messageId} came again while the database was away`);
}
