/**
 * Lease: no commit is sent without one on everything in it, no visibility is changed without one, and what was given back
 * is not hidden again.
 *
 * Only here is it noted what was given back.
 */
import type { History } from './history.ts';
import { judgeReturn } from './judge-returns.ts';
import type { Transaction } from './postgres-model.ts';
import type { Incarnation } from './process.ts';
import { isExtension } from './sqs-handles.ts';
import type { Receipt } from './sqs-message.ts';

/** At the instant at which the worker sends it. */
export function judgeCommitSent(history: History, process: Incarnation, { effects }: Transaction): void {
  history.judged('lease');
  for (const { id } of effects) {
    const receipts = history.queue.messages.flatMap((message) =>
      message.sent.work.id === id ? message.receipts.filter(({ worker }) => worker === process.name) : [],
    );
    if (!receipts.some((receipt) => receipt.explained || isLeased(receipt, history.nowMs))) {
      history.violated('lease', `${process.name} sends the commit of ${id} without a lease`);
    }
  }
}

/** At the instant at which the worker sends it. */
export function judgeChange(history: History, receipt: Receipt, seconds: number): void {
  history.judged('lease');
  // Whose return took effect without its worker's hearing of it may ask again, until the lease would have ended.
  const endMs = history.givenBack.get(receipt);
  const isOurs = endMs === undefined ? isLeased(receipt, history.nowMs) : endMs > history.nowMs;
  if (!receipt.explained && !isOurs) {
    history.violated(
      'lease',
      `${receipt.worker} changes the visibility of ${receipt.message.messageId} without a lease`,
    );
  }
  history.incarnations.get(receipt.worker)?.load.changes(receipt);
  // Those that are set apart from a suspect get several leases at once.
  if (!isExtension(receipt, seconds, history.configuration.visibilityTimeoutSeconds, history.nowMs)) {
    history.givenBack.set(receipt, endMs ?? receipt.message.visibleAtMs);
    history.incarnations.get(receipt.worker)?.load.left(receipt);
    judgeReturn(history, receipt, seconds);
  } else if (endMs !== undefined) {
    history.violated('lease', `${receipt.worker} hides ${receipt.message.messageId} again after giving it back`);
  }
}

function isLeased(receipt: Receipt, nowMs: number): boolean {
  const { message } = receipt;
  return message.receipts.at(-1) === receipt && message.visibleAtMs > nowMs;
}
