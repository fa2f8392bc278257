/** What a consumer receives and holds, what it hands over together, and what it shows of itself. */
import { describe, expect, test } from '@jest/globals';
import { sleep } from '../../../workers/runtime/surroundings.ts';
import { hang, Rig, stored, takes, upTo } from './rig.ts';

describe('a consumer', () => {
  test('deletes what was stored, in one batch, and keeps nothing', async () => {
    const rig = new Rig();
    rig.send(upTo(10));
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([upTo(10)]);
    expect(rig.queue.deletes).toHaveLength(1);
    expect((await rig.stop(1)).unsettled).toBe(0);
    expect(rig.counts).toMatchObject({ received: 10, stored: 10 });
  });

  test('deletes nothing before the handler has answered', async () => {
    const rig = new Rig();
    rig.send([1]);
    const commit = Promise.withResolvers<(typeof stored)[]>();
    rig.handle = () => commit.promise;
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    await rig.time.pass(1_000);
    expect(rig.queue.deletes).toEqual([]);
    commit.resolve([stored]);
    await rig.untilEmpty();
  });

  test('holds at most 400 messages, however many wait, because a receive needs ten free places', async () => {
    const rig = new Rig({ messageBytesMax: 262_144 });
    rig.send(upTo(1_000));
    rig.handle = hang;
    rig.start();
    await rig.time.pass(10_000);
    expect(rig.consumer.gauges.messagesInProcess).toBe(400);
    expect(rig.queue.receives).toBe(40);
    expect(rig.queue.pollsUnderWayMax).toBe(16);
  });

  test('holds no more messages of 1 MiB than 160 MiB, what sixteen receives can bring', async () => {
    const rig = new Rig({ messageBytesMax: 1_048_576 });
    const large = JSON.stringify({ schema: 'work', version: 1, payload: { id: 1, text: 'x'.repeat(1_048_500) } });
    for (let message = 1; message <= 200; message += 1) rig.queue.send(large);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(10_000);
    expect(rig.consumer.gauges.messagesInProcess).toBe(160);
  });

  test('waits with one poll while the queue is empty', async () => {
    const rig = new Rig().start();
    await rig.time.pass(59_000);
    expect(rig.queue.receives).toBe(3);
    expect(rig.queue.pollsUnderWayMax).toBe(1);
  });

  test('writes what comes on a quiet queue before it sends the next receive', async () => {
    const rig = new Rig();
    rig.send([1]);
    const receivesAtCommit: number[] = [];
    rig.handle = async (ids) => {
      await sleep(rig.time, 9);
      receivesAtCommit.push(rig.queue.receives);
      return ids.map(() => stored);
    };
    rig.start();
    await rig.time.pass(9);
    expect(receivesAtCommit).toEqual([1]);
    expect(rig.queue.receives).toBe(2);
  });

  test('but receives again after 10 ms, however long the write takes', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(9);
    expect(rig.queue.receives).toBe(1);
    await rig.time.pass(1);
    expect(rig.queue.receives).toBe(2);
  });

  test('goes on after receives that fail, first soon and then less often', async () => {
    const rig = new Rig();
    let failing = true;
    rig.queue.faults.call = (operation) => {
      if (operation === 'receive' && failing) throw new Error('socket hang up');
    };
    rig.send([1]);
    rig.start();
    await rig.time.pass(60_000);
    expect(rig.queue.receives).toBe(11);
    failing = false;
    await rig.untilEmpty(10_000);
  });

  test('takes the failure of all its polls at once for one, and receives again within a fifth of a second', async () => {
    const rig = new Rig({ messageBytesMax: 262_144 });
    rig.send(upTo(1_000));
    const failing = Promise.withResolvers<never>();
    let hanging = 0;
    rig.queue.faults.call = (operation) => {
      if (operation !== 'receive' || rig.queue.pollsUnderWayMax < 16) return;
      hanging += 1;
      return failing.promise;
    };
    rig.start();
    await rig.time.until('sixteen polls that hang', () => hanging === 16);
    rig.queue.faults.call = () => {};
    const receives = rig.queue.receives;
    failing.reject(new Error('socket hang up'));
    await rig.time.pass(201);
    expect(rig.queue.receives).toBeGreaterThan(receives);
  });

  test('loses no place when receives fail or come back empty: it still takes 400 messages', async () => {
    const rig = new Rig({ messageBytesMax: 262_144 });
    let failing = true;
    rig.queue.faults.call = (operation) => {
      if (operation === 'receive' && failing) throw new Error('503');
    };
    rig.start();
    await rig.time.pass(600_000);
    failing = false;
    await rig.time.pass(600_000);
    rig.handle = hang;
    rig.send(upTo(1_000));
    await rig.time.pass(100_000);
    expect(rig.consumer.gauges.messagesInProcess).toBe(400);
  });

  test('takes a delivery once that SQS names twice, in one answer or in two', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    const receive = rig.queue.receive.bind(rig.queue);
    const named: Awaited<ReturnType<typeof receive>> = [];
    rig.queue.receive = async (signal) => {
      if (named.length === 0) named.push(...(await receive(signal)));
      else if (rig.queue.receives++ > 3) return receive(signal);
      return [...named, ...named];
    };
    rig.start();
    await rig.time.pass(5_000);
    expect(rig.handled).toEqual([[1]]);
    expect(rig.ended).toBeUndefined();
  });
});

describe('messages of several receives', () => {
  test('share a batch: the first ten go at once, the others in hundreds, three batches at a time', async () => {
    const rig = new Rig();
    rig.send(upTo(300));
    rig.handle = takes(rig, 1_000);
    rig.start();
    await rig.time.pass(999);
    expect(rig.handled.map(({ length }) => length)).toEqual([10, 100, 100]);
    await rig.untilEmpty();
    expect(rig.handled.map(({ length }) => length)).toEqual([10, 100, 100, 90]);
    expect(rig.underWayMax).toBe(3);
  });

  test('do not wait for others while no batch is under way', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    expect(rig.time.monotonicMs()).toBe(0);
  });

  test('wait 5 ms for others while one is', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = takes(rig, 1_000);
    rig.start();
    await rig.time.pass(50);
    rig.send([2]);
    // The queue looks every 100 ms whether there is something for a poll.
    await rig.time.pass(64);
    expect(rig.handled).toEqual([[1]]);
    await rig.time.pass(1);
    expect(rig.handled).toEqual([[1], [2]]);
  });

  test('share deletes too: 25 of them take three calls', async () => {
    const rig = new Rig();
    rig.send(upTo(25));
    rig.start();
    await rig.untilEmpty();
    expect(rig.queue.deletes.map(({ length }) => length)).toEqual([10, 10, 5]);
  });
});

describe('what a consumer measures', () => {
  test('is the time from sending to commit, what was left of the lease, the size of a batch and its duration', async () => {
    const rig = new Rig();
    rig.send(upTo(10));
    await rig.time.pass(100_000);
    rig.handle = takes(rig, 20_000);
    rig.start();
    await rig.untilEmpty();
    const line = rig.metrics;
    const expected = { dwellSeconds: 120, leaseMarginSeconds: 40, batchMessages: 10, 'messaging.process.duration': 20 };
    for (const [name, value] of Object.entries(expected)) {
      const { Values: values } = line[name] as { Values: number[] };
      expect(values).toHaveLength(1);
      // Values are kept within an eighth.
      expect(Math.abs(values[0]! / value - 1)).toBeLessThan(0.125);
    }
  });
});

describe('whether a worker is alive', () => {
  test('does not depend on the database: it may be away for an hour', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.probe = () => false;
    rig.handle = (ids) => ids.map(() => ({ name: 'held', reason: 'connection refused' }));
    rig.start();
    await rig.time.pass(3_600_000);
    expect(rig.consumer.isAlive).toBe(true);
  });

  test('shows when a poll never ends', async () => {
    const rig = new Rig();
    rig.queue.faults.call = hang;
    rig.start();
    await rig.time.pass(90_000);
    expect(rig.consumer.isAlive).toBe(true);
    await rig.time.pass(1);
    expect(rig.consumer.isAlive).toBe(false);
  });

  test('shows when a write never ends', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(240_000);
    expect(rig.consumer.isAlive).toBe(true);
    await rig.time.pass(1);
    expect(rig.consumer.isAlive).toBe(false);
  });
});
