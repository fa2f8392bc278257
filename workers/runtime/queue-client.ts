/**
 * The edge to SQS: one queue and its dead-letter queue, as the runtime sees them.
 *
 * Holds always: every call has a deadline, since the SDK's own default is none and a network that swallows
 * packets would hang a poll for ever; the SDK does not retry, because the runtime decides that; a batch's
 * entries carry their index as id, since the same message can be in one batch twice and SQS refuses a batch
 * whose ids are not distinct; settling has sockets of its own, so that it never waits behind long polls.
 */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';

/** Most that one receive, and one batch call, can carry (SQS quotas). */
export const MESSAGES_PER_RECEIVE_MAX = 10;
/** SQS's longest: the fewest empty receives. */
export const LONG_POLL_SECONDS = 20;
/** A long poll answers within 20 s; the rest is the network's. */
const RECEIVE_DEADLINE_MS = 26_000;
const CALL_DEADLINE_MS = 10_000;
const CONNECT_DEADLINE_MS = 3_000;
const SOCKETS_MAX = 32;

export interface ReceivedMessage {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  /** How often SQS has handed it out, this time included. */
  readonly receiveCount: number;
  /** FIFO only: messages of one group come in order. */
  readonly messageGroupId: string | undefined;
  /** Milliseconds since 1970, when SQS accepted it. */
  readonly sentTimestampMs: number;
  /** As they came: they go with a rejected message into the dead-letter queue. */
  readonly attributes: NonNullable<Message['MessageAttributes']>;
}

export interface VisibilityChange {
  readonly receiptHandle: string;
  readonly visibilityTimeoutSeconds: number;
}

/** One entry's result: `gone` when the handle is no longer ours, `failed` when the call may be tried again. */
export type EntryResult = 'done' | 'gone' | 'failed';

export interface DeadLetter {
  readonly body: string;
  readonly attributes: NonNullable<Message['MessageAttributes']>;
  readonly messageGroupId: string | undefined;
  readonly deduplicationId: string;
}

export interface QueueFacts {
  readonly visibilityTimeoutSeconds: number;
  readonly fifo: boolean;
  readonly hasDeadLetterQueue: boolean;
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
  /** Called once for every request that goes out, retries included: SQS bills each. */
  readonly onRequest: (operation: SqsOperation) => void;
  /**
   * Opens a client whose every call ends by its deadline.
   *
   * @default a client of the SDK with sockets of its own
   */
  readonly openClient?: (deadlineMs: number) => SqsCalls;
}

/** The part of the SDK's client that is used here. */
export type SqsCalls = Pick<SQSClient, 'send' | 'destroy'>;

export class SqsQueue implements QueueClient {
  readonly #options: SqsQueueOptions;
  readonly #polls: SqsCalls;
  readonly #calls: SqsCalls;

  constructor(options: SqsQueueOptions) {
    this.#options = options;
    const open = options.openClient ?? ((deadlineMs) => sqsClient(options.region, deadlineMs));
    this.#polls = open(RECEIVE_DEADLINE_MS);
    this.#calls = open(CALL_DEADLINE_MS);
  }

  async describe(): Promise<QueueFacts> {
    this.#options.onRequest('describe');
    const { Attributes: attributes = {} } = await this.#calls.send(
      new GetQueueAttributesCommand({ QueueUrl: this.#options.queueUrl, AttributeNames: ['All'] }),
    );
    return {
      visibilityTimeoutSeconds: Number(attributes.VisibilityTimeout ?? Number.NaN),
      fifo: attributes.FifoQueue === 'true',
      hasDeadLetterQueue: attributes.RedrivePolicy !== undefined,
    };
  }

  async receive(signal: AbortSignal): Promise<ReceivedMessage[]> {
    this.#options.onRequest('receive');
    const { Messages: messages = [] } = await this.#polls.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#options.queueUrl,
        MaxNumberOfMessages: MESSAGES_PER_RECEIVE_MAX,
        WaitTimeSeconds: LONG_POLL_SECONDS,
        MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp', 'MessageGroupId'],
        MessageAttributeNames: ['All'],
      }),
      { abortSignal: signal },
    );
    return messages.map(readReceived);
  }

  async deleteBatch(receiptHandles: readonly string[]): Promise<EntryResult[]> {
    this.#options.onRequest('delete');
    const { Failed: failed = [] } = await this.#calls.send(
      new DeleteMessageBatchCommand({
        QueueUrl: this.#options.queueUrl,
        Entries: receiptHandles.map((receiptHandle, index) => ({ Id: String(index), ReceiptHandle: receiptHandle })),
      }),
    );
    return entryResults(receiptHandles.length, failed);
  }

  async changeVisibilityBatch(changes: readonly VisibilityChange[]): Promise<EntryResult[]> {
    this.#options.onRequest('changeVisibility');
    const { Failed: failed = [] } = await this.#calls.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: this.#options.queueUrl,
        Entries: changes.map((change, index) => ({
          Id: String(index),
          ReceiptHandle: change.receiptHandle,
          VisibilityTimeout: change.visibilityTimeoutSeconds,
        })),
      }),
    );
    return entryResults(changes.length, failed);
  }

  async sendDeadLetter(letter: DeadLetter): Promise<void> {
    this.#options.onRequest('send');
    await this.#calls.send(
      new SendMessageCommand({
        QueueUrl: this.#options.deadLetterQueueUrl,
        MessageBody: letter.body,
        MessageAttributes: letter.attributes,
        // A message of a standard queue can have a group too (fair queues), and SQS refuses a deduplication id there.
        ...(this.#options.deadLetterQueueUrl.endsWith('.fifo')
          ? { MessageGroupId: letter.messageGroupId, MessageDeduplicationId: letter.deduplicationId }
          : {}),
      }),
    );
  }

  close(): void {
    this.#polls.destroy();
    this.#calls.destroy();
  }
}

function sqsClient(region: string | undefined, deadlineMs: number): SQSClient {
  return new SQSClient({
    ...(region === undefined ? {} : { region }),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_DEADLINE_MS,
      requestTimeout: deadlineMs,
      // Without this the SDK only logs that the time has passed, and goes on waiting.
      throwOnRequestTimeout: true,
      socketTimeout: deadlineMs,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
    },
  });
}

function readReceived(message: Message): ReceivedMessage {
  const { MessageId: messageId, ReceiptHandle: receiptHandle } = message;
  if (messageId === undefined || receiptHandle === undefined) {
    throw new Error('SQS returned a message without an id or a receipt handle');
  }
  return {
    messageId,
    receiptHandle,
    body: message.Body ?? '',
    receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
    messageGroupId: message.Attributes?.MessageGroupId,
    sentTimestampMs: Number(message.Attributes?.SentTimestamp ?? Date.now()),
    attributes: message.MessageAttributes ?? {},
  };
}

interface FailedEntry {
  readonly Id: string | undefined;
  readonly SenderFault: boolean | undefined;
  readonly Code: string | undefined;
}

/**
 * Read by id, never by position: SQS answers in any order. A sender's fault here means that the handle is stale,
 * unless the sender, or its KMS key, was only asked for too much at once.
 */
function entryResults(entries: number, failed: readonly FailedEntry[]): EntryResult[] {
  const results: EntryResult[] = new Array<EntryResult>(entries).fill('done');
  for (const { Id: id, SenderFault: senderFault, Code: code = '' } of failed) {
    results[Number(id)] = senderFault === true && !/throttl/i.test(code) ? 'gone' : 'failed';
  }
  return results;
}

/** Three receive deadlines of 20 s fit into a lease; anything shorter expires in the hands of a healthy worker. */
export const VISIBILITY_TIMEOUT_SECONDS_MIN = 60;

/** @throws Error when the queue would lose or repeat work however well the worker behaves. */
export function checkFacts(facts: QueueFacts, queueUrl: string): void {
  if (!(facts.visibilityTimeoutSeconds >= VISIBILITY_TIMEOUT_SECONDS_MIN)) {
    throw new Error(
      `cannot start: the visibility timeout of ${queueUrl} is ${facts.visibilityTimeoutSeconds} s; at least ${VISIBILITY_TIMEOUT_SECONDS_MIN} s, three receive deadlines, are needed`,
    );
  }
  if (!facts.hasDeadLetterQueue) {
    throw new Error(
      `cannot start: ${queueUrl} has no dead-letter queue; give it a RedrivePolicy, or a message that fails would come back for ever`,
    );
  }
}
