/** Messages that move to a dead-letter queue, and back. */
import { CreateQueueCommand, StartMessageMoveTaskCommand } from '@aws-sdk/client-sqs';
import type { ConformanceCase, World } from '../case.ts';
import { check, checkEqual, refused } from '../expectations.ts';
import type { Queue } from '../queue.ts';

const FIFO = { FifoQueue: 'true' };
const NOT_IN_MODEL = "the simulator's queues are made by a schedule, not by a call";

export const deadLetterCases: readonly ConformanceCase[] = [
  {
    name: 'a message moves after maxReceiveCount receives',
    page: 'dead-letter queues',
    behaviour: 'A message that was received as often as allowed is moved, with its id, body and attributes.',
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters();
      const { MessageId } = await source.send('one', {
        MessageAttributes: { colour: { DataType: 'String', StringValue: 'red' } },
      });
      await moveByReceiving(world, source);
      const moved = await deadLetterQueue.takeOne();
      const seen = [moved.MessageId, moved.Body, moved.MessageAttributes?.colour?.StringValue];
      checkEqual(seen, [MessageId, 'one', 'red'], 'id, body and attribute');
    },
  },
  {
    name: 'a moved message goes on being counted',
    page: 'ReceiveMessage',
    behaviour: 'ApproximateReceiveCount counts the receives in all queues that the message was in.',
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters();
      await source.send('one');
      await moveByReceiving(world, source);
      const { Attributes: attributes } = await deadLetterQueue.takeOne();
      const count = attributes?.ApproximateReceiveCount;
      check(Number(count) >= 2, `after a receive in each of two queues the count is ${count}`);
    },
  },
  {
    name: 'a moved message names its source',
    page: 'ReceiveMessage',
    behaviour: 'A moved message has the attribute DeadLetterQueueSourceArn: by its name, the queue that it comes from.',
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters();
      await source.send('one');
      await moveByReceiving(world, source);
      const { Attributes: attributes } = await deadLetterQueue.takeOne();
      checkEqual(attributes?.DeadLetterQueueSourceArn ?? null, await source.arn(), 'the source');
    },
  },
  {
    name: 'a move keeps the enqueue time',
    page: 'dead-letter queue retention',
    behaviour: 'On standard queues the move leaves the enqueue time as it was, and so SentTimestamp.',
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters();
      await source.send('one');
      const before = await moveByReceiving(world, source);
      const after = await deadLetterQueue.takeOne();
      checkEqual(after.Attributes?.SentTimestamp, before.Attributes?.SentTimestamp, 'SentTimestamp');
    },
  },
  {
    name: 'retention in a dead-letter queue has begun before',
    page: 'dead-letter queue retention',
    behaviour: 'On standard queues retention in the dead-letter queue counts from the send to the source.',
    isLong: true,
    steps: async (world) => {
      const deadLetterQueue = await moveLate(world, {});
      await deadLetterQueue.checkNothingComes('70 s after its send, with a retention of 60 s');
    },
  },
  {
    name: 'FIFO: retention in a dead-letter queue begins anew',
    page: 'dead-letter queue retention',
    behaviour: 'On FIFO queues retention in the dead-letter queue counts from the move.',
    isLong: true,
    steps: async (world) => {
      const deadLetterQueue = await moveLate(world, FIFO);
      await deadLetterQueue.takeOne();
    },
  },
  {
    name: 'FIFO: a move makes the message id the deduplication id',
    page: 'dead-letter queue redrive',
    behaviour: "A moved message's deduplication id is the id of the message, so that two with one id are both kept.",
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters(FIFO);
      const { MessageId: messageId } = await source.sendInGroup('one', 'a', 'chosen');
      await moveByReceiving(world, source);
      const { Attributes: attributes } = await deadLetterQueue.takeOne();
      checkEqual(attributes?.MessageDeduplicationId, messageId, 'the deduplication id');
    },
  },
  {
    name: 'a move task makes new messages',
    page: 'dead-letter queue redrive',
    behaviour: 'A message that is moved back has a new message id and a new enqueue time.',
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters();
      await source.send('one');
      const before = await moveByReceiving(world, source);
      await deadLetterQueue.changeVisibility(await deadLetterQueue.takeOne(), 0);
      await world.client.send(new StartMessageMoveTaskCommand({ SourceArn: await deadLetterQueue.arn() }));
      const after = await source.takeOne();
      check(after.MessageId !== before.MessageId, 'the message id is the same');
      const [sent, sentAgain] = [before, after].map(({ Attributes: attributes }) => Number(attributes?.SentTimestamp));
      check(sentAgain! > sent!, `it was sent at ${sent} and, again, at ${sentAgain}`);
    },
  },
  {
    name: "a dead-letter queue is of its source's kind",
    page: 'dead-letter queues',
    behaviour: 'A FIFO queue with a standard queue for its dead letters is refused.',
    notInModel: NOT_IN_MODEL,
    steps: async (world) => {
      const deadLetterTargetArn = await (await world.queue()).arn();
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 5 });
      await refused(world.fifoQueue({ RedrivePolicy }), 'a FIFO queue with a standard dead-letter queue');
    },
  },
  {
    name: 'a queue of that name with other attributes is refused',
    page: 'CreateQueue',
    behaviour: 'Making a queue that exists with another value of an attribute fails as QueueNameExists.',
    notInModel: NOT_IN_MODEL,
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '30' });
      const again = (seconds: string) =>
        world.client.send(
          new CreateQueueCommand({ QueueName: queue.name, Attributes: { VisibilityTimeout: seconds } }),
        );
      const { QueueUrl: url } = await again('30');
      checkEqual(url, queue.url, 'made again as it was');
      await refused(again('31'), 'made again with another timeout', 'QueueNameExists');
    },
  },
];

/** @returns the message as it was received in the source. */
async function moveByReceiving(world: World, source: Queue) {
  const message = await source.takeOne();
  await world.pass(2);
  await source.checkNothingComes('after the last receive that is allowed');
  return message;
}

/** Sent, moved 40 s later, and looked at 30 s after that. */
async function moveLate(world: World, attributes: Readonly<Record<string, string>>): Promise<Queue> {
  const { source, deadLetterQueue } = await world.queueWithDeadLetters(attributes, {
    ...attributes,
    MessageRetentionPeriod: '60',
  });
  if ('FifoQueue' in attributes) await source.sendInGroup('one');
  else await source.send('one');
  await source.takeOne({ VisibilityTimeout: 40 });
  await world.pass(41);
  await source.checkNothingComes('after the last receive that is allowed');
  await world.pass(29);
  return deadLetterQueue;
}
