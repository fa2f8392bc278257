/** Batches: refused as a whole for their form, and answered entry by entry for what is in them. */
import type { ConformanceCase, World } from '../case.ts';
import { checkEqual, refused } from '../expectations.ts';

const ENTRIES = Array.from({ length: 11 }, (_, index) => `e${index}`);
const ID_LENGTH_MAX = 80;

export const batchCases: readonly ConformanceCase[] = [
  {
    name: 'a batch of nothing is refused',
    page: 'SendMessageBatch',
    behaviour: 'A batch without entries fails as EmptyBatchRequest: to send, to delete, to change visibility.',
    steps: (world) => refusedWhole(world, [], 'EmptyBatchRequest'),
  },
  {
    name: 'a batch of eleven is refused',
    page: 'SendMessageBatch',
    behaviour: 'A batch of more than ten entries fails as TooManyEntriesInBatchRequest.',
    steps: (world) => refusedWhole(world, ENTRIES, 'TooManyEntriesInBatchRequest'),
  },
  {
    name: 'a batch with an id twice is refused',
    page: 'SendMessageBatch',
    behaviour: 'A batch with equal entry ids fails as BatchEntryIdsNotDistinct.',
    steps: (world) => refusedWhole(world, ['same', 'same'], 'BatchEntryIdsNotDistinct'),
  },
  {
    name: 'an entry id has letters, digits, - and _ alone',
    page: 'SendMessageBatch',
    behaviour: 'A batch with another character in an entry id, such as a handle has, fails as InvalidBatchEntryId.',
    steps: (world) => refusedWhole(world, ['a+b='], 'InvalidBatchEntryId'),
  },
  {
    name: 'an entry id has at most 80 characters',
    page: 'message quotas',
    behaviour: 'A batch with an entry id of 81 characters fails as InvalidBatchEntryId.',
    steps: (world) => refusedWhole(world, ['x'.repeat(ID_LENGTH_MAX + 1)], 'InvalidBatchEntryId'),
  },
  {
    name: 'a batch has at most 1 MiB',
    page: 'SendMessageBatch',
    behaviour: 'A batch whose messages have more than 1,048,576 bytes together fails as BatchRequestTooLong.',
    steps: async (world) => {
      const queue = await world.queue();
      const entries = ['one', 'two'].map((id) => ({ Id: id, MessageBody: 'x'.repeat(600_000) }));
      await refused(queue.sendBatch(entries), 'a batch of 1.2 million bytes', 'BatchRequestTooLong');
    },
  },
  {
    name: 'every entry has one result, by its id',
    page: 'SendMessageBatch',
    behaviour: 'Each entry is in the answer once, as successful or failed, under its own id.',
    steps: async (world) => {
      const queue = await world.queue();
      const ids = ENTRIES.slice(0, 10);
      const { Successful: successful = [], Failed: failed = [] } = await queue.sendBatch(
        ids.map((id) => ({ Id: id, MessageBody: id })),
      );
      checkEqual([...successful, ...failed].map(({ Id: id }) => id).sort(), ids, 'the ids of the results');
    },
  },
  {
    name: 'a bad message of a batch fails alone',
    page: 'SendMessageBatch',
    behaviour: "An entry with a forbidden character fails by the sender's fault, and the others are sent.",
    steps: async (world) => {
      const queue = await world.queue();
      const bodies = { one: 'one', bad: 'a\u0001b', two: 'two' };
      const answer = await queue.sendBatch(Object.entries(bodies).map(([Id, MessageBody]) => ({ Id, MessageBody })));
      checkResults(answer, { successful: ['one', 'two'], failed: ['bad: true'] });
      await queue.take(2);
    },
  },
  {
    name: 'a bad handle of a batch to delete fails alone',
    page: 'DeleteMessageBatch',
    behaviour: "An entry with what is no handle fails by the sender's fault, and the others are deleted.",
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('one');
      const { ReceiptHandle } = await queue.takeOne();
      const answer = await queue.deleteBatch([
        { Id: 'good', ReceiptHandle },
        { Id: 'bad', ReceiptHandle: 'nonsense' },
      ]);
      checkResults(answer, { successful: ['good'], failed: ['bad: true'] });
    },
  },
  {
    name: 'a bad handle of a batch to change fails alone',
    page: 'ChangeMessageVisibilityBatch',
    behaviour: "An entry with what is no handle fails by the sender's fault, and the others are changed.",
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '600' });
      await queue.send('one');
      const { ReceiptHandle } = await queue.takeOne();
      const answer = await queue.changeVisibilityBatch([
        { Id: 'bad', ReceiptHandle: 'nonsense', VisibilityTimeout: 0 },
        { Id: 'good', ReceiptHandle, VisibilityTimeout: 0 },
      ]);
      checkResults(answer, { successful: ['good'], failed: ['bad: true'] });
      await queue.takeOne();
    },
  },
];

async function refusedWhole(world: World, ids: readonly string[], code: string): Promise<void> {
  const queue = await world.queue();
  const ReceiptHandle = 'none';
  await refused(queue.sendBatch(ids.map((Id) => ({ Id, MessageBody: 'x' }))), 'a batch to send', code);
  await refused(queue.deleteBatch(ids.map((Id) => ({ Id, ReceiptHandle }))), 'a batch to delete', code);
  const changes = ids.map((Id) => ({ Id, ReceiptHandle, VisibilityTimeout: 0 }));
  await refused(queue.changeVisibilityBatch(changes), 'a batch to change visibility', code);
}

function checkResults(
  {
    Successful: successful = [],
    Failed: failed = [],
  }: {
    readonly Successful?: { readonly Id: string | undefined }[] | undefined;
    readonly Failed?: { readonly Id: string | undefined; readonly SenderFault: boolean | undefined }[] | undefined;
  },
  expected: { readonly successful: readonly string[]; readonly failed: readonly string[] },
): void {
  checkEqual(successful.map(({ Id: id }) => id).sort(), expected.successful, 'successful');
  const faults = failed.map(({ Id: id, SenderFault: isSenders }) => `${id}: ${isSenders}`).sort();
  checkEqual(faults, expected.failed, "failed, and whether by the sender's fault");
}
