/**
 * Order: of a group, what a worker gives back is not to be shown before what it gave back of it earlier, whether or not
 * the queue would hold it up for that.
 *
 * Nothing is noted here.
 */
import type { History } from './history.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';

/** At the instant at which the worker sends it. */
export function judgeReturn(history: History, receipt: Receipt, seconds: number): void {
  const { configuration, queue, passedByQueue, nowMs } = history;
  const { message, worker } = receipt;
  if (!configuration.fifo || passedByQueue.has(message.group)) return;
  history.judged('order');
  const shownAtMs = nowMs + seconds * 1000;
  // One whose return has taken effect, and that came with it, so that the worker knew of both. What can never be stored
  // need not be waited for.
  const isPassed = (earlier: StoredMessage): boolean => {
    const own = earlier.receipts.at(-1);
    return (
      earlier.where === 'source' &&
      earlier.isDelayed &&
      earlier.group === message.group &&
      earlier.sent.index < message.sent.index &&
      (earlier.sent.fate === 'stored' || earlier.sent.fate === 'moved') &&
      own?.worker === worker &&
      own.answer === receipt.answer &&
      history.givenBack.has(own) &&
      !history.isCommitted(earlier.sent) &&
      earlier.visibleAtMs > shownAtMs
    );
  };
  const passed = queue.messages.find(isPassed);
  if (passed === undefined) return;
  history.violated(
    'order',
    `${worker} gives back ${message.messageId} to be shown before ${passed.messageId} of its group`,
  );
}
