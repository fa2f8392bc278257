/**
 * A message that can never succeed, and the copy of it that goes to the dead-letter queue: the same body with
 * the reason as attributes, so that a person who looks there sees why without looking elsewhere.
 */
import type { RejectionClass } from '../outcome.ts';
import { bytesOf } from './delivery.ts';
import type { DeadLetter, ReceivedMessage } from './queue-client.ts';

/** What the dead-letter queue and the table of rejections are told. */
export interface Rejection {
  readonly queueName: string;
  /** Of the message as it was in its own queue; a repeated copy counts once by it. */
  readonly messageId: string;
  /** Printable ASCII, at most 200 characters. */
  readonly reason: string;
  readonly errorClass: RejectionClass;
  /** The group that nothing more is stored of, until a person lets it go on; undefined where a rejection is skipped. */
  readonly haltsGroup: string | undefined;
}

export const REJECTION_ATTRIBUTES = {
  reason: 'RejectionReason',
  errorClass: 'RejectionClass',
  sourceQueue: 'RejectionSourceQueue',
  messageId: 'RejectionMessageId',
} as const;

/** SQS quota. */
const MESSAGE_ATTRIBUTES_MAX = 10;
/** Names, types and values of the four attributes; generous, since a reason has at most 200 characters. */
const REJECTION_BYTES_MAX = 1_024;

/** @param messageBytesMax the largest message that the dead-letter queue takes, which the template makes its source's too. */
export function deadLetterFor(message: ReceivedMessage, rejection: Rejection, messageBytesMax: number): DeadLetter {
  const text = (value: string) => ({ DataType: 'String', StringValue: value });
  const added = {
    [REJECTION_ATTRIBUTES.reason]: text(rejection.reason),
    [REJECTION_ATTRIBUTES.errorClass]: text(rejection.errorClass),
    [REJECTION_ATTRIBUTES.sourceQueue]: text(rejection.queueName),
    [REJECTION_ATTRIBUTES.messageId]: text(rejection.messageId),
  };
  const attributes = { ...message.attributes, ...added };
  const fits =
    Object.keys(attributes).length <= MESSAGE_ATTRIBUTES_MAX &&
    bytesOf(message) + REJECTION_BYTES_MAX <= messageBytesMax;
  return {
    body: message.body,
    // Where they do not fit, the reason is in PostgreSQL's table of rejections alone.
    attributes: fits ? attributes : message.attributes,
    traceHeader: message.traceHeader,
    messageGroupId: message.messageGroupId,
    deduplicationId: `${message.messageId}:rejected`,
  };
}
