/**
 * What a queue keeps of a message, of each time that it was handed out, and of a copy in its dead-letter queue.
 *
 * Only the queue changes them (sqs-contents.ts, sqs-polls.ts, sqs-handles.ts, sqs-quirks.ts), but for `explained`, which
 * the network sets, too (sqs-client.ts).
 */
import type { MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { SqsModel } from './sqs-model.ts';
import type { Sent } from './workload.ts';

export type MessageAttributes = Readonly<Record<string, MessageAttributeValue>>;

export interface StoredMessage {
  readonly messageId: string;
  readonly sent: Sent;
  /** Empty where none was named. */
  readonly group: string;
  /** Its enqueue time, from which its retention counts. */
  readonly sentAtMs: number;
  /** FIFO only, growing over the whole queue. */
  readonly sequenceNumber: string | undefined;
  readonly deduplicationId: string | undefined;
  readonly attributes: MessageAttributes;
  /** In a dead-letter queue: the queue that it was moved from. */
  readonly movedFrom: SqsModel | undefined;
  readonly receipts: Receipt[];
  /** Over all queues that it was in; an attempt that is repeated may count once more. */
  receiveCount: number;
  visibleAtMs: number;
  /** Hidden by a change of visibility to other than the queue's own timeout. */
  isDelayed: boolean;
  where: 'source' | 'dead-letter queue' | 'deleted' | 'expired';
  quirks: number;
}

/** One hand-out of a message to one worker. */
export interface Receipt {
  readonly handle: string;
  readonly message: StoredMessage;
  readonly worker: string;
  readonly atMs: number;
  /** When the receive that brought it was sent; the same for all that came with it. */
  readonly askedAtMs: number;
  /** Which answer it came in. */
  readonly answer: number;
  /** Whether something other than the worker's own doing explains that the message had to come again. */
  explained: boolean;
  /** Whether its visibility was changed. */
  isChanged: boolean;
}

export interface DeadLetterCopy {
  readonly body: string;
  readonly attributes: ReadonlyMap<string, string>;
}
