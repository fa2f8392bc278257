/**
 * The local run's own view of the SQS server: makes the queues, looks at their depths, reads dead letters.
 *
 * Its requests are the monitor's: they are not counted as what messages cost.
 */
import {
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ListQueuesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { SystemQueue } from './assembly/system.ts';
import type { Credentials } from './credentials.ts';
import { statusOfStrangeAnswer } from './strange-answer.ts';

const CALL_DEADLINE_MS = 10_000;
const CONNECT_DEADLINE_MS = 3_000;
/** Dead letters are looked at, not taken: hidden while they are read, and shown again after it. */
const READ_VISIBILITY_SECONDS = 120;
const MESSAGES_PER_RECEIVE_MAX = 10;
/** A long poll asks every host of a distributed queue; a short one asks some, and may miss what is there. */
const LONG_POLL_SECONDS = 1;

export interface QueueDepth {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
}

export interface DeadLetterRead {
  readonly messageId: string;
  readonly body: string;
  /** Undefined on a message that SQS moved by itself, after too many receives. */
  readonly rejectionReason: string | undefined;
  /** The id in the queue that it came from, where a worker rejected it. */
  readonly rejectedMessageId: string | undefined;
}

export class SqsControl {
  readonly #client: SQSClient;
  readonly #endpoint: string;

  constructor(endpoint: string, region: string, credentials: Credentials) {
    this.#endpoint = endpoint;
    this.#client = new SQSClient({
      endpoint,
      region,
      ...(credentials.provider === undefined ? {} : { credentials: credentials.provider }),
      maxAttempts: 3,
      requestHandler: {
        connectionTimeout: CONNECT_DEADLINE_MS,
        requestTimeout: CALL_DEADLINE_MS,
        throwOnRequestTimeout: true,
      },
    });
  }

  /** @throws Error in one sentence when there is no SQS server at the endpoint. */
  async check(): Promise<void> {
    try {
      await this.#client.send(new ListQueuesCommand({ MaxResults: 1 }));
    } catch (error) {
      const strangeStatus = statusOfStrangeAnswer(error);
      if (strangeStatus !== undefined) {
        throw new Error(
          `what answers at ${this.#endpoint} is not an SQS server (HTTP status ${strangeStatus}). Name one in AWS_ENDPOINT_URL, or unset it to use the embedded one.`,
          { cause: error },
        );
      }
      const reason = error instanceof Error ? error.message || error.name : String(error);
      throw new Error(
        `cannot reach the SQS server at ${this.#endpoint} (${reason}). Start it, or unset AWS_ENDPOINT_URL to use the embedded one.`,
        { cause: error },
      );
    }
  }

  /** The account that the server files its queues under, as the ARN of a queue that is made for it shows. */
  async accountId(): Promise<string> {
    const { QueueUrl: url } = await this.#client.send(new CreateQueueCommand({ QueueName: 'sluice-account-probe' }));
    const { Attributes: attributes } = await this.#client.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['QueueArn'] }),
    );
    await this.#client.send(new DeleteQueueCommand({ QueueUrl: url }));
    const account = attributes?.QueueArn?.split(':')[4];
    if (account === undefined) throw new Error(`the SQS server at ${this.#endpoint} gives its queues no ARN`);
    return account;
  }

  /** @throws Error when a queue of that name exists with other attributes. */
  async createQueue(queue: SystemQueue): Promise<void> {
    try {
      await this.#client.send(new CreateQueueCommand({ QueueName: queue.name, Attributes: { ...queue.attributes } }));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(
        `cannot create the queue ${queue.name} at ${this.#endpoint} (${reason}). If it exists with other attributes, delete it there first.`,
        { cause: error },
      );
    }
  }

  async depth(queueUrl: string): Promise<QueueDepth> {
    const { Attributes: attributes = {} } = await this.#client.send(
      new GetQueueAttributesCommand({
        QueueUrl: queueUrl,
        AttributeNames: [
          'ApproximateNumberOfMessages',
          'ApproximateNumberOfMessagesNotVisible',
          'ApproximateNumberOfMessagesDelayed',
        ],
      }),
    );
    return {
      visible: Number(attributes.ApproximateNumberOfMessages ?? 0),
      inFlight: Number(attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
      delayed: Number(attributes.ApproximateNumberOfMessagesDelayed ?? 0),
    };
  }

  /**
   * The dead letters that a reader can get hold of without removing any. Of a FIFO queue these are the first
   * of each group: SQS shows nothing behind a message that is being read.
   *
   * @param expected how many the queue says it has. What is not there is not waited for: a run without dead letters
   * ends at once.
   */
  async readDeadLetters(queueUrl: string, expected: number): Promise<DeadLetterRead[]> {
    const letters = new Map<string, DeadLetterRead>();
    const handles: string[] = [];
    for (;;) {
      const { Messages: messages = [] } = await this.#client.send(
        new ReceiveMessageCommand({
          QueueUrl: queueUrl,
          MaxNumberOfMessages: MESSAGES_PER_RECEIVE_MAX,
          VisibilityTimeout: READ_VISIBILITY_SECONDS,
          WaitTimeSeconds: letters.size < expected ? LONG_POLL_SECONDS : 0,
          MessageAttributeNames: ['All'],
        }),
      );
      if (messages.length === 0) break;
      for (const {
        MessageId: messageId,
        Body: body,
        ReceiptHandle: handle,
        MessageAttributes: attributes,
      } of messages) {
        if (messageId === undefined || handle === undefined) continue;
        handles.push(handle);
        letters.set(messageId, {
          messageId,
          body: body ?? '',
          rejectionReason: attributes?.RejectionReason?.StringValue,
          rejectedMessageId: attributes?.RejectionMessageId?.StringValue,
        });
      }
    }
    await this.#showAgain(queueUrl, handles);
    return [...letters.values()];
  }

  async #showAgain(queueUrl: string, receiptHandles: readonly string[]): Promise<void> {
    for (let start = 0; start < receiptHandles.length; start += MESSAGES_PER_RECEIVE_MAX) {
      const batch = receiptHandles.slice(start, start + MESSAGES_PER_RECEIVE_MAX);
      await this.#client.send(
        new ChangeMessageVisibilityBatchCommand({
          QueueUrl: queueUrl,
          Entries: batch.map((handle, index) => ({ Id: String(index), ReceiptHandle: handle, VisibilityTimeout: 0 })),
        }),
      );
    }
  }

  close(): void {
    this.#client.destroy();
  }
}
