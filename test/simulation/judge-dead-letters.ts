/**
 * Dead letters are earned: SQS moves, or a worker gives up, only what faults explain, and a copy is of a message
 * that is invalid by the test's own oracle, with that class and its reason recorded.
 *
 * Only here are copies noted.
 */
import { type History, isSame } from './history.ts';
import { flakyFailuresBefore, isBehindDoomed, isExplained, poisonedAmong } from './judge-explanations.ts';
import type { DeadLetterCopy, Receipt, StoredMessage } from './sqs-message.ts';
import { POISON } from './workload.ts';

export function judgeRedrive(history: History, message: StoredMessage): void {
  history.judged('dead letters are earned');
  const { sent, messageId, group, receipts } = message;
  if (sent.fate === 'moved') return;
  if (history.isCommitted(sent)) history.count('state: stored, and moved by SQS after its last delete failed');
  const wasted = receipts.filter((receipt, index) => !isExplained(history, receipt, receipts[index + 1]));
  // At its last receive: whatever it is behind was received as often, and lets it go on, but where the queue passed that.
  const mustGoOn = (receipt: Receipt) => receipt === receipts.at(-1) && !history.passedByQueue.has(group);
  // A poison's cost has a bound of its own.
  const isHeldUp = (receipt: Receipt) => isBehindDoomed(history, receipt, ({ value }) => value !== POISON);
  const own = wasted.filter((receipt) => mustGoOn(receipt) || !isHeldUp(receipt));
  const flaky = flakyFailuresBefore(history, message);
  if (own.length - poisonedAmong(history, own) <= flaky) {
    history.count('state: moved by SQS after faults');
    return;
  }
  const when = wasted.map(({ atMs, worker }) => `${Math.round(atMs / 1000)} s by ${worker}`).join(', ');
  history.violated(
    'dead letters are earned',
    `SQS moved ${messageId} (${sent.fate}); no fault explains the receives at ${when}`,
  );
}

export function judgeCopy(history: History, { body, attributes }: DeadLetterCopy): void {
  history.judged('dead letters are earned');
  const unearned = (detail: string) => history.violated('dead letters are earned', detail);
  const { queue, database, copied } = history;
  const messageId = attributes.get('RejectionMessageId') ?? '';
  const message = queue.messages.find((each) => each.messageId === messageId);
  if (message === undefined) {
    unearned(`a copy of an unknown message ${messageId}`);
    return;
  }
  const { sent } = message;
  const errorClass = attributes.get('RejectionClass') ?? '';
  if (copied.has(messageId)) history.count('state: a second copy in the dead-letter queue');
  copied.add(messageId);
  if (body !== sent.body) unearned(`the copy of ${messageId} has another body`);
  if (!database.rejections.has(messageId)) unearned(`the reason for rejecting ${messageId} is not recorded`);
  if (!isEarned(history, message, errorClass)) unearned(`${messageId} (${sent.fate}) was rejected as ${errorClass}`);
}

function isEarned(history: History, message: StoredMessage, errorClass: string): boolean {
  const { sent, receipts } = message;
  if (errorClass === sent.fate) return true;
  if (errorClass === 'KeyReused') {
    const other = history.effects.get(sent.work.id);
    return sent.fate === 'stored or KeyReused' && other !== undefined && !isSame(other, sent.work);
  }
  if (errorClass === 'RetriesExhausted') {
    if (receipts.length < history.configuration.maxReceiveCount) return false;
    // A worker does at its last receive what SQS would do at the next: what holds for that holds here.
    history.count('state: rejected after its last receive');
    judgeRedrive(history, message);
    return true;
  }
  // Where the queue itself showed a later one first, that one has moved the fence, or halted the group.
  const isPassed = history.passedByQueue.has(message.group);
  if (errorClass === 'OutOfOrder') return isPassed || isFencedOut(history, message);
  if (errorClass === 'GroupHalted') return isPassed || history.isHalted(message, history.database.rejections);
  return false;
}

/**
 * Whether a committed transaction moved its group's fence past it, for a reason that counts: what would never be stored
 * may be passed, and the reason of a second delivery is that it was.
 */
function isFencedOut({ count, database }: History, { sent, group, sequenceNumber }: StoredMessage): boolean {
  count('state: rejected because its group went on without it');
  const fence = database.fences.get(group);
  return fence !== undefined && fence.sequence > BigInt(sequenceNumber ?? -1) && sent.fate !== 'stored';
}
