/** How a consumer stops. */
import { describe, expect, test } from '@jest/globals';
import { failFirst, hang, held, Rig, retried, takes, upTo } from './rig.ts';

/** 400 messages in hand: a batch of ten and two of a hundred under way, 190 that wait. */
async function fullHand(): Promise<Rig> {
  const rig = new Rig();
  rig.send(upTo(400));
  rig.handle = hang;
  rig.start();
  return rig;
}

describe('a stop', () => {
  test('with 25 s or more lets the idle poll end by itself, and writes what it still brings', async () => {
    const rig = new Rig().start();
    await rig.time.pass(1_000);
    rig.consumer.stop(30);
    rig.send([1]);
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.ended).toMatchObject({ returned: 0, unsettled: 0, pollsAborted: 0 });
    expect(rig.handled).toEqual([[1]]);
    expect(rig.queue.left).toEqual([]);
  });

  test('does not pass a message from one of its idle polls to the next until it is dead', async () => {
    const rig = new Rig({ maxReceiveCount: 3 });
    rig.send(upTo(200));
    rig.start();
    await rig.untilEmpty();
    expect(rig.queue.pollsUnderWay).toBeGreaterThan(3);
    rig.consumer.stop(30);
    rig.send([201]);
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.queue.redriven).toEqual([]);
    expect(rig.counts).toMatchObject({ received: 201 });
  });

  test('with less aborts the poll and ends at once', async () => {
    const rig = new Rig().start();
    await rig.time.pass(1_000);
    expect(await rig.stop(24)).toEqual({ returned: 0, unsettled: 0, pollsAborted: 1, seconds: 0 });
  });

  test('lets handlers finish and settles what they did', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = takes(rig, 5_000);
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    expect(await rig.stop(10)).toMatchObject({ returned: 0, unsettled: 0, seconds: 5 });
    expect(rig.queue.left).toEqual([]);
  });

  test('lets no delete wait for others', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    expect(await rig.stop(10)).toMatchObject({ unsettled: 0, seconds: 0 });
    expect(rig.queue.left).toEqual([]);
  });

  test('finishes a delete that fails at first', async () => {
    const rig = new Rig();
    rig.send([1]);
    failFirst(rig, 'delete', 2);
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    expect(await rig.stop(10)).toMatchObject({ unsettled: 0 });
    expect(rig.queue.deletes).toEqual([['m1'], ['m1'], ['m1']]);
    expect(rig.queue.left).toEqual([]);
  });

  test('keeps the delay of what failed: a worker that stops does not make it any better', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = takes(rig, 1_000, retried);
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    expect(await rig.stop(10)).toMatchObject({ returned: 1 });
    expect(rig.queue.left).toEqual([{ messageId: 'm1', receiveCount: 1, hiddenSeconds: 15 }]);
  });

  test('goes on writing what is in hand', async () => {
    const rig = await fullHand();
    rig.handle = takes(rig, 6_000);
    await rig.time.pass(1);
    expect(rig.consumer.gauges.messagesInProcess).toBe(400);
    expect(await rig.stop(20)).toMatchObject({ returned: 0, unsettled: 0 });
    expect(rig.queue.left).toEqual([]);
  });

  test.each([
    { drainSeconds: 20, returnsAtSeconds: 15 },
    { drainSeconds: 60, returnsAtSeconds: 55 },
    { drainSeconds: 8, returnsAtSeconds: 6 },
  ])('of $drainSeconds s gives back after $returnsAtSeconds s what was not begun', async (times) => {
    const rig = await fullHand();
    rig.handle = takes(rig, times.returnsAtSeconds * 1_000 + 1_000);
    await rig.time.pass(1);
    rig.consumer.stop(times.drainSeconds);
    await rig.time.pass(times.returnsAtSeconds * 1_000 - 1);
    expect(rig.queue.left.filter(({ hiddenSeconds }) => hiddenSeconds === 0)).toEqual([]);
    await rig.time.pass(1);
    expect(rig.queue.left.filter(({ hiddenSeconds }) => hiddenSeconds === 0)).toHaveLength(190);
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.ended).toMatchObject({ returned: 190, unsettled: 0 });
    expect(rig.queue.left).toHaveLength(190);
  });

  test.each([
    { drainSeconds: 20, returnedAfterSeconds: 4.99 },
    // Not before the idle poll has ended, which would only receive it once more.
    { drainSeconds: 60, returnedAfterSeconds: 20 },
  ])('of $drainSeconds s gives back what is held when the database goes then', async (times) => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = takes(rig, 5_000, held);
    rig.probe = () => false;
    rig.start();
    await rig.time.until('the next poll', () => rig.queue.receives === 2);
    expect(await rig.stop(times.drainSeconds)).toMatchObject({
      returned: 1,
      unsettled: 0,
      seconds: times.returnedAfterSeconds,
    });
    expect(rig.queue.left).toEqual([{ messageId: 'm1', receiveCount: 1, hiddenSeconds: 0 }]);
  });

  test('keeps what is at its last receive while the database is away, as long as it can', async () => {
    const rig = new Rig();
    rig.send([1, 2]);
    rig.queue.receivedBefore('m1', 4);
    rig.handle = (ids) => ids.map(() => held);
    rig.probe = () => false;
    rig.start();
    await rig.time.pass(1_000);
    rig.consumer.stop(20);
    const shown = () => rig.queue.left.filter(({ hiddenSeconds }) => hiddenSeconds === 0);
    await rig.time.pass(14_999);
    expect(shown()).toMatchObject([{ messageId: 'm2' }]);
    await rig.time.pass(1);
    expect(shown()).toHaveLength(2);
  });

  test('ends at its deadline although a handler hangs, says so, and leaves those leases alone', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(19_000);
    // The drain ends a second before half of the lease is gone, when it would be extended.
    expect(await rig.stop(10)).toMatchObject({ unsettled: 1, seconds: 10 });
    const extensions = rig.changes.length;
    await rig.time.pass(40_000);
    expect(rig.changes).toHaveLength(extensions);
    expect(rig.queue.left).toMatchObject([{ hiddenSeconds: 0 }]);
  });

  test('is not held up by an extension that hangs', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
    rig.start();
    await rig.time.pass(40_000);
    expect(await rig.stop(5)).toMatchObject({ unsettled: 1, seconds: 5 });
  });

  test('before the start receives nothing', async () => {
    const rig = new Rig();
    rig.consumer.stop(10);
    rig.start();
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.queue.receives).toBe(0);
  });

  test('a second time changes nothing', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(1_000);
    rig.consumer.stop(10);
    rig.consumer.stop(1_000);
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.ended).toMatchObject({ seconds: 10 });
  });
});
