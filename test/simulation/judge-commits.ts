/**
 * Effect and order: at most one commit per key, equal to what a valid payload of that key says, key and rows together;
 * and of a group nothing before what was sent earlier and is still there.
 *
 * Only here are effects noted.
 */
import { type History, isSame } from './history.ts';
import type { Transaction } from './postgres-model.ts';
import type { StoredMessage } from './sqs-message.ts';
import type { Work } from './workload.ts';

export function judgeCommit(history: History, transaction: Transaction): void {
  history.judged('effect');
  if (history.configuration.fifo) history.judged('order');
  const together: Work[] = [];
  for (const work of transaction.effects) {
    const meant = history.queue.messages.filter(
      ({ sent }) => isSame(sent.work, work) && sent.fate.startsWith('stored'),
    );
    if (meant.length === 0) history.violated('effect', `${work.id} was committed with what no valid payload says`);
    if (meant.some((message) => history.isHalted(message))) {
      history.violated('order', `${work.id} was committed although its group is halted`);
    }
    if (history.effects.has(work.id)) history.violated('effect', `${work.id} was committed twice`);
    if (!transaction.keys.has(work.id)) history.violated('effect', `${work.id} was committed without its key`);
    judgeOrder(history, meant, together);
    together.push(work);
    history.effects.set(work.id, work);
  }
  judgeFence(history, transaction);
  const wrote = new Set(together.map(({ id }) => id));
  for (const key of transaction.keys.keys()) {
    if (!wrote.has(key)) history.violated('effect', `the key ${key} was committed without its rows`);
  }
}

function judgeOrder(history: History, meant: readonly StoredMessage[], together: readonly Work[]): void {
  const { queue, configuration, copied } = history;
  if (!configuration.fifo) return;
  const own = meant.find(({ where }) => where === 'source') ?? meant[0];
  if (own === undefined) return;
  if (own.where === 'dead-letter queue') history.count('state: a commit that was under way when SQS moved its message');
  const overtaken = queue.messages.find(
    ({ where, group, sent, messageId }) =>
      where === 'source' &&
      // One that has its copy in the dead-letter queue has left its group; if it comes again, the fence has passed it.
      !copied.has(messageId) &&
      group === own.group &&
      sent.index < own.sent.index &&
      (sent.fate === 'stored' || sent.fate === 'moved') &&
      !history.isCommitted(sent) &&
      !together.some((other) => isSame(other, sent.work)),
  );
  if (overtaken !== undefined && !history.passedByQueue.has(own.group)) {
    history.violated('order', `${own.messageId} was committed before ${overtaken.messageId} of its group`);
  }
}

/** Whatever the queue shows first, nothing is stored behind what was sent later: the key says which message it was. */
function judgeFence(history: History, { keys }: Transaction): void {
  const { queue, configuration, furthest } = history;
  if (!configuration.fifo) return;
  const stored = queue.messages.filter(({ sent, messageId }) => keys.get(sent.work.id)?.messageId === messageId);
  for (const { messageId, sent, group } of stored) {
    const later = furthest.get(group);
    if (later !== undefined && later.sent.index > sent.index) {
      history.violated('order', `${messageId} was committed behind ${later.messageId}, which was sent after it`);
    }
  }
  for (const message of stored) furthest.set(message.group, message);
}
