/** Visibility timeouts, receipt handles and deletes. */
import type { ConformanceCase } from '../case.ts';
import { check, checkEqual, refused } from '../expectations.ts';

const TWELVE_HOURS_SECONDS = 43_200;

export const visibilityCases: readonly ConformanceCase[] = [
  {
    name: 'a received message is hidden',
    page: 'visibility timeout',
    behaviour: 'A message that was received does not come again while its visibility timeout lasts.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('one');
      await queue.takeOne();
      await queue.checkNothingComes('after its receive');
    },
  },
  {
    name: 'it comes again when its timeout has passed',
    page: 'visibility timeout',
    behaviour: 'A message that is not deleted comes again after the visibility timeout, and is counted.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '1' });
      await queue.send('one');
      const [first, second] = [await queue.takeOne(), await queue.takeOne()];
      checkEqual(second.MessageId, first.MessageId, 'the message id');
      const counts = [first, second].map(({ Attributes: attributes }) => attributes?.ApproximateReceiveCount);
      checkEqual(counts, ['1', '2'], 'the receive counts');
    },
  },
  {
    name: 'each receive gives a handle of its own',
    page: 'message identifiers',
    behaviour: 'A message that is received twice has another receipt handle the second time.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '1' });
      await queue.send('one');
      const [first, second] = [await queue.takeOne(), await queue.takeOne()];
      check(first.ReceiptHandle !== second.ReceiptHandle, 'the handle is the same');
    },
  },
  {
    name: 'a receive may name a visibility timeout',
    page: 'ReceiveMessage',
    behaviour: "VisibilityTimeout of a receive holds for its messages in place of the queue's.",
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '600' });
      await queue.send('one');
      await queue.takeOne({ VisibilityTimeout: 1 });
      await queue.takeOne();
    },
  },
  {
    name: 'a changed timeout counts from the change',
    page: 'ChangeMessageVisibility',
    behaviour: 'A change replaces what is left of the timeout, counted from the call: it can lengthen it.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '6' });
      await queue.send('one');
      await queue.changeVisibility(await queue.takeOne(), 60);
      await world.pass(7);
      await queue.checkNothingComes('within the new timeout');
    },
  },
  {
    name: 'a timeout changed to 0 shows the message at once',
    page: 'visibility timeout',
    behaviour: 'A message whose visibility timeout is set to 0 can be received at once.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '600' });
      await queue.send('one');
      await queue.changeVisibility(await queue.takeOne(), 0);
      await queue.takeOne();
    },
  },
  {
    name: 'a change is forgotten at the next receive',
    page: 'ChangeMessageVisibility',
    behaviour: "The next receive of the message has the queue's timeout again, not the changed one.",
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '600' });
      await queue.send('one');
      await queue.changeVisibility(await queue.takeOne(), 0);
      await queue.takeOne();
      await queue.checkNothingComes('after the next receive');
    },
  },
  {
    name: 'more than twelve hours in all are refused, not cut',
    page: 'ChangeMessageVisibility',
    behaviour: 'A timeout that would end later than twelve hours after the receive is refused and changes nothing.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '5' });
      await queue.send('one');
      const message = await queue.takeOne();
      await world.pass(2);
      await refused(
        queue.changeVisibility(message, TWELVE_HOURS_SECONDS),
        'a change to twelve hours, two seconds after the receive,',
      );
      await queue.takeOne();
    },
  },
  {
    name: 'a timeout of more than twelve hours is refused',
    page: 'ChangeMessageVisibility',
    behaviour: 'VisibilityTimeout is from 0 to 43,200 seconds.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('one');
      const message = await queue.takeOne();
      await refused(queue.changeVisibility(message, TWELVE_HOURS_SECONDS + 1), 'a change to 43,201 seconds');
    },
  },
  {
    name: 'no change of what is not in flight',
    page: 'ChangeMessageVisibility',
    behaviour: 'A change for a message that has become visible fails as MessageNotInflight.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('one');
      const message = await queue.takeOne();
      await queue.changeVisibility(message, 0);
      await refused(queue.changeVisibility(message, 30), 'a change of a visible message', 'MessageNotInflight');
    },
  },
  {
    name: 'no change of what is deleted',
    page: 'ChangeMessageVisibility',
    behaviour: 'A change for a message that was deleted is refused.',
    steps: async (world) => {
      const queue = await world.queue();
      await queue.send('one');
      const message = await queue.takeOne();
      await queue.delete(message);
      await refused(queue.changeVisibility(message, 30), 'a change of a deleted message');
    },
  },
  {
    name: 'a deleted message does not come again',
    page: 'DeleteMessage',
    behaviour: 'A message that was deleted does not come again when its timeout has passed.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '5' });
      await queue.send('one');
      await queue.delete(await queue.takeOne());
      await world.pass(6);
      await queue.checkNothingComes('after its delete');
    },
  },
  {
    name: 'a delete with an old handle is accepted',
    page: 'DeleteMessage',
    behaviour: 'A delete with a handle of an earlier receive succeeds, whether or not it deletes.',
    steps: async (world) => {
      const queue = await world.queue({ VisibilityTimeout: '1' });
      await queue.send('one');
      const first = await queue.takeOne();
      await queue.takeOne();
      await queue.delete(first);
    },
  },
  {
    name: "a delete with no handle of the queue's is refused",
    page: 'DeleteMessage',
    behaviour: 'A delete with what is no receipt handle fails as ReceiptHandleIsInvalid.',
    steps: async (world) => {
      const queue = await world.queue();
      const nonsense = { ReceiptHandle: 'nonsense' };
      await refused(queue.delete(nonsense), 'a delete with nonsense for a handle', 'ReceiptHandleIsInvalid');
    },
  },
];
