/** FIFO queues: order, groups, deduplication, and attempts that are repeated. */
import type { ConformanceCase } from '../case.ts';
import { check, checkEqual, refused } from '../expectations.ts';
import { bodies } from '../queue.ts';

const FIVE_MINUTES_SECONDS = 300;
/** Longer than a busy server takes until it looks for a message in vain. */
const DELAY_SECONDS = 8;
const IN_A_GROUP = ['one', 'two', 'three', 'four', 'five'];

export const fifoCases: readonly ConformanceCase[] = [
  {
    name: 'FIFO: a queue says that it is one',
    page: 'GetQueueAttributes',
    behaviour: 'FifoQueue is true for a FIFO queue, and is not among the attributes of another.',
    steps: async (world) => {
      const kinds = [await world.fifoQueue(), await world.queue()];
      const values: (string | null)[] = [];
      for (const queue of kinds) values.push((await queue.attributes()).FifoQueue ?? null);
      checkEqual(values, ['true', null], 'FifoQueue');
    },
  },
  {
    name: 'FIFO: a message needs a group',
    page: 'FIFO delivery logic',
    behaviour: 'A message without MessageGroupId is refused by a FIFO queue.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await refused(queue.send('one', { MessageDeduplicationId: 'one' }), 'a message without a group');
    },
  },
  {
    name: 'FIFO: a message needs a deduplication id',
    page: 'SendMessage',
    behaviour: 'A message without MessageDeduplicationId is refused unless the queue takes it from the content.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await refused(queue.send('one', { MessageGroupId: 'a' }), 'a message without a deduplication id');
    },
  },
  {
    name: 'FIFO: the id may be taken from the content',
    page: 'SendMessage',
    behaviour: 'With ContentBasedDeduplication a second message with an equal body is not delivered.',
    steps: async (world) => {
      const queue = await world.fifoQueue({ ContentBasedDeduplication: 'true' });
      for (const group of ['a', 'b']) await queue.send('one', { MessageGroupId: group });
      await queue.takeOne();
      await queue.checkNothingComes('after the first of two equal bodies');
    },
  },
  {
    name: 'FIFO: an id sent twice is delivered once',
    page: 'exactly-once processing',
    behaviour: 'A message with a deduplication id of the last five minutes is accepted and not delivered.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await queue.sendInGroup('one', 'a', 'id');
      await queue.sendInGroup('two', 'b', 'id');
      checkEqual(bodies(await queue.take(1)), ['one'], 'what is received');
      await queue.checkNothingComes('after the first of two equal ids');
    },
  },
  {
    name: 'FIFO: an id is remembered after its message is deleted',
    page: 'SendMessage',
    behaviour: 'A deduplication id counts even after its message was received and deleted.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await queue.sendInGroup('one', 'a', 'id');
      await queue.delete(await queue.takeOne());
      await queue.sendInGroup('two', 'a', 'id');
      await queue.checkNothingComes('sent with the id of a deleted message');
    },
  },
  {
    name: 'FIFO: an id is forgotten after five minutes',
    page: 'SendMessage',
    behaviour: 'A message with a deduplication id that is older than five minutes is delivered.',
    isLong: true,
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await queue.sendInGroup('one', 'a', 'id');
      await world.pass(FIVE_MINUTES_SECONDS + 5);
      await queue.sendInGroup('two', 'b', 'id');
      await queue.take(2);
    },
  },
  {
    name: 'FIFO: one receive brings several of a group, in order',
    page: 'FIFO delivery logic',
    behaviour: 'A receive brings as many of one group as it can, up to ten, in the order of their sending.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      for (const body of IN_A_GROUP) await queue.sendInGroup(body);
      const received = bodies(await queue.receive());
      check(received.length > 1, `a receive for ten brings ${received.length} of ${IN_A_GROUP.length}`);
      checkEqual(received, IN_A_GROUP.slice(0, received.length), 'what is received');
    },
  },
  {
    name: 'FIFO: a message in flight holds up its group alone',
    page: 'FIFO delivery logic',
    behaviour: 'While a message of a group is in flight no other of the group comes, and other groups do.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await queue.sendInGroup('a1', 'a');
      await queue.sendInGroup('a2', 'a');
      const head = await queue.takeOne();
      await queue.checkNothingComes('behind a message in flight');
      await queue.sendInGroup('b1', 'b');
      checkEqual(bodies(await queue.take(1)), ['b1'], 'of another group');
      await queue.delete(head);
      checkEqual(bodies(await queue.take(1)), ['a2'], 'when the head is deleted');
    },
  },
  {
    name: 'FIFO: a group begins again with its head',
    page: 'FIFO delivery logic',
    behaviour: "When the timeout of a group's first message passes, it comes again before those behind it.",
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '1' });
      await queue.sendInGroup('a1');
      await queue.sendInGroup('a2');
      await queue.takeOne();
      checkEqual(bodies(await queue.take(1)), ['a1'], 'what comes next');
    },
  },
  {
    name: 'FIFO: a head given back with a delay holds up its group',
    page: 'ReceiveMessage',
    behaviour: 'While a message of a group is invisible, also by a change of its timeout, no other of it comes.',
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '600' });
      await queue.sendInGroup('a1');
      await queue.sendInGroup('a2');
      await queue.changeVisibility(await queue.takeOne(), DELAY_SECONDS);
      await queue.checkNothingComes('behind a delayed head');
      checkEqual(bodies(await queue.take(1)), ['a1'], 'after the delay');
    },
  },
  {
    name: 'FIFO: a head given back at once comes first',
    page: 'FIFO delivery logic',
    behaviour: "A group's first message whose timeout is set to 0 comes before those behind it.",
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '600' });
      await queue.sendInGroup('a1');
      await queue.sendInGroup('a2');
      await queue.changeVisibility(await queue.takeOne(), 0);
      checkEqual(bodies(await queue.take(1)), ['a1'], 'what comes next');
    },
  },
  {
    name: 'FIFO: a delete with an expired handle is refused',
    page: 'ReceiveMessage',
    behaviour: 'A delete after the visibility timeout has passed fails.',
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '1' });
      await queue.sendInGroup('one');
      const message = await queue.takeOne();
      await world.pass(2);
      await refused(queue.delete(message), 'a delete with an expired handle');
    },
  },
  {
    name: 'FIFO: a change with an expired handle is refused',
    page: 'ChangeMessageVisibility',
    behaviour: 'A change of visibility after the timeout has passed fails.',
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '1' });
      await queue.sendInGroup('one');
      const message = await queue.takeOne();
      await world.pass(2);
      await refused(queue.changeVisibility(message, 30), 'a change with an expired handle');
    },
  },
  {
    name: 'FIFO: sequence numbers grow within a group',
    page: 'SendMessage',
    behaviour: 'A later message of a group has a larger SequenceNumber, at the send and at the receive.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      const numbers: string[] = [];
      for (const body of ['one', 'two']) numbers.push((await queue.sendInGroup(body)).SequenceNumber ?? '');
      const [first = '', second = ''] = numbers;
      check(/^\d+$/.test(first) && /^\d+$/.test(second), `the numbers are ${numbers.join(' and ')}`);
      check(BigInt(second) > BigInt(first), `${second} comes after ${first}`);
      checkEqual((await queue.takeOne()).Attributes?.SequenceNumber, first, 'the number that is received');
    },
  },
  {
    name: 'FIFO: one message cannot be delayed',
    page: 'SendMessage',
    behaviour: 'DelaySeconds of a message are refused by a FIFO queue.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      const input = { MessageGroupId: 'a', MessageDeduplicationId: 'one', DelaySeconds: DELAY_SECONDS };
      await refused(queue.send('one', input), 'a message with a delay');
    },
  },
  {
    name: "FIFO: the queue's delay holds",
    page: 'delay queues',
    behaviour: "A FIFO queue's DelaySeconds hold for every message.",
    steps: async (world) => {
      const queue = await world.fifoQueue({ DelaySeconds: String(DELAY_SECONDS) });
      await queue.sendInGroup('late');
      await queue.checkNothingComes("before the queue's delay has passed");
      await queue.takeOne();
    },
  },
  {
    name: 'FIFO: a repeated attempt brings the same handles',
    page: 'ReceiveMessage',
    behaviour: 'A receive with the ReceiveRequestAttemptId of an earlier one brings the same messages and handles.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await queue.sendInGroup('one');
      const handles = async () =>
        (await queue.receive({ ReceiveRequestAttemptId: 'attempt', WaitTimeSeconds: 1 })).map(
          (each) => each.ReceiptHandle,
        );
      const first = await handles();
      check(first.length === 1, 'no message comes at first');
      checkEqual((await handles()).length, 1, 'messages of the repeated attempt');
      checkEqual(await handles(), first, 'the handles of the repeated attempt');
    },
  },
  {
    name: 'FIFO: a repeated attempt brings nothing deleted',
    page: 'ReceiveMessage',
    behaviour: 'An attempt can be repeated only as long as none of its messages was deleted or changed.',
    steps: async (world) => {
      const queue = await world.fifoQueue();
      await queue.sendInGroup('one');
      await queue.delete(await queue.takeOne({ ReceiveRequestAttemptId: 'attempt' }));
      await queue.checkNothingComes('with the attempt of a deleted message', { ReceiveRequestAttemptId: 'attempt' });
    },
  },
  {
    name: 'FIFO: an attempt can be repeated for five minutes',
    page: 'ReceiveMessage',
    behaviour: 'After five minutes a ReceiveRequestAttemptId is a new attempt.',
    isLong: true,
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '3600' });
      await queue.sendInGroup('one');
      await queue.takeOne({ ReceiveRequestAttemptId: 'attempt' });
      await world.pass(FIVE_MINUTES_SECONDS + 5);
      await queue.checkNothingComes('with an attempt of five minutes ago', { ReceiveRequestAttemptId: 'attempt' });
    },
  },
  {
    name: 'FIFO: a backlog of one group hides the others',
    page: 'FIFO backlogs',
    behaviour: 'Only the first 120,000 messages are searched for groups that may be shown.',
    isLong: true,
    steps: async (world) => {
      const queue = await world.fifoQueue({ VisibilityTimeout: '21600' });
      for (let sent = 0; sent < world.limits.groupSearchMax + 10; sent += 10) {
        const ids = Array.from({ length: 10 }, (_, index) => `${sent + index}`);
        await queue.sendBatch(
          ids.map((id) => ({ Id: id, MessageBody: id, MessageGroupId: 'a', MessageDeduplicationId: id })),
        );
      }
      await queue.sendInGroup('other', 'b');
      await queue.takeOne();
      await queue.checkNothingComes('behind a backlog of another group');
    },
  },
];
