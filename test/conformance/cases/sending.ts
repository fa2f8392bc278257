/** What may be sent, and when it is to be had. */
import type { MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { ConformanceCase } from '../case.ts';
import { checkEqual, refused } from '../expectations.ts';
import { bodies } from '../queue.ts';

const MESSAGE_BYTES_MAX = 1_048_576;
const DELAY_SECONDS_MAX = 900;
/** Longer than a busy server takes until it looks for a message in vain. */
const DELAY_SECONDS = 8;

export const sendingCases: readonly ConformanceCase[] = [
  {
    name: 'what is sent comes as it is',
    page: 'SendMessage',
    behaviour: 'The body and the message id that a send answers with are those that are received.',
    steps: async (world) => {
      const queue = await world.queue();
      const body = 'Grüße\tan „alle“\r\n<b>&amp;</b> \ud7ff \ue000 \ufffd';
      const { MessageId: messageId } = await queue.send(body);
      const message = await queue.takeOne();
      checkEqual([message.MessageId, message.Body], [messageId, body], 'what is received');
    },
  },
  {
    name: 'characters beyond U+FFFF are accepted',
    page: 'SendMessage',
    behaviour: 'A body may hold characters from U+10000 to U+10FFFF.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('🧵 𝔘');
      checkEqual((await queue.takeOne()).Body, '🧵 𝔘', 'what is received');
    },
  },
  {
    name: 'control characters are refused',
    page: 'SendMessage',
    behaviour: 'A body with a character outside of the allowed set fails as InvalidMessageContents.',
    steps: async (world) => {
      const queue = await world.queue();
      await refused(queue.send('a\u0001b'), 'a body with U+0001', 'InvalidMessageContents');
    },
  },
  {
    name: 'an empty body is refused',
    page: 'SendMessage',
    behaviour: 'A body has at least one character.',
    steps: async (world) => {
      const queue = await world.queue();
      await refused(queue.send(''), 'an empty body');
    },
  },
  {
    name: 'a message has at most 1 MiB',
    page: 'message quotas',
    behaviour: 'A body of 1,048,576 bytes is accepted, and one with a byte more is refused.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('x'.repeat(MESSAGE_BYTES_MAX));
      await refused(queue.send('x'.repeat(MESSAGE_BYTES_MAX + 1)), 'a body of 1,048,577 bytes');
    },
  },
  {
    name: 'a queue may take smaller messages only',
    page: 'CreateQueue',
    behaviour: 'A message with more bytes than the MaximumMessageSize of the queue is refused.',
    steps: async (world) => {
      const queue = await world.queue({ MaximumMessageSize: '1024' });
      await queue.send('x'.repeat(1024));
      await refused(queue.send('x'.repeat(1025)), 'a body of 1,025 bytes');
    },
  },
  {
    name: 'attributes count towards the size',
    page: 'SendMessage',
    behaviour: 'Names, types and values of message attributes count towards the 1,048,576 bytes.',
    steps: async (world) => {
      const queue = await world.queue();
      const body = 'x'.repeat(MESSAGE_BYTES_MAX - 10);
      await refused(queue.send(body, { MessageAttributes: attributes(1) }), 'an attribute beside a full body');
    },
  },
  {
    name: 'a message has at most ten attributes',
    page: 'message quotas',
    behaviour: 'Ten message attributes are accepted, and eleven are refused.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('ten', { MessageAttributes: attributes(10) });
      await refused(queue.send('eleven', { MessageAttributes: attributes(11) }), 'a message with eleven attributes');
    },
  },
  {
    name: 'a message may be delayed',
    page: 'message timers',
    behaviour: 'A message with DelaySeconds is not to be had until they have passed.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('late', { DelaySeconds: DELAY_SECONDS });
      await queue.checkNothingComes('before its delay has passed');
      await queue.takeOne();
    },
  },
  {
    name: 'a queue may delay its messages',
    page: 'delay queues',
    behaviour: "A queue's DelaySeconds hold for every message that names none.",
    steps: async (world) => {
      const queue = await world.queue({ DelaySeconds: String(DELAY_SECONDS) });
      await queue.send('late');
      await queue.checkNothingComes("before the queue's delay has passed");
      await queue.takeOne();
    },
  },
  {
    name: "a message's own delay comes before the queue's",
    page: 'message timers',
    behaviour: 'DelaySeconds of a message, 0 included, replace those of the queue.',
    steps: async (world) => {
      const queue = await world.queue({ DelaySeconds: '600' });
      await queue.send('now', { DelaySeconds: 0 });
      checkEqual(bodies(await queue.take(1)), ['now'], 'what is received');
    },
  },
  {
    name: 'a delay of more than 15 minutes is refused',
    page: 'message timers',
    behaviour: 'DelaySeconds are from 0 to 900.',
    steps: async (world) => {
      const queue = await world.queue();
      await refused(queue.send('one', { DelaySeconds: DELAY_SECONDS_MAX + 1 }), 'a delay of 901 seconds');
    },
  },
  {
    name: 'a message is gone after its retention',
    page: 'message quotas',
    behaviour: "A message is deleted when the queue's MessageRetentionPeriod has passed since it was sent.",
    isLong: true,
    steps: async (world) => {
      const queue = await world.queue({ MessageRetentionPeriod: '60' });
      await queue.send('one');
      await world.pass(65);
      await queue.checkNothingComes('65 s after it was sent with a retention of 60 s');
    },
  },
  {
    name: 'a standard queue takes groups, and keeps no order',
    page: 'fair queues',
    behaviour: 'A MessageGroupId on a standard queue comes with the message, and holds up no other of the group.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('one', { MessageGroupId: 'a' });
      await queue.send('two', { MessageGroupId: 'a' });
      const messages = [await queue.takeOne(), await queue.takeOne()];
      const groups = messages.map(({ Attributes: system }) => system?.MessageGroupId ?? null);
      checkEqual(groups, ['a', 'a'], 'the groups');
    },
  },
];

function attributes(count: number): Record<string, MessageAttributeValue> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`name${index}`, { DataType: 'String', StringValue: 'value' }]),
  );
}
