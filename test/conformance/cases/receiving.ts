/** What a receive brings, and how long it waits. */
import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import type { ConformanceCase, World } from '../case.ts';
import { check, checkEqual, refused } from '../expectations.ts';
import { bodies, type Queue } from '../queue.ts';

const BATCHES_AT_ONCE = 10;
/** Counts are approximate: on AWS they settle within a minute. */
const COUNTS_SETTLE_SECONDS = 60;
const COUNTS_EVERY_SECONDS = 2;

export const receivingCases: readonly ConformanceCase[] = [
  {
    name: 'a receive brings one message unless asked for more',
    page: 'ReceiveMessage',
    behaviour: 'MaxNumberOfMessages is 1 where it is not named.',
    steps: async (world) => {
      const queue = await world.queue();
      for (const body of ['one', 'two', 'three']) await queue.send(body);
      const messages = await queue.receive({ MaxNumberOfMessages: undefined });
      checkEqual(messages.length, 1, 'messages received');
    },
  },
  {
    name: 'a receive for more than ten is refused',
    page: 'ReceiveMessage',
    behaviour: 'MaxNumberOfMessages is from 1 to 10.',
    steps: async (world) => {
      const queue = await world.queue();
      await refused(queue.receive({ MaxNumberOfMessages: 11 }), 'a receive for eleven messages');
    },
  },
  {
    name: 'message attributes come only when asked for',
    page: 'ReceiveMessage',
    behaviour: 'A message comes with the attributes that MessageAttributeNames names, and without it with none.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '0' });
      const value = { DataType: 'String', StringValue: 'value' };
      await queue.send('one', { MessageAttributes: { alpha: value, beta: value, 'beta.two': value } });
      const names = async (asked: string[] | undefined) => {
        const { MessageAttributes: attributes = {} } = await queue.takeOne({ MessageAttributeNames: asked });
        return Object.keys(attributes).sort();
      };
      checkEqual(await names(['All']), ['alpha', 'beta', 'beta.two'], 'asked for all');
      checkEqual(await names(['alpha']), ['alpha'], 'asked for one');
      checkEqual(await names(['beta.*']), ['beta.two'], 'asked for a prefix');
      checkEqual(await names(undefined), [], 'asked for none');
    },
  },
  {
    name: 'system attributes come only when asked for',
    page: 'ReceiveMessage',
    behaviour: 'A message comes with the system attributes that are named, and without names with none.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '0' });
      await queue.send('one');
      const names = async (asked: ('SentTimestamp' | 'ApproximateReceiveCount')[] | undefined) => {
        const { Attributes: attributes = {} } = await queue.takeOne({ MessageSystemAttributeNames: asked });
        return Object.keys(attributes).sort();
      };
      const both = ['ApproximateReceiveCount', 'SentTimestamp'] as const;
      checkEqual(await names([...both]), both, 'asked for two');
      checkEqual(await names(undefined), [], 'asked for none');
    },
  },
  {
    name: 'a long poll ends when a message arrives',
    page: 'short and long polling',
    behaviour: 'A receive that waits is answered with a message that is sent meanwhile.',
    steps: async (world) => {
      const queue = await world.queue();
      const polled = queue.receive({ WaitTimeSeconds: 20 });
      await queue.send('one');
      checkEqual(bodies(await polled), ['one'], 'what is received');
    },
  },
  {
    name: 'a long poll on an empty queue ends with nothing',
    page: 'short and long polling',
    behaviour: 'A receive that waits in vain is answered with no message, and is no error.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.checkNothingComes('from an empty queue');
    },
  },
  {
    name: "the queue's wait time holds where a receive names none",
    page: 'short and long polling',
    behaviour: "A receive without WaitTimeSeconds waits for the queue's ReceiveMessageWaitTimeSeconds.",
    steps: async (world) => {
      const queue = await world.queue({ ReceiveMessageWaitTimeSeconds: '20' });
      const polled = queue.receive({ WaitTimeSeconds: undefined });
      await world.pass(0.5);
      await queue.send('one');
      checkEqual(bodies(await polled), ['one'], 'what is received');
    },
  },
  {
    name: 'a wait of more than 20 seconds is refused',
    page: 'standard queue quotas',
    behaviour: 'WaitTimeSeconds are at most 20.',
    steps: async (world) => {
      const queue = await world.queue();
      await refused(queue.receive({ WaitTimeSeconds: 21 }), 'a wait of 21 seconds');
    },
  },
  {
    name: 'counts tell visible, in flight and delayed apart',
    page: 'GetQueueAttributes',
    behaviour: 'The approximate numbers of messages settle at those that are visible, in flight and delayed.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '600' });
      for (const body of ['one', 'two', 'three']) await queue.send(body);
      await queue.send('late', { DelaySeconds: 600 });
      await queue.takeOne();
      let counts: string[] = [];
      for (
        let waited = 0;
        waited < COUNTS_SETTLE_SECONDS && counts.join() !== '2,1,1';
        waited += COUNTS_EVERY_SECONDS
      ) {
        if (counts.length > 0) await world.pass(COUNTS_EVERY_SECONDS);
        const attributes = await queue.attributes();
        const names = ['', 'NotVisible', 'Delayed'].map((part) => `ApproximateNumberOfMessages${part}`);
        counts = names.map((name) => attributes[name] ?? 'none');
      }
      checkEqual(counts, ['2', '1', '1'], 'visible, in flight and delayed');
    },
  },
  {
    name: 'attributes are given as they were set',
    page: 'GetQueueAttributes',
    behaviour: "A queue's attributes are those that it was made with.",
    steps: async (world) => {
      const made = {
        VisibilityTimeout: '77',
        DelaySeconds: '3',
        MessageRetentionPeriod: '1209600',
        ReceiveMessageWaitTimeSeconds: '20',
        MaximumMessageSize: '2048',
      };
      const queue = await world.queue(made);
      const attributes = await queue.attributes();
      for (const [name, value] of Object.entries(made)) checkEqual(attributes[name], value, name);
    },
  },
  {
    name: 'a queue tells where its dead letters go',
    page: 'GetQueueAttributes',
    behaviour:
      'RedrivePolicy names the dead-letter queue and maxReceiveCount; a queue without one has no such attribute.',
    steps: async (world) => {
      const { source, deadLetterQueue } = await world.queueWithDeadLetters();
      const policy: unknown = JSON.parse((await source.attributes()).RedrivePolicy ?? 'null');
      const { deadLetterTargetArn, maxReceiveCount } = z
        .object({ deadLetterTargetArn: z.string(), maxReceiveCount: z.coerce.number() })
        .catch({ deadLetterTargetArn: 'none', maxReceiveCount: 0 })
        .parse(policy);
      checkEqual([deadLetterTargetArn, maxReceiveCount], [await deadLetterQueue.arn(), 1], 'the policy');
      checkEqual((await deadLetterQueue.attributes()).RedrivePolicy ?? null, null, 'without a policy');
    },
  },
  {
    name: 'a queue that is not there is told apart',
    page: 'GetQueueAttributes',
    behaviour: 'A call to a queue that does not exist fails as QueueDoesNotExist.',
    steps: async (world) => {
      const { url } = await world.queue();
      const call = world.client.send(
        new GetQueueAttributesCommand({ QueueUrl: `${url}-not`, AttributeNames: ['All'] }),
      );
      await refused(call, 'a call to a queue that does not exist', 'QueueDoesNotExist');
    },
  },
  {
    name: 'too many in flight: short polls fail, long ones do not',
    page: 'standard queue quotas',
    behaviour: 'With 120,000 messages in flight a short poll fails as OverLimit, and a long poll brings nothing.',
    isLong: true,
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '21600' });
      await fillFlight(world, queue, () => ({}));
      const shortPoll = queue.receive({ WaitTimeSeconds: 0 });
      await refused(shortPoll, 'a short poll with the limit in flight', 'OverLimit');
      await queue.checkNothingComes('with the limit in flight');
    },
  },
  {
    name: 'too many in flight on a FIFO queue: no error',
    page: 'FIFO queue quotas',
    behaviour: 'With 120,000 messages in flight a receive from a FIFO queue brings nothing, and is no error.',
    isLong: true,
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '21600' });
      await fillFlight(world, queue, (id) => ({ MessageGroupId: id, MessageDeduplicationId: id }));
      await queue.checkNothingComes('with the limit in flight', { WaitTimeSeconds: 0 });
    },
  },
];

/** As many in flight as the limit allows, and a batch beyond it waiting. */
async function fillFlight(
  { limits: { inFlightMax } }: World,
  queue: Queue,
  identity: (id: string) => { MessageGroupId?: string; MessageDeduplicationId?: string },
): Promise<void> {
  const batches = Array.from({ length: Math.ceil(inFlightMax / 10) + 1 }, (_, batch) => batch);
  for (let start = 0; start < batches.length; start += BATCHES_AT_ONCE) {
    const sends = batches.slice(start, start + BATCHES_AT_ONCE).map((batch) => {
      const ids = Array.from({ length: 10 }, (_, index) => `${batch}-${index}`);
      return queue.sendBatch(ids.map((id) => ({ Id: id, MessageBody: id, ...identity(id) })));
    });
    await Promise.all(sends);
  }
  let inFlight = 0;
  while (inFlight < inFlightMax) {
    const messages = await queue.receive();
    check(messages.length > 0, `${inFlight} messages are in flight, and no more come`);
    inFlight += messages.length;
  }
}
