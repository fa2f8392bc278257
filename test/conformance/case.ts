/** A behaviour that AWS documents, as data, and what its steps are given. */
import { Queue } from './queue.ts';
import type { Calls, Target, TargetLimits } from './target.ts';

export interface ConformanceCase {
  /** The row of the table: unique, at most NAME_LENGTH_MAX characters. */
  readonly name: string;
  readonly page: AwsPage;
  /** What the page promises, in our words. */
  readonly behaviour: string;
  /** It waits for minutes, or sends many thousand messages, where time is real and the limits are SQS's own. */
  readonly isLong?: boolean;
  /** Why the simulator's queue is not asked. */
  readonly notInModel?: string;
  /** @throws Difference where the behaviour is another. */
  readonly steps: (world: World) => Promise<void>;
}

/** With two verdicts beside it, a row fits into 80 columns. */
export const NAME_LENGTH_MAX = 56;

const GUIDE = 'https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide';
const REFERENCE = 'https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference';

/** The pages that the suite goes by, under the names that they are quoted with. */
export const AWS_PAGES = {
  ChangeMessageVisibility: `${REFERENCE}/API_ChangeMessageVisibility.html`,
  ChangeMessageVisibilityBatch: `${REFERENCE}/API_ChangeMessageVisibilityBatch.html`,
  CreateQueue: `${REFERENCE}/API_CreateQueue.html`,
  DeleteMessage: `${REFERENCE}/API_DeleteMessage.html`,
  DeleteMessageBatch: `${REFERENCE}/API_DeleteMessageBatch.html`,
  GetQueueAttributes: `${REFERENCE}/API_GetQueueAttributes.html`,
  ReceiveMessage: `${REFERENCE}/API_ReceiveMessage.html`,
  SendMessage: `${REFERENCE}/API_SendMessage.html`,
  SendMessageBatch: `${REFERENCE}/API_SendMessageBatch.html`,
  'dead-letter queues': `${GUIDE}/sqs-dead-letter-queues.html`,
  'dead-letter queue retention': `${GUIDE}/setting-up-dead-letter-queue-retention.html`,
  'dead-letter queue redrive': `${GUIDE}/sqs-configure-dead-letter-queue-redrive.html`,
  'delay queues': `${GUIDE}/sqs-delay-queues.html`,
  'exactly-once processing': `${GUIDE}/FIFO-queues-exactly-once-processing.html`,
  'fair queues': `${GUIDE}/sqs-fair-queues.html`,
  'FIFO backlogs': `${GUIDE}/avoid-backlog-with-the-same-message-group-id.html`,
  'FIFO delivery logic': `${GUIDE}/FIFO-queues-understanding-logic.html`,
  'FIFO queue quotas': `${GUIDE}/quotas-fifo.html`,
  'message identifiers': `${GUIDE}/sqs-queue-message-identifiers.html`,
  'message quotas': `${GUIDE}/quotas-messages.html`,
  'message timers': `${GUIDE}/sqs-message-timers.html`,
  'short and long polling': `${GUIDE}/sqs-short-and-long-polling.html`,
  'standard queue quotas': `${GUIDE}/quotas-queues.html`,
  'visibility timeout': `${GUIDE}/sqs-visibility-timeout.html`,
} as const;

export type AwsPage = keyof typeof AWS_PAGES;

export class World {
  readonly client: Calls;
  readonly limits: TargetLimits;
  readonly #target: Target;

  constructor(target: Target) {
    this.client = target.client;
    this.limits = target.limits;
    this.#target = target;
  }

  /** Of its attributes only those matter to a case that it names. */
  async queue(attributes: Readonly<Record<string, string>> = {}): Promise<Queue> {
    return new Queue(this.client, await this.#target.createQueue(attributes));
  }

  fifoQueue(attributes: Readonly<Record<string, string>> = {}): Promise<Queue> {
    return this.queue({ FifoQueue: 'true', ...attributes });
  }

  /** A queue whose messages move after one receive, and where they move to. */
  async queueWithDeadLetters(attributes: Readonly<Record<string, string>> = {}, deadLetters = attributes) {
    const deadLetterQueue = await this.queue({ ...deadLetters, VisibilityTimeout: '30' });
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: await deadLetterQueue.arn(), maxReceiveCount: 1 });
    const source = await this.queue({ ...attributes, VisibilityTimeout: '1', RedrivePolicy });
    return { source, deadLetterQueue };
  }

  pass(seconds: number): Promise<void> {
    return this.#target.pass(seconds * 1000);
  }
}
