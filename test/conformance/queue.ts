/** A queue as a case sees it: the SDK's commands with what a test wants of them, and waiting that suits any server. */
import {
  ChangeMessageVisibilityBatchCommand,
  type ChangeMessageVisibilityBatchRequestEntry,
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  type DeleteMessageBatchRequestEntry,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SendMessageCommand,
  type SendMessageCommandInput,
} from '@aws-sdk/client-sqs';
import { check } from './expectations.ts';
import type { Calls } from './target.ts';

/** A long poll asks every host of a standard queue: what it does not bring within a second is not there. */
const ABSENT_SECONDS = 1;
/** What is to come is waited for this long in all, however busy the machine. */
const TAKE_POLL_SECONDS = 5;
const TAKE_POLLS_MAX = 8;

export class Queue {
  readonly url: string;
  readonly client: Calls;

  constructor(client: Calls, url: string) {
    this.client = client;
    this.url = url;
  }

  get name(): string {
    return this.url.slice(this.url.lastIndexOf('/') + 1);
  }

  send(body: string, input: Partial<SendMessageCommandInput> = {}) {
    return this.client.send(new SendMessageCommand({ QueueUrl: this.url, MessageBody: body, ...input }));
  }

  /** To a FIFO queue. */
  sendInGroup(body: string, group = 'a', deduplicationId = body) {
    return this.send(body, { MessageGroupId: group, MessageDeduplicationId: deduplicationId });
  }

  sendBatch(entries: SendMessageBatchRequestEntry[]) {
    return this.client.send(new SendMessageBatchCommand({ QueueUrl: this.url, Entries: entries }));
  }

  deleteBatch(entries: DeleteMessageBatchRequestEntry[]) {
    return this.client.send(new DeleteMessageBatchCommand({ QueueUrl: this.url, Entries: entries }));
  }

  changeVisibilityBatch(entries: ChangeMessageVisibilityBatchRequestEntry[]) {
    return this.client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: this.url, Entries: entries }));
  }

  /** One call: a long poll for ten messages with all they carry, unless the case says otherwise. */
  async receive(input: Partial<ReceiveMessageCommandInput> = {}): Promise<Message[]> {
    const { Messages: messages = [] } = await this.client.send(
      new ReceiveMessageCommand({
        QueueUrl: this.url,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: TAKE_POLL_SECONDS,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
        ...input,
      }),
    );
    return messages;
  }

  /** As many calls as it takes. */
  async take(count: number, input: Partial<ReceiveMessageCommandInput> = {}): Promise<Message[]> {
    const taken: Message[] = [];
    for (let poll = 0; poll < TAKE_POLLS_MAX && taken.length < count; poll += 1) {
      const wanted = Math.min(10, count - taken.length);
      taken.push(...(await this.receive({ MaxNumberOfMessages: wanted, ...input })));
    }
    check(taken.length === count, `${taken.length} of ${count} messages come within ${TAKE_POLLS_MAX} polls`);
    return taken;
  }

  async takeOne(input: Partial<ReceiveMessageCommandInput> = {}): Promise<Message> {
    const [message] = await this.take(1, input);
    check(message !== undefined, 'no message comes');
    return message;
  }

  async checkNothingComes(when: string, input: Partial<ReceiveMessageCommandInput> = {}): Promise<void> {
    const messages = await this.receive({ WaitTimeSeconds: ABSENT_SECONDS, ...input });
    check(messages.length === 0, `${when}, ${messages.map(({ Body: body }) => body).join(', ')} is received`);
  }

  delete({ ReceiptHandle }: Pick<Message, 'ReceiptHandle'>) {
    return this.client.send(new DeleteMessageCommand({ QueueUrl: this.url, ReceiptHandle }));
  }

  changeVisibility({ ReceiptHandle }: Pick<Message, 'ReceiptHandle'>, seconds: number) {
    return this.client.send(
      new ChangeMessageVisibilityCommand({ QueueUrl: this.url, ReceiptHandle, VisibilityTimeout: seconds }),
    );
  }

  async attributes(): Promise<Record<string, string>> {
    const { Attributes: attributes = {} } = await this.client.send(
      new GetQueueAttributesCommand({ QueueUrl: this.url, AttributeNames: ['All'] }),
    );
    return attributes;
  }

  async arn(): Promise<string> {
    const { QueueArn: arn } = await this.attributes();
    check(arn !== undefined, 'the queue has no ARN');
    return arn;
  }
}

export function bodies(messages: readonly Message[]): string[] {
  return messages.map(({ Body: body = '' }) => body);
}
