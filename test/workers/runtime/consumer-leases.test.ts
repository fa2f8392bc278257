/** How long a consumer keeps what it holds hidden from others, and when it lets go. */
import { describe, expect, test } from '@jest/globals';
import { hang, lost, Rig, retried, stored, takes, upTo } from './rig.ts';

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

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

  test('count from when the receive was sent: how long its answer took is not known', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.queue.faults.call = (operation) => (operation === 'receive' ? rig.sleep(15_000) : undefined);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(40_000);
    expect(rig.queue.changes.map(({ atMs }) => atMs)).toEqual([30_000]);
  });

  test('are lost to a commit two seconds before their end: it would not be there in time', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.queue.faults.entry = () => true;
    const lostAt: number[][] = [];
    rig.handle = async (_, claim) => {
      await rig.sleep(57_900);
      lostAt.push(claim.lost());
      await rig.sleep(200);
      lostAt.push(claim.lost());
      return [lost];
    };
    rig.start();
    await rig.time.pass(59_000);
    expect(lostAt).toEqual([[], [1]]);
  });

  test('are given back after an extension that is on its way was answered, or it would hide the message again', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = takes(rig, 30_500, retried);
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? rig.sleep(1_000) : undefined);
    rig.start();
    await rig.time.pass(35_000);
    expect(rig.queue.changes).toEqual([
      { atMs: 30_000, entries: [['m1', 60]] },
      { atMs: 31_000, entries: [['m1', 15]] },
    ]);
  });

  test('are given back with what SQS permits: twelve hours from the receive', async () => {
    const rig = new Rig({ visibilityTimeoutSeconds: 43_200, fifo: true });
    rig.send([1, 2], 'a');
    rig.handle = (ids) => ids.map(() => retried);
    // Nobody knows whether the head was given back, so that its tail waits for a lease more.
    rig.queue.faults.entry = (_, messageId) => messageId === 'm1';
    rig.start();
    await rig.time.pass(60_000);
    const [[, seconds] = ['none', 0]] = rig.changes.at(-1)!;
    expect(seconds).toBeGreaterThan(43_000);
    expect(seconds).toBeLessThan(43_200);
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
