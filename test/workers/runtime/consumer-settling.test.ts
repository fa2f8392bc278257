/** What becomes of a message when its handler has answered, or misbehaved: it is deleted, or it comes again. */
import { describe, expect, test } from '@jest/globals';
import { body, failFirst, hang, lost, Rig, retried, stored, upTo } from './rig.ts';

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

  test('by never answering is left behind 15 s after that', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = (_, claim) => (rig.handled.length > 1 ? [stored] : claim.leftBehind.catch(() => [lost]));
    rig.start();
    await rig.time.until('the return', () => rig.changes.at(-1)?.some(([, seconds]) => seconds === 15) === true);
    expect(rig.time.monotonicMs()).toBe(135_000);
    await rig.untilEmpty();
  });

  test('is not called slow when a lease ends: at its last receive a message is not rejected for that', async () => {
    const rig = new Rig({ maxReceiveCount: 1 });
    rig.send([1]);
    rig.handle = () => [lost];
    rig.start();
    await rig.time.pass(10_000);
    expect(rig.rejections).toEqual([]);
    expect(rig.changes).toEqual([[['m1', 15]]]);
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
