/** What a consumer does with groups: order within each, and no group that waits for another. */
import { describe, expect, test } from '@jest/globals';
import { body, hang, Rig, rejected, retried, stored } from './rig.ts';

/** Everything is stored, but for a batch with this one: it comes again whole. */
const comesAgain = (id: number) => (ids: number[]) => ids.map(() => (ids.includes(id) ? retried : stored));

describe('groups', () => {
  test('reach the handler with their sequence numbers; on a standard queue they are only tenants', async () => {
    const fifo = new Rig({ fifo: true });
    const standard = new Rig();
    for (const rig of [fifo, standard]) {
      rig.queue.send(body(1, 2), 'a');
      rig.send([2], 'a');
      rig.send([3], 'b');
      rig.start();
      await rig.time.pass(1_000);
    }
    expect(fifo.groupsHandled).toEqual([{ id: 'b', sequenceNumber: '3' }]);
    expect(standard.handled).toEqual([[2, 3]]);
    expect(standard.groupsHandled).toEqual([undefined, undefined]);
  });

  test('share a batch, consecutive messages of one too', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2], 'a');
    rig.send([3], 'b');
    rig.send([4], 'a');
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[1, 2, 4, 3]]);
  });

  test('are in one batch at a time, while others go on', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1], 'a');
    rig.handle = async (ids) => {
      if (ids.includes(1)) await rig.sleep(10_000);
      return ids.map(() => stored);
    };
    // SQS keeps the rest of a group back itself, but not where a lease has ended: as if these were of one group.
    const receive = rig.queue.receive.bind(rig.queue);
    rig.queue.receive = async (signal) =>
      (await receive(signal)).map((message) => ({ ...message, messageGroupId: message.body === body(3) ? 'b' : 'a' }));
    rig.start();
    await rig.time.pass(1_000);
    rig.send([2], 'c');
    rig.send([3], 'b');
    await rig.time.pass(5_000);
    expect(rig.handled).toEqual([[1], [3]]);
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[1], [3], [2]]);
  });
});

describe('a head that has to come again', () => {
  test('is given back in a call of its own, then its tail with the same delay, while other groups go on', async () => {
    const rig = new Rig({ fifo: true });
    rig.queue.send(body(1, 2), 'a');
    rig.send([2], 'b');
    rig.send([3], 'a');
    rig.send([4], 'b');
    rig.send([5], 'a');
    rig.start();
    await rig.time.until('the other group stored', () => rig.queue.left.length === 3);
    expect(rig.handled).toEqual([[2, 4]]);
    expect(rig.changes).toEqual([
      [['m1', 300]],
      [
        ['m3', 300],
        ['m5', 300],
      ],
    ]);
  });

  test('brings its group again in its order', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2, 3], 'a');
    rig.handle = (ids) => ids.map(() => (rig.handled.length === 1 ? retried : stored));
    rig.start();
    await rig.untilEmpty();
    expect(rig.changes).toEqual([
      [['m1', 15]],
      [
        ['m2', 15],
        ['m3', 15],
      ],
    ]);
    expect(rig.handled).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  test('takes along what waits behind it in this process: nothing of the group is handled before it', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2, 3], 'a');
    // Received three times, it is handled alone, and the others wait.
    rig.queue.receivedBefore('m1', 2);
    rig.handle = (ids) => ids.map(() => (rig.handled.length === 1 ? retried : stored));
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled[0]).toEqual([1]);
    expect(rig.handled.flat()).toEqual([1, 1, 2, 3]);
  });

  test('whose return SQS does not confirm lets its tail wait a visibility timeout longer', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2], 'a');
    rig.handle = (ids) => ids.map(() => (rig.handled.length === 1 ? retried : stored));
    rig.queue.faults.call = (operation, ids) => {
      if (operation === 'changeVisibility' && ids.includes('m1') && rig.handled.length === 1) throw new Error('503');
    };
    rig.start();
    await rig.untilEmpty();
    expect(rig.changes.slice(0, 6)).toEqual([...Array(5).fill([['m1', 15]]), [['m2', 75]]]);
    expect(rig.handled).toEqual([[1, 2], [1], [2]]);
  });

  test('keeps its tail back until SQS has answered for it', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2], 'a');
    rig.handle = (ids) => ids.map(() => retried);
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
    rig.start();
    await rig.time.pass(20_000);
    expect(rig.changes).toEqual([[['m1', 15]]]);
  });

  test('decides the delay, although one behind it would wait longer', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1], 'a');
    rig.queue.send(body(2, 2), 'a');
    rig.handle = () => [retried];
    rig.start();
    await rig.time.until('the return', () => rig.changes.length === 2);
    expect(rig.changes).toEqual([[['m1', 15]], [['m2', 15]]]);
  });
});

describe('a message that fails at its last receive', () => {
  test('is rejected with the reason why it failed, and not left to SQS, which gives none', async () => {
    const rig = new Rig({ maxReceiveCount: 2 });
    rig.send([1]);
    rig.handle = () => [retried];
    rig.start();
    await rig.untilEmpty();
    expect(rig.changes).toEqual([[['m1', 15]]]);
    expect(rig.rejections).toMatchObject([{ messageId: 'm1', reason: 'not now', errorClass: 'RetriesExhausted' }]);
    expect(rig.queue.deadLetters).toMatchObject([{ body: body(1) }]);
    expect(rig.queue.redriven).toEqual([]);
  });

  test('lets those behind it go on in this hand: they are not received once more for its sake', async () => {
    const rig = new Rig({ fifo: true, maxReceiveCount: 2 });
    rig.send([1, 2, 3], 'a');
    rig.handle = comesAgain(1);
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [2, 3],
    ]);
    expect(rig.rejections).toMatchObject([{ messageId: 'm1', errorClass: 'RetriesExhausted' }]);
    expect(rig.counts).toMatchObject({ received: 6, stored: 2, rejected: 1, retried: 3 });
    expect(rig.queue.redriven).toEqual([]);
  });

  test('keeps its group waiting when its copy cannot be sent, for as long as SQS may still show it', async () => {
    const rig = new Rig({ fifo: true, maxReceiveCount: 2 });
    rig.send([1, 2], 'a');
    rig.handle = comesAgain(1);
    rig.queue.faults.call = (operation) => {
      if (operation === 'send') throw new Error('the dead-letter queue is away');
    };
    rig.start();
    await rig.time.until('the second returns', () => rig.changes.length === 4);
    expect(rig.changes.slice(2)).toEqual([[['m1', 30]], [['m2', 60]]]);
    expect(rig.handled).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });
});

describe('a head that is rejected', () => {
  test('is skipped: the next one goes on', async () => {
    const rig = new Rig({ fifo: true });
    rig.queue.send('not JSON', 'a');
    rig.send([2], 'a');
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[2]]);
    expect(rig.queue.deadLetters).toMatchObject([{ body: 'not JSON', messageGroupId: 'a' }]);
    expect(rig.rejections).toMatchObject([{ haltsGroup: undefined }]);
  });

  test('halts its group where the worker says so: the next one is handled only after that is written', async () => {
    const rig = new Rig({ fifo: true, onRejection: 'halt' });
    rig.send([1, 2], 'a');
    rig.send([3], 'b');
    const order: string[] = [];
    rig.recordRejection = ({ haltsGroup }) => order.push(`group ${haltsGroup} halts`);
    rig.handle = (ids) => {
      order.push(ids.join(' and '));
      return ids.map((id) => (id === 1 ? rejected('no') : stored));
    };
    rig.start();
    await rig.untilEmpty();
    // What becomes of the second is the store's to say, which knows that the group halts.
    expect(order).toEqual(['1 and 3', 'group a halts', '2']);
  });

  test('of which nobody knows whether it is written keeps a halting group waiting', async () => {
    const rig = new Rig({ fifo: true, onRejection: 'halt' });
    rig.send([1, 2], 'a');
    rig.handle = (ids) => ids.map(() => rejected('no'));
    rig.queue.faults.call = (operation) => {
      if (operation === 'send') throw new Error('the dead-letter queue is away');
    };
    rig.start();
    await rig.time.until('the returns', () => rig.changes.length === 2);
    expect(rig.changes).toEqual([[['m1', 15]], [['m2', 60]]]);
    expect(rig.handled).toEqual([[1]]);
  });
});
