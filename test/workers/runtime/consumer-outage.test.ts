/** What a consumer does while the database is away, and when it comes back. */
import { describe, expect, test } from '@jest/globals';

import { hang, held, Rig, retried, rigWithoutDatabase, stored, upTo } from './rig.ts';

describe('while the database is away', () => {
  test('nothing is received, what is in hand is kept, and handed over again when the probe answers', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.send([1]);
    rig.start();
    // The poll that was under way when it began has ended.
    await rig.time.pass(21_000);
    const receives = rig.queue.receives;
    rig.send([2]);
    await rig.time.pass(200_000);
    expect(rig.queue.receives).toBe(receives);
    expect(rig.queue.left.map(({ receiveCount }) => receiveCount)).toEqual([1, 0]);
    database.isAway = false;
    await rig.untilEmpty(10_000);
    expect(rig.handled.map(String).sort()).toEqual(['1', '1', '2']);
    expect(rig.counts).toMatchObject({ received: 2, stored: 2, retried: 0 });
  });

  test('only what was held is handed over again', async () => {
    const rig = new Rig();
    rig.send([1, 2]);
    rig.handle = (ids) => ids.map((id) => (id === 2 && rig.handled.length === 1 ? held : stored));
    rig.start();
    await rig.untilEmpty();
    expect(rig.handled).toEqual([[1, 2], [2]]);
  });

  test('what is held of a group goes before what waited behind it', async () => {
    const { rig, database } = rigWithoutDatabase({ fifo: true });
    rig.send([1, 2, 3], 'a');
    rig.start();
    await rig.time.pass(10_000);
    database.isAway = false;
    await rig.untilEmpty();
    expect(rig.handled).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  test('a stop gives back at once what is in hand', async () => {
    const { rig } = rigWithoutDatabase();
    rig.send([1]);
    rig.start();
    await rig.time.until('the outage', () => rig.probes > 0);
    expect(await rig.stop(10)).toMatchObject({ unsettled: 0, returned: 1 });
    expect(rig.queue.left).toEqual([{ messageId: 'm1', receiveCount: 1, hiddenSeconds: 0 }]);
  });
});

describe('an outage that is over before the next metric line', () => {
  test('is told in that line, and in none after it', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.send([1]);
    rig.start();
    await rig.time.until('the outage', () => rig.probes > 0);
    database.isAway = false;
    await rig.untilEmpty(10_000);
    expect([rig.consumer.gauges.breakerOpen, rig.metrics.breakerOpen]).toEqual([0, 1]);
    rig.send([2]);
    await rig.untilEmpty(30_000);
    expect(rig.metrics).toMatchObject({ breakerOpen: 0, stored: 1 });
  });
});

describe('when the database answers again', () => {
  test('one batch is tried, and the others go when it has committed', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.send(upTo(300));
    rig.handle = async (ids) => {
      const outcome = database.isAway ? held : stored;
      await rig.sleep(1_000);
      return ids.map(() => outcome);
    };
    rig.start();
    await rig.time.until('the outage', () => rig.probes > 0 && rig.underWay === 0);
    database.isAway = false;
    await rig.time.until('the trial', () => rig.underWay > 0);
    await rig.time.pass(999);
    expect(rig.underWay).toBe(1);
    await rig.time.pass(2);
    expect(rig.underWay).toBe(2);
  });

  test('one receive is tried where nothing is in hand', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.send(upTo(100));
    rig.start();
    await rig.time.until('everything given back', () => rig.consumer.gauges.messagesInProcess === 0);
    await rig.time.pass(60_000);
    const receives = rig.queue.receives;
    database.isAway = false;
    rig.handle = hang;
    await rig.time.pass(60_000);
    expect(rig.queue.receives).toBe(receives + 1);
  });

  test('but nothing can be stored, it is tried seldom: 250 ms, 500 ms, 1, 2, 4, then 5 s apart', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = () => [held];
    rig.start();
    await rig.time.pass(7_750);
    expect(rig.handled).toHaveLength(6);
    await rig.time.pass(50_000);
    expect(rig.handled).toHaveLength(16);
  });

  test('it is tried soon again when there has been a commit since the outage before', async () => {
    const rig = new Rig();
    const storedAtMs: number[] = [];
    let failures = 0;
    rig.handle = (ids) => {
      if (failures > 0) {
        failures -= 1;
        return ids.map(() => held);
      }
      storedAtMs.push(rig.time.monotonicMs());
      return ids.map(() => stored);
    };
    rig.start();
    for (const outage of [1, 2]) {
      failures = 4;
      rig.send([outage]);
      await rig.time.until('a commit', () => storedAtMs.length === outage);
      await rig.time.pass(100_000);
    }
    const [first, second] = storedAtMs;
    expect(second! - first! - 100_000).toBeLessThanOrEqual(250 + 500 + 1_000 + 2_000 + 1_000);
  });
});

describe('an outage of more than five minutes', () => {
  test('gives back what it cannot store', async () => {
    const { rig } = rigWithoutDatabase();
    rig.send([1]);
    rig.start();
    await rig.time.until('the return', () => rig.queue.left[0]!.receiveCount === 1 && rig.counts.retried === 1);
    expect(rig.time.monotonicMs()).toBeGreaterThanOrEqual(300_000);
    expect(rig.time.monotonicMs()).toBeLessThan(310_000);
    expect(rig.changes.at(-1)).toEqual([['m1', 15]]);
  });

  test('gives back a group with one delay', async () => {
    const { rig } = rigWithoutDatabase({ fifo: true });
    rig.send([1, 2], 'a');
    rig.start();
    await rig.time.until('the return', () => rig.consumer.gauges.messagesInProcess === 0);
    expect(rig.changes.at(-1)).toEqual([
      ['m1', 15],
      ['m2', 15],
    ]);
  });

  test('is over when the database is back: what comes is stored, and received once more at most', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.send(upTo(100));
    rig.start();
    await rig.time.pass(600_000);
    expect(new Set(rig.queue.left.map(({ receiveCount }) => receiveCount))).toEqual(new Set([1, 0]));
    database.isAway = false;
    await rig.untilEmpty(60_000);
    const { received, retried } = rig.counts;
    // Those that were in hand when it began, and no others.
    expect(received).toBe(100 + retried!);
    expect(rig.queue.redriven).toEqual([]);
  });

  test('keeps a message at its last receive: received once more it would be dead for the database’s fault', async () => {
    const { rig, database } = rigWithoutDatabase({ maxReceiveCount: 2 });
    rig.send([1, 2]);
    rig.queue.receivedBefore('m1', 1);
    rig.start();
    await rig.time.pass(3_600_000);
    expect(rig.changes.flat().filter(([, seconds]) => seconds !== 60)).toEqual([['m2', 15]]);
    database.isAway = false;
    await rig.untilEmpty(60_000);
    expect([rig.queue.redriven, rig.queue.deadLetters]).toEqual([[], []]);
  });

  test('counts from when something was kept: a quiet time since the last one is no outage', async () => {
    const rig = new Rig({ maxReceiveCount: 100 });
    rig.send([1]);
    const heldAtMs: number[] = [];
    rig.handle = () => {
      const nowMs = rig.time.monotonicMs();
      // Nothing commits after the first outage, so that nobody sees it end.
      if (heldAtMs.length > 0 && nowMs < 400_000) return [retried];
      heldAtMs.push(nowMs);
      return [held];
    };
    rig.start();
    await rig.time.until('the second outage', () => heldAtMs.length > 1, 3_600_000);
    const retriedBefore = rig.queue.left[0]!.receiveCount;
    await rig.time.pass(270_000);
    expect(rig.consumer.gauges.messagesInProcess).toBe(1);
    await rig.time.until('the return', () => rig.consumer.gauges.messagesInProcess === 0, 40_000);
    expect(rig.queue.left[0]!.receiveCount).toBe(retriedBefore);
  });
});

describe('a message that a database does not take although it takes every probe', () => {
  test('is rejected with the reason after half an hour at its last receive, and holds the worker up no longer', async () => {
    const rig = new Rig({ maxReceiveCount: 1 });
    rig.handle = (ids) => ids.map((id) => (id === 1 ? held : stored));
    rig.send([1]);
    rig.start();
    await rig.time.pass(1_800_000);
    expect(rig.rejections).toEqual([]);
    await rig.time.pass(20_000);
    expect(rig.rejections).toMatchObject([{ errorClass: 'RetriesExhausted', reason: 'connection refused' }]);
    rig.send([2]);
    await rig.untilEmpty(60_000);
  });
});
