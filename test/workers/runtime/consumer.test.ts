import { describe, expect, test } from '@jest/globals';
import { body, failFirst, hang, lost, Rig, retried, stored, takes, upTo } from './rig.ts';

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

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
    await rig.time.pass(54);
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

describe('settling', () => {
  test('tells again only the entries that the service failed, until it has heard', async () => {
    const rig = new Rig();
    rig.send(upTo(4));
    const failures = new Map([
      ['m2', 1],
      ['m3', 2],
    ]);
    rig.queue.faults.entry = (operation, id) => {
      const left = failures.get(id) ?? 0;
      failures.set(id, left - 1);
      return operation === 'delete' && left > 0;
    };
    rig.start();
    await rig.untilEmpty();
    expect(rig.queue.deletes).toEqual([['m1', 'm2', 'm3', 'm4'], ['m2', 'm3'], ['m3']]);
    expect(rig.handled).toEqual([[1, 2, 3, 4]]);
  });

  test('tells all entries again when a call failed as a whole', async () => {
    const rig = new Rig();
    rig.send([1]);
    failFirst(rig, 'delete', 2);
    rig.start();
    await rig.untilEmpty();
    expect(rig.queue.deletes).toEqual([['m1'], ['m1'], ['m1']]);
    expect(rig.handled).toEqual([[1]]);
  });

  test('gives up after five calls, frees the places, and the message comes again', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.queue.faults.entry = () => rig.queue.deletes.length <= 5;
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[1], [1]]);
    expect(rig.queue.deletes).toHaveLength(6);
  });

  test('takes a stale handle for settled: whoever has the message now will delete it', async () => {
    const rig = new Rig();
    rig.send([1]);
    let firstTime = true;
    rig.handle = async () => {
      // The extensions get lost, so that the lease ends in the hands of this handler.
      if (firstTime) {
        firstTime = false;
        rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
        await rig.sleep(90_000);
      }
      return [stored];
    };
    rig.start();
    await rig.time.until('both', () => rig.handled.length === 2 && rig.queue.deletes.length >= 2, 200_000);
    await rig.time.pass(60_000);
    expect(rig.queue.left).toEqual([]);
    expect(rig.queue.deletes).toEqual([['m1'], ['m1']]);
  });
});

describe('a message that has to come again', () => {
  test('waits longer each time: 15 s, 30 s, 60 s at most', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = () => (rig.handled.length < 4 ? [retried] : [stored]);
    rig.start();
    await rig.untilEmpty();
    expect(rig.changes).toEqual([[['m1', 15]], [['m1', 30]], [['m1', 60]]]);
  });

  test('of a newer version than the worker knows waits for a deploy: 5, 10, 20, 40 minutes at most', async () => {
    const rig = new Rig();
    rig.queue.send(body(1, 2));
    rig.send([2]);
    rig.start();
    await rig.time.until('four returns', () => rig.changes.length === 4, 5_000_000);
    expect(rig.changes).toEqual([[['m1', 300]], [['m1', 600]], [['m1', 1_200]], [['m1', 2_400]]]);
    expect(rig.queue.deadLetters).toEqual([]);
    expect(rig.handled).toEqual([[2]]);
  });

  test('is not given back when its lease was lost: it may be in other hands', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
    const lostAt: number[][] = [];
    rig.handle = async (_, claim) => {
      if (rig.handled.length > 1) return hang();
      lostAt.push(claim.lost());
      await rig.sleep(61_000);
      lostAt.push(claim.lost());
      return [retried];
    };
    rig.start();
    await rig.time.until('two answers', () => lostAt.length >= 2);
    await rig.time.pass(10);
    expect(lostAt).toEqual([[], [1]]);
    expect(rig.counts).toMatchObject({ leasesLost: 1, retried: 0 });
  });
});

describe('leases', () => {
  test('are extended while the handler runs, ten in a call, and not after settling', async () => {
    const rig = new Rig();
    rig.send(upTo(10));
    rig.handle = takes(rig, 200_000);
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toHaveLength(1);
    expect(rig.changes.map(({ length }) => length)).toEqual([10, 10, 10, 10, 10, 10]);
    await rig.time.pass(200_000);
    expect(rig.changes).toHaveLength(6);
  });

  test('are extended for what waits for its turn too', async () => {
    const rig = new Rig();
    rig.send(upTo(250));
    rig.handle = takes(rig, 100_000);
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled.map(({ length }) => length)).toEqual([10, 100, 100, 40]);
    expect(rig.counts).toMatchObject({ received: 250, stored: 250, leasesLost: 0 });
  });

  test('are extended by absolute values: 60 s from now, however often', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(100_000);
    expect(rig.changes).toEqual([[['m1', 60]], [['m1', 60]], [['m1', 60]]]);
    expect(rig.queue.left[0]!.hiddenSeconds).toBe(50);
  });

  test('do not depend on the machine’s clock, which somebody may set', async () => {
    const rig = new Rig();
    rig.send([1]);
    const lostAt: number[][] = [];
    rig.handle = async (_, claim) => {
      for (const hours of [10, -20]) {
        rig.time.wallSetByMs = hours * 3_600_000;
        await rig.sleep(20_000);
        lostAt.push(claim.lost());
      }
      return [stored];
    };
    rig.start();
    await rig.untilEmpty();
    expect(lostAt).toEqual([[], []]);
    expect(rig.queue.changes.map(({ atMs }) => atMs)).toEqual([30_000]);
  });

  test('are extended while a delete takes long: what is stored must not be shown meanwhile', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.queue.faults.call = (operation) => (operation === 'delete' ? rig.sleep(80_000) : undefined);
    rig.start();
    await rig.untilEmpty();
    expect(rig.changes).toEqual([[['m1', 60]], [['m1', 60]]]);
    expect(rig.counts).toMatchObject({ received: 1, stored: 1 });
  });

  test('are not extended while a return takes long: an extension could hide what was just given back', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = () => [retried];
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? rig.sleep(50_000) : undefined);
    rig.start();
    await rig.time.pass(49_000);
    expect(rig.changes).toEqual([[['m1', 15]]]);
  });

  test('are kept although the call for others hangs', async () => {
    const rig = new Rig();
    rig.send(upTo(20));
    rig.handle = hang;
    rig.queue.faults.call = (operation, ids) =>
      operation === 'changeVisibility' && ids.includes('m1') ? rig.sleep(25_000) : undefined;
    rig.start();
    await rig.time.pass(60_000);
    expect(rig.queue.left.filter(({ receiveCount }) => receiveCount === 1).length).toBeGreaterThanOrEqual(10);
    expect(rig.queue.changes.some(({ entries, atMs }) => entries[0]![0] === 'm11' && atMs < 32_000)).toBe(true);
  });

  test('are extended again each second when an extension failed', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = hang;
    rig.queue.faults.call = (operation) => {
      if (operation === 'changeVisibility' && rig.queue.changes.length < 5) throw new Error('503');
    };
    rig.start();
    await rig.time.pass(100_000);
    expect(rig.queue.changes.map(({ atMs }) => atMs / 1000)).toEqual([30, 31, 32, 33, 34, 64, 94]);
    expect(rig.queue.left).toMatchObject([{ receiveCount: 1 }]);
  });

  test('that SQS calls stale abort the attempt, and the others of the batch are committed all the same', async () => {
    const rig = new Rig();
    rig.send([1, 2]);
    rig.handle = async (ids, claim) => {
      rig.queue.handOutElsewhere('m1');
      await aborted(claim.signal);
      const gone = claim.lost();
      return ids.map((id) => (gone.includes(id) ? lost : stored));
    };
    rig.start();
    await rig.time.until('the other one deleted', () => rig.queue.left.length === 1);
    expect(rig.time.monotonicMs()).toBe(30_100);
    expect(rig.queue.left).toMatchObject([{ messageId: 'm1' }]);
    expect(rig.queue.deletes).toEqual([['m2']]);
    // Only the extension of both: of what is lost the visibility is not changed.
    expect(rig.changes).toHaveLength(1);
    expect(rig.counts).toMatchObject({ stored: 1, leasesLost: 1, retried: 0 });
  });
});

describe('a handler that misbehaves', () => {
  test('by taking longer than 120 s loses its right to commit, is told so, and its message comes again', async () => {
    const rig = new Rig();
    rig.send([1]);
    let abortedAtMs = 0;
    const lostAt: number[][] = [];
    rig.handle = async (_, claim) => {
      if (rig.handled.length > 1) return [stored];
      claim.signal.addEventListener('abort', () => {
        abortedAtMs = rig.time.monotonicMs();
      });
      for (const ms of [119_000, 2_000]) {
        await rig.sleep(ms);
        lostAt.push(claim.lost());
      }
      return [lost];
    };
    rig.start();
    await rig.untilEmpty();
    expect([lostAt, abortedAtMs]).toEqual([[[], [1]], 120_000]);
    expect(rig.changes.at(-1)).toEqual([['m1', 15]]);
    expect(rig.handled).toEqual([[1], [1]]);
    expect(rig.counts).toMatchObject({ leasesLost: 0, retried: 1, stored: 1 });
  });

  test('by throwing loses no place and stops nothing: its messages come again', async () => {
    const rig = new Rig();
    rig.send(upTo(1_000));
    rig.handle = (ids) => {
      if (rig.handled.length <= 12) throw new Error('a fault of the program');
      return ids.map(() => stored);
    };
    rig.start();
    await rig.untilEmpty(200_000);
    expect(await rig.stop(1)).toMatchObject({ unsettled: 0 });
  });

  test('by answering for fewer messages than it was given, neither', async () => {
    const rig = new Rig();
    rig.send([1, 2]);
    rig.handle = (ids) => (rig.handled.length === 1 ? [stored] : ids.map(() => stored));
    rig.start();
    await rig.untilEmpty(100_000);
    expect(rig.handled).toEqual([[1, 2], [2]]);
  });
});

describe('a message that was received three times or more', () => {
  const suspect = (rig: Rig, id: string) => rig.queue.receivedBefore(id, 2);

  test('is handled alone, after all others in hand, and nothing is received meanwhile', async () => {
    const rig = new Rig();
    rig.send(upTo(5));
    suspect(rig, 'm1');
    rig.handle = takes(rig, 1_000);
    rig.start();
    await rig.time.pass(500);
    rig.send([6]);
    await rig.time.pass(1_400);
    expect(rig.handled).toEqual([[2, 3, 4, 5], [1]]);
    expect(rig.queue.receives).toBe(1);
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[2, 3, 4, 5], [1], [6]]);
    expect(rig.underWayMax).toBe(1);
  });

  test('goes before one that was received more often', async () => {
    const rig = new Rig();
    rig.send(upTo(3));
    rig.queue.receivedBefore('m1', 4);
    rig.queue.receivedBefore('m2', 3);
    rig.queue.receivedBefore('m3', 2);
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[3], [2], [1]]);
  });

  test('waits until what was handled before it is deleted, which does not wait for others then', async () => {
    const rig = new Rig();
    rig.send([1, 2]);
    suspect(rig, 'm1');
    const remove = Promise.withResolvers<void>();
    rig.queue.faults.call = (operation) => (operation === 'delete' ? remove.promise : undefined);
    rig.start();
    await rig.time.pass(50);
    expect([rig.handled, rig.queue.deletes]).toEqual([[[2]], [['m2']]]);
    remove.resolve();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[2], [1]]);
  });

  test('has all others hidden longer before it is handled: its group for five visibility timeouts, the next for six', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2, 3], 'a');
    rig.send([4], 'b');
    rig.send([5], 'c');
    // Those of b and c come too often too, so that they still wait.
    for (const id of ['m1', 'm4', 'm5']) suspect(rig, id);
    const changesBefore: (typeof rig.changes)[] = [];
    rig.handle = (ids) => {
      changesBefore.push(rig.changes);
      return ids.map(() => stored);
    };
    rig.start();
    await rig.untilEmpty();
    const apart = [
      [
        ['m2', 300],
        ['m3', 300],
      ],
      [['m4', 360]],
      [['m5', 420]],
    ];
    expect(rig.handled).toEqual([[1], [2, 3], [4], [5]]);
    // For the second suspect the third is far enough already, and the second itself comes again first.
    expect(changesBefore).toEqual([apart, apart, [...apart, [['m4', 60]]], [...apart, [['m4', 60]], [['m5', 60]]]]);
  });

  test('that ends its process comes again alone', async () => {
    const rig = new Rig({ fifo: true });
    rig.send([1, 2, 3], 'a');
    suspect(rig, 'm1');
    rig.handle = () => {
      // Nothing of this process goes out any more.
      rig.queue.changeVisibilityBatch = hang;
      return hang();
    };
    rig.start();
    await rig.time.pass(60_100);
    const others = await rig.queue.receive(new AbortController().signal);
    expect(others.map(({ messageId }) => messageId)).toEqual(['m1']);
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
