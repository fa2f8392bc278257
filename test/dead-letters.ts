/** What lies in a dead-letter queue, taken out of it: a FIFO queue shows nothing behind a message that is still there. */
import {
  DeleteMessageBatchCommand,
  type DeleteMessageBatchRequestEntry,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { REJECTION_ATTRIBUTES } from '../workers/runtime/rejection.ts';

export interface DeadLetter {
  readonly messageId: string;
  readonly body: string;
  /** Of the message that was rejected; both undefined on one that SQS moved by itself, or that had no room for them. */
  readonly rejectedMessageId: string | undefined;
  readonly reason: string | undefined;
}

export async function* takenDeadLetters(sqs: SQSClient, QueueUrl: string): AsyncGenerator<DeadLetter> {
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: 0,
        MessageAttributeNames: ['All'],
      }),
    );
    if (Messages.length === 0) return;
    const Entries = Messages.map(
      ({ ReceiptHandle }, index): DeleteMessageBatchRequestEntry => ({ Id: String(index), ReceiptHandle }),
    );
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
    for (const { MessageId = '', Body = '', MessageAttributes = {} } of Messages) {
      yield {
        messageId: MessageId,
        body: Body,
        rejectedMessageId: MessageAttributes[REJECTION_ATTRIBUTES.messageId]?.StringValue,
        reason: MessageAttributes[REJECTION_ATTRIBUTES.reason]?.StringValue,
      };
    }
  }
}
