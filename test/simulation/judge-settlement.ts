/**
 * Settlement: a delete that SQS failed by its own fault is asked for again, a bounded number of times.
 *
 * Only here are deletes noted.
 */
import type { History } from './history.ts';
import type { Receipt } from './sqs-message.ts';

/** As settlement.ts has it. */
const SETTLE_ATTEMPTS_MAX = 5;
/** The longest back-off after four attempts is 1.6 s; the answer that tells of a failed entry is on its way for 30 ms. */
const ASKED_AGAIN_MS_MAX = 2_000;

export function noteDelete(history: History, receipt: Receipt): void {
  const { deletes, incarnations } = history;
  const asked = (deletes.get(receipt)?.asked ?? 0) + 1;
  deletes.set(receipt, { asked, failedAtMs: undefined });
  if (asked < SETTLE_ATTEMPTS_MAX) return;
  // Whatever becomes of it, nobody asks again.
  incarnations.get(receipt.worker)?.load.left(receipt);
  if (asked > SETTLE_ATTEMPTS_MAX) {
    history.violated('bounds', `${receipt.worker} asks ${asked} times for the delete of ${receipt.message.messageId}`);
  }
}

export function noteFailedEntry(history: History, receipt: Receipt): void {
  history.judged('settlement');
  const deletes = history.deletes.get(receipt);
  if (deletes !== undefined) deletes.failedAtMs = history.nowMs;
}

/** When the message comes again. */
export function judgeSettlement(history: History, before: Receipt): void {
  const deletes = history.deletes.get(before);
  if (deletes?.failedAtMs === undefined || deletes.asked >= SETTLE_ATTEMPTS_MAX || before.explained) return;
  const { failedAtMs } = deletes;
  // Its lease had ended when it was asked for: it comes again before it could be asked for once more.
  if (history.nowMs < failedAtMs + ASKED_AGAIN_MS_MAX) return;
  const process = history.incarnations.get(before.worker);
  if (process?.alive !== true || process.pausedUntilMs > failedAtMs) return;
  history.violated('settlement', `${before.worker} leaves the delete of ${before.message.messageId} that SQS failed`);
}
