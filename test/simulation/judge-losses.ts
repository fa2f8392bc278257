/** No loss: a delete is asked for after the commit or the dead-letter copy, and at rest nothing is nowhere. */
import type { History } from './history.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';

export function judgeDelete(history: History, { message, worker }: Receipt): void {
  history.judged('no loss');
  if (isKept(history, message)) return;
  history.violated('no loss', `${worker} deletes ${message.messageId}, which is neither committed nor copied`);
}

/** When nothing is left to be done. */
export function judgeLosses(history: History): void {
  for (const message of history.queue.messages) {
    const { sent, messageId, where } = message;
    if (isKept(history, message) || where === 'dead-letter queue') continue;
    history.violated('no loss', `${messageId} (${sent.fate}) is nowhere (${where})`);
  }
}

function isKept(history: History, { sent, messageId }: StoredMessage): boolean {
  return history.isCommitted(sent) || history.copied.has(messageId);
}
