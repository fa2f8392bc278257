/**
 * The edge to SQS: one queue and its dead-letter queue, as the runtime sees them.
 *
 * Holds always: every call has a deadline, since the SDK's own default is none and a network that swallows
 * packets would hang a poll for ever; after a deadline the next call takes new sockets, since the old ones may be half
 * open; the SDK does not retry, because the runtime decides that; a batch's entries carry their index as id, since the
 * same message can be in one batch twice and SQS refuses a batch whose ids are not distinct; settling has sockets of
 * its own, so that it never waits behind long polls.
 */
import { hash } from 'node:crypto';
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
} from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { openSqsClient, RenewedClient, type SqsCalls } from './sqs-sockets.ts';

export type { SqsCalls };

/** Most that one receive, and one batch call, can carry (SQS quotas). */
export const MESSAGES_PER_RECEIVE_MAX = 10;
/** The largest message that SQS takes, attributes included (SQS quotas). */
export const MESSAGE_BYTES_MAX = 1_048_576;
/** SQS's longest: the fewest empty receives. */
export const LONG_POLL_SECONDS = 20;
/** A long poll answers within 20 s; the rest is the network's. */
export const RECEIVE_DEADLINE_MS = 26_000;
export const CALL_DEADLINE_MS = 10_000;

export interface ReceivedMessage {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  /** How often SQS has handed it out, this time included. */
  readonly receiveCount: number;
  /** On FIFO messages of one group come in order; on a standard queue it is a tenant to be fair to, if there is one. */
  readonly messageGroupId: string | undefined;
  /** FIFO only: grows within a group. */
  readonly sequenceNumber: string | undefined;
  /** Milliseconds since 1970, when SQS accepted it; undefined from a server that does not say. */
  readonly sentTimestampMs: number | undefined;
  /** As they came: they go with a rejected message into the dead-letter queue. */
  readonly attributes: NonNullable<Message['MessageAttributes']>;
  /** AWSTraceHeader, the context of the sender's trace; it goes along too. */
  readonly traceHeader: string | undefined;
}

export interface VisibilityChange {
  readonly receiptHandle: string;
  readonly visibilityTimeoutSeconds: number;
}

/**
 * One entry's result: `gone` when the handle is no longer ours, `failed` when the call may be tried again, `refused` when
 * SQS would hide the message for too long in all, and hides it as before.
 */
export type EntryResult = 'done' | 'gone' | 'failed' | 'refused';

export interface DeadLetter {
  readonly body: string;
  readonly attributes: NonNullable<Message['MessageAttributes']>;
  readonly traceHeader: string | undefined;
  readonly messageGroupId: string | undefined;
  readonly deduplicationId: string;
}

export interface QueueFacts {
  readonly visibilityTimeoutSeconds: number;
  readonly fifo: boolean;
  /** After so many receives SQS moves a message to the dead-letter queue; undefined without one. */
  readonly maxReceiveCount: number | undefined;
  /** The largest message that the queue takes. */
  readonly messageBytesMax: number;
  /** Tells a queue from one of the same name that was there before it: sequence numbers may begin anew. */
  readonly createdTimestamp: string;
}

/** What the runtime needs of a queue; the simulator and the tests put their own in its place. */
export interface QueueClient {
  describe(): Promise<QueueFacts>;
  receive(signal: AbortSignal): Promise<ReceivedMessage[]>;
  /** At most ten; results in the order of the handles. */
  deleteBatch(receiptHandles: readonly string[]): Promise<EntryResult[]>;
  /** At most ten; results in the order of the changes. */
  changeVisibilityBatch(changes: readonly VisibilityChange[]): Promise<EntryResult[]>;
  sendDeadLetter(letter: DeadLetter): Promise<void>;
  close(): void;
}

export type SqsOperation = 'receive' | 'delete' | 'changeVisibility' | 'send' | 'describe';

export interface SqsQueueOptions {
  readonly queueUrl: string;
  readonly deadLetterQueueUrl: string;
  readonly region: string | undefined;
  /** Called once for every request that goes out, since SQS bills each; what it returns is called at its end, with its error. */
  readonly onRequest: (operation: SqsOperation) => (error?: unknown) => void;
  /** Told of a message that came damaged, beside others that did not: it is left alone, and comes again. */
  readonly onDamaged: (error: unknown) => void;
  /**
   * Opens a client whose every call ends by its deadline.
   *
   * @default a client of the SDK with sockets of its own
   */
  readonly openClient?: (deadlineMs: number) => SqsCalls;
}

export class SqsQueue implements QueueClient {
  readonly #options: SqsQueueOptions;
  readonly #polls: RenewedClient;
  readonly #calls: RenewedClient;

  constructor(options: SqsQueueOptions) {
    this.#options = options;
    const open = options.openClient ?? ((deadlineMs) => openSqsClient(options.region, deadlineMs));
    this.#polls = new RenewedClient(() => open(RECEIVE_DEADLINE_MS));
    this.#calls = new RenewedClient(() => open(CALL_DEADLINE_MS));
  }

  async describe(): Promise<QueueFacts> {
    const { Attributes: attributes } = await this.#request('describe', () =>
      this.#calls.send(new GetQueueAttributesCommand({ QueueUrl: this.#options.queueUrl, AttributeNames: ['All'] })),
    );
    return factsSchema.parse(attributes ?? {});
  }

  async receive(signal: AbortSignal): Promise<ReceivedMessage[]> {
    const { Messages: messages = [] } = await this.#request('receive', () =>
      this.#polls.send(
        new ReceiveMessageCommand({
          QueueUrl: this.#options.queueUrl,
          MaxNumberOfMessages: MESSAGES_PER_RECEIVE_MAX,
          WaitTimeSeconds: LONG_POLL_SECONDS,
          MessageSystemAttributeNames: [
            'ApproximateReceiveCount',
            'SentTimestamp',
            'MessageGroupId',
            'SequenceNumber',
            'AWSTraceHeader',
          ],
          MessageAttributeNames: ['All'],
        }),
        { abortSignal: signal },
      ),
    );
    return this.#readable(messages);
  }

  /** @throws Error when there is none among them: who asked at once again would have all of them counted to death. */
  #readable(messages: readonly Message[]): ReceivedMessage[] {
    const isFifo = this.#options.queueUrl.endsWith('.fifo');
    const received: ReceivedMessage[] = [];
    const problems: unknown[] = [];
    const brokenGroups = new Set<string | undefined>();
    for (const message of messages) {
      const group = message.Attributes?.MessageGroupId;
      // What stands behind a damaged one in its group comes again after it, and never before.
      if (isFifo && brokenGroups.has(group)) continue;
      try {
        received.push(readReceived(message));
      } catch (error) {
        problems.push(error);
        brokenGroups.add(group);
      }
    }
    if (problems.length > 0 && received.length === 0) throw problems[0];
    for (const problem of problems) this.#options.onDamaged(problem);
    return received;
  }

  async deleteBatch(receiptHandles: readonly string[]): Promise<EntryResult[]> {
    const { Failed: failed = [] } = await this.#request('delete', () =>
      this.#calls.send(
        new DeleteMessageBatchCommand({
          QueueUrl: this.#options.queueUrl,
          Entries: receiptHandles.map((receiptHandle, index) => ({ Id: String(index), ReceiptHandle: receiptHandle })),
        }),
      ),
    );
    return entryResults(receiptHandles.length, failed);
  }

  async changeVisibilityBatch(changes: readonly VisibilityChange[]): Promise<EntryResult[]> {
    const { Failed: failed = [] } = await this.#request('changeVisibility', () =>
      this.#calls.send(
        new ChangeMessageVisibilityBatchCommand({
          QueueUrl: this.#options.queueUrl,
          Entries: changes.map((change, index) => ({
            Id: String(index),
            ReceiptHandle: change.receiptHandle,
            VisibilityTimeout: change.visibilityTimeoutSeconds,
          })),
        }),
      ),
    );
    return entryResults(changes.length, failed);
  }

  async sendDeadLetter(letter: DeadLetter): Promise<void> {
    const { traceHeader } = letter;
    const { MessageId: messageId, MD5OfMessageBody: md5 } = await this.#request('send', () =>
      this.#calls.send(
        new SendMessageCommand({
          QueueUrl: this.#options.deadLetterQueueUrl,
          MessageBody: letter.body,
          MessageAttributes: letter.attributes,
          ...(traceHeader !== undefined && {
            MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: traceHeader } },
          }),
          // On a standard queue a group is a tenant (fair queues); a deduplication id SQS refuses there.
          ...(letter.messageGroupId !== undefined && { MessageGroupId: letter.messageGroupId }),
          ...(this.#options.deadLetterQueueUrl.endsWith('.fifo') && {
            MessageDeduplicationId: letter.deduplicationId,
          }),
        }),
      ),
    );
    checkBody(messageId, letter.body, md5);
  }

  close(): void {
    this.#polls.destroy();
    this.#calls.destroy();
  }

  async #request<Output>(operation: SqsOperation, send: () => Promise<Output>): Promise<Output> {
    const ended = this.#options.onRequest(operation);
    try {
      const output = await send();
      ended();
      return output;
    } catch (error) {
      ended(error);
      throw error;
    }
  }
}

const redrivePolicySchema = z.object({ maxReceiveCount: z.coerce.number().int().min(1) });

const factsSchema = z
  .object({
    VisibilityTimeout: z.coerce.number(),
    FifoQueue: z.string().optional(),
    RedrivePolicy: z.string().optional(),
    MaximumMessageSize: z.coerce.number().int().min(1).default(MESSAGE_BYTES_MAX),
    CreatedTimestamp: z.string().default(''),
  })
  .transform(
    (attributes): QueueFacts => ({
      visibilityTimeoutSeconds: attributes.VisibilityTimeout,
      fifo: attributes.FifoQueue === 'true',
      maxReceiveCount:
        attributes.RedrivePolicy === undefined
          ? undefined
          : redrivePolicySchema.parse(JSON.parse(attributes.RedrivePolicy)).maxReceiveCount,
      messageBytesMax: attributes.MaximumMessageSize,
      createdTimestamp: attributes.CreatedTimestamp,
    }),
  );

/** The SDK would check it too, with an object and a promise for each message: it is off there. */
function checkBody(messageId: string | undefined, body: string, md5: string | undefined): void {
  if (hash('md5', body) === md5) return;
  throw new Error(
    `message ${messageId} has another body than SQS took: it was damaged on its way, and is asked for again`,
  );
}

function readReceived(message: Message): ReceivedMessage {
  const { MessageId: messageId, ReceiptHandle: receiptHandle } = message;
  if (messageId === undefined || receiptHandle === undefined) {
    throw new Error('SQS returned a message without an id or a receipt handle');
  }
  const body = message.Body ?? '';
  checkBody(messageId, body, message.MD5OfBody);
  const sentTimestamp = message.Attributes?.SentTimestamp;
  return {
    messageId,
    receiptHandle,
    body,
    receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
    messageGroupId: message.Attributes?.MessageGroupId,
    sequenceNumber: message.Attributes?.SequenceNumber,
    sentTimestampMs: sentTimestamp === undefined ? undefined : Number(sentTimestamp),
    attributes: message.MessageAttributes ?? {},
    traceHeader: message.Attributes?.AWSTraceHeader,
  };
}

interface FailedEntry {
  readonly Id: string | undefined;
  readonly SenderFault: boolean | undefined;
  readonly Code: string | undefined;
  readonly Message?: string | undefined;
}

/**
 * A stale handle has the same code; this one says that the total visibility timeout is beyond the limit. SQS counts the
 * twelve hours from the receive or, as others met it, from the first receive of all (localstack/localstack #3956).
 */
const TOO_LONG = /VisibilityTimeout.* beyond the limit/i;

/**
 * Read by id, never by position: SQS answers in any order. A sender's fault here means that the handle is stale,
 * unless the sender, or its KMS key, was only asked for too much at once.
 */
function entryResults(entries: number, failed: readonly FailedEntry[]): EntryResult[] {
  const results: EntryResult[] = new Array<EntryResult>(entries).fill('done');
  for (const { Id: id, SenderFault: senderFault, Code: code = '', Message: message = '' } of failed) {
    if (senderFault !== true || /throttl/i.test(code)) results[Number(id)] = 'failed';
    else results[Number(id)] = TOO_LONG.test(message) ? 'refused' : 'gone';
  }
  return results;
}

/**
 * A lease counts from the sending of its receive, which may take 26 s of it; at half of it extensions begin, and in the
 * 30 s that are left two of them may hang for 10 s each before a third. A shorter one could end in the hands of a healthy
 * worker.
 */
const VISIBILITY_TIMEOUT_SECONDS_MIN = 60;
/**
 * A message that ends its process takes its batch along twice; from the third receive on each is handled alone
 * (batcher.ts), and the others need one receive more than that.
 */
const RECEIVES_MIN = 4;

/** @throws Error when the queue would lose or repeat work however well the worker behaves. */
export function checkFacts(facts: QueueFacts, queueUrl: string): void {
  if (!(facts.visibilityTimeoutSeconds >= VISIBILITY_TIMEOUT_SECONDS_MIN)) {
    throw new Error(
      `cannot start: the visibility timeout of ${queueUrl} is ${facts.visibilityTimeoutSeconds} s; at least ${VISIBILITY_TIMEOUT_SECONDS_MIN} s are needed, of which a receive may take ${RECEIVE_DEADLINE_MS / 1000} s. Raise VisibilityTimeout`,
    );
  }
  if (facts.maxReceiveCount === undefined) {
    throw new Error(
      `cannot start: ${queueUrl} has no dead-letter queue; give it a RedrivePolicy, or a message that fails would come back for ever`,
    );
  }
  if (facts.maxReceiveCount < RECEIVES_MIN) {
    throw new Error(
      `cannot start: the maxReceiveCount of ${queueUrl} is ${facts.maxReceiveCount}; at least ${RECEIVES_MIN} are needed, or a message that ends its worker takes others with it into the dead-letter queue. Raise it in the RedrivePolicy`,
    );
  }
}
