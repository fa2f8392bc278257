/** What a consumer does with a message that may have ended its process before. */
import { describe, expect, test } from '@jest/globals';
import { hang, Rig, stored, takes, upTo } from './rig.ts';

describe('a message that was received three times or more', () => {
  const suspect = (rig: Rig, id: string) => rig.queue.receivedBefore(id, 2);

  /** What was asked for by then, each time that a batch is handled. */
  async function changesBeforeEach(rig: Rig): Promise<(typeof rig.changes)[]> {
    const changesBefore: (typeof rig.changes)[] = [];
    rig.handle = (ids) => {
      changesBefore.push(rig.changes);
      return ids.map(() => stored);
    };
    rig.start();
    await rig.untilEmpty();
    return changesBefore;
  }

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
    const changesBefore = await changesBeforeEach(rig);
    // In one call, which takes ten.
    const apart = [
      [
        ['m2', 300],
        ['m3', 300],
        ['m4', 360],
        ['m5', 420],
      ],
    ];
    expect(rig.handled).toEqual([[1], [2, 3], [4], [5]]);
    // For the second suspect the third is far enough already, and the second itself comes again first.
    expect(changesBefore).toEqual([apart, apart, [...apart, [['m4', 60]]], [...apart, [['m4', 60]], [['m5', 60]]]]);
  });

  test('keeps no place free among them for itself, or for what is in other hands', async () => {
    const rig = new Rig();
    rig.send([1, 2, 3]);
    for (const id of ['m1', 'm2', 'm3']) suspect(rig, id);
    const changesBefore = await changesBeforeEach(rig);
    const apart = [
      ['m2', 300],
      ['m3', 360],
    ];
    expect(changesBefore[0]).toEqual([apart]);
  });

  test.each([1_800, 10_800, 43_200])(
    'comes again after a quarter of an hour, and the others later, where the queue hides for %i s',
    async (visibilityTimeoutSeconds) => {
      const rig = new Rig({ visibilityTimeoutSeconds });
      rig.send(upTo(4));
      for (const id of ['m1', 'm2', 'm3', 'm4']) suspect(rig, id);
      const changesBefore = await changesBeforeEach(rig);
      expect(changesBefore[0]).toEqual([
        [
          ['m1', 900],
          ['m2', 4_500],
          ['m3', 5_400],
          ['m4', 6_300],
        ],
      ]);
    },
  );

  test('has hidden longer, too, what a poll brings that was under way when it began', async () => {
    const rig = new Rig();
    rig.send(upTo(10));
    rig.start();
    await rig.untilEmpty();
    expect(rig.queue.pollsUnderWay).toBe(2);
    rig.handle = hang;
    rig.send([11]);
    suspect(rig, 'm11');
    await rig.time.pass(200);
    rig.send([12]);
    await rig.time.pass(200);
    expect(rig.handled.at(-1)).toEqual([11]);
    expect(rig.changes).toEqual([[['m12', 300]]]);
  });

  test('has the others hidden until twelve hours from their receive, and no longer', async () => {
    const rig = new Rig({ visibilityTimeoutSeconds: 900 });
    rig.send(upTo(10));
    for (const id of upTo(10)) suspect(rig, `m${id}`);
    rig.handle = async (ids) => {
      await rig.sleep(ids[0] === 1 ? 10 * 3_600_000 : 0);
      return [stored];
    };
    rig.start();
    await rig.untilEmpty(12 * 3_600_000);
    const apart = rig.queue.changes.filter(({ atMs }) => atMs >= 10 * 3_600_000)[0]!;
    expect(apart.entries).toEqual([
      ['m3', 4_500],
      ['m4', 5_400],
      ['m5', 6_300],
      ...[6, 7, 8, 9, 10].map((id) => [`m${id}`, expect.closeTo(2 * 3_600, -2)]),
    ]);
  });

  test('is told of in a line, with when the others would come again', async () => {
    const rig = new Rig();
    rig.send(upTo(4));
    for (const id of ['m1', 'm2', 'm3', 'm4']) suspect(rig, id);
    rig.handle = hang;
    rig.start();
    await rig.time.pass(100);
    expect(rig.lines).toEqual([
      expect.objectContaining({ msg: 'set apart', messagesByDelaySeconds: { 300: 1, 360: 1, 420: 1 } }),
    ]);
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
