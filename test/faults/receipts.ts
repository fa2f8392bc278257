/**
 * The receipt handles that an SQS server gave out, seen as they go by: what a dead worker holds can then be shown again
 * at once, in the place of waiting for the visibility timeout.
 */
import { ChangeMessageVisibilityBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';

const ENTRIES_PER_BATCH_MAX = 10;

const receiveSchema = z.object({ QueueUrl: z.string() });
const receivedSchema = z.object({ Messages: z.array(z.object({ ReceiptHandle: z.string() })) });

export class Receipts {
  readonly #handles = new Map<string, string[]>();

  /** Takes note of a call and its answer, if it was a receive that got something. */
  saw(request: Buffer, answer: Buffer): void {
    const received = receivedSchema.safeParse(JSON.parse(answer.toString() || '{}'));
    if (!received.success) return;
    const { QueueUrl } = receiveSchema.parse(JSON.parse(request.toString()));
    const handles = received.data.Messages.map(({ ReceiptHandle }) => ReceiptHandle);
    this.#handles.set(nameOf(QueueUrl), [...(this.#handles.get(nameOf(QueueUrl)) ?? []), ...handles]);
  }

  /** Of messages that were deleted meanwhile nothing is shown. */
  async showAgain(client: SQSClient, QueueUrl: string): Promise<void> {
    const handles = this.#handles.get(nameOf(QueueUrl)) ?? [];
    this.#handles.delete(nameOf(QueueUrl));
    for (let start = 0; start < handles.length; start += ENTRIES_PER_BATCH_MAX) {
      const Entries = handles
        .slice(start, start + ENTRIES_PER_BATCH_MAX)
        .map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle, VisibilityTimeout: 0 }));
      await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
    }
  }
}

/** The same queue is known by several addresses: its own, and those of the proxies before it. */
function nameOf(queueUrl: string): string {
  return new URL(queueUrl).pathname.split('/').at(-1) ?? queueUrl;
}
