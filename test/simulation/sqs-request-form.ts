/**
 * What SQS refuses for the form of a request alone, by the code that it answers with; undefined where the form is good.
 *
 * It knows no queue's content, and nothing here is drawn by chance.
 */
import type { SendMessageCommandInput } from '@aws-sdk/client-sqs';

/** SQS quotas. */
const BATCH_ENTRIES_MAX = 10;
const BATCH_BYTES_MAX = 1_048_576;
export const MESSAGE_BYTES_MAX = 1_048_576;
const MESSAGE_ATTRIBUTES_MAX = 10;
const DELAY_SECONDS_MAX = 900;
const VISIBILITY_SECONDS_MAX = 43_200;
const WAIT_SECONDS_MAX = 20;
const MESSAGES_PER_RECEIVE_MAX = 10;

/** Everything of Unicode but surrogates by themselves, U+FFFE, U+FFFF and controls other than tab and line ends. */
const ALLOWED_TEXT = /^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u;
const ENTRY_ID = /^[\w-]{1,80}$/;

export type Message = Pick<
  SendMessageCommandInput,
  'MessageBody' | 'MessageAttributes' | 'DelaySeconds' | 'MessageGroupId' | 'MessageDeduplicationId'
>;

export interface QueueForm {
  readonly fifo: boolean;
  readonly contentBasedDeduplication?: boolean;
  readonly messageBytesMax?: number;
}

export function messageFault(message: Message, queue: QueueForm): string | undefined {
  const { fifo, contentBasedDeduplication, messageBytesMax = MESSAGE_BYTES_MAX } = queue;
  const { MessageBody: body = '', MessageAttributes: attributes = {}, DelaySeconds: delaySeconds } = message;
  if (body === '') return 'MissingParameter';
  if (!ALLOWED_TEXT.test(body)) return 'InvalidMessageContents';
  if (Object.keys(attributes).length > MESSAGE_ATTRIBUTES_MAX) return 'InvalidParameterValue';
  if (messageBytes(message) > messageBytesMax) return 'InvalidParameterValue';
  if (delaySeconds !== undefined && !isWithin(delaySeconds, 0, DELAY_SECONDS_MAX)) return 'InvalidParameterValue';
  if (!fifo) return undefined;
  if (delaySeconds !== undefined && delaySeconds > 0) return 'InvalidParameterValue';
  if (message.MessageGroupId === undefined) return 'MissingParameter';
  const hasId = message.MessageDeduplicationId !== undefined || contentBasedDeduplication === true;
  return hasId ? undefined : 'InvalidParameterValue';
}

/** Of a batch as a whole: its entries are then looked at one by one. */
export function batchFault(entries: readonly { readonly Id?: string | undefined }[]): string | undefined {
  const ids = entries.map(({ Id: id }) => id ?? '');
  if (ids.length === 0) return 'EmptyBatchRequest';
  if (ids.length > BATCH_ENTRIES_MAX) return 'TooManyEntriesInBatchRequest';
  if (!ids.every((id) => ENTRY_ID.test(id))) return 'InvalidBatchEntryId';
  return new Set(ids).size < ids.length ? 'BatchEntryIdsNotDistinct' : undefined;
}

export function sendBatchFault(entries: readonly (Message & { readonly Id?: string | undefined })[]) {
  const bytes = entries.reduce((sum, entry) => sum + messageBytes(entry), 0);
  return batchFault(entries) ?? (bytes > BATCH_BYTES_MAX ? 'BatchRequestTooLong' : undefined);
}

export function receiveFault(messagesMax: number, waitSeconds: number, visibilitySeconds: number | undefined) {
  const isGood =
    isWithin(messagesMax, 1, MESSAGES_PER_RECEIVE_MAX) &&
    isWithin(waitSeconds, 0, WAIT_SECONDS_MAX) &&
    visibilityFault(visibilitySeconds ?? 0) === undefined;
  return isGood ? undefined : 'InvalidParameterValue';
}

export function visibilityFault(seconds: number): string | undefined {
  return isWithin(seconds, 0, VISIBILITY_SECONDS_MAX) ? undefined : 'InvalidParameterValue';
}

function messageBytes({ MessageBody: body = '', MessageAttributes: attributes = {} }: Message): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, { DataType: type = '', StringValue: text = '', BinaryValue: binary }] of Object.entries(
    attributes,
  )) {
    bytes += Buffer.byteLength(name + type + text) + (binary?.byteLength ?? 0);
  }
  return bytes;
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
