import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { LeaseKeeper } from '../../../workers/runtime/lease-keeper.ts';
import { LeaseTable } from '../../../workers/runtime/lease-table.ts';
import { MemoryQueue } from './memory-queue.ts';
import { VirtualTime } from './virtual-time.ts';

/** Leases of 60 s, and one who keeps them. */
function makeKeeper() {
  const time = new VirtualTime();
  const queue = new MemoryQueue(time);
  const lost: string[] = [];
  const leases = new LeaseTable(60, (receiptHandle) => lost.push(receiptHandle));
  const keeper = new LeaseKeeper({
    leases,
    queue,
    queueName: 'work',
    surroundings: time,
    log: pino({ level: 'silent' }),
  });
  const { signal } = new AbortController();
  const receive = async (messages: number) => {
    for (let message = 0; message < messages; message += 1) queue.send('work');
    const handles: string[] = [];
    while (handles.length < messages) {
      handles.push(...(await queue.receive(signal)).map(({ receiptHandle }) => receiptHandle));
    }
    for (const handle of handles) leases.received(handle, time.monotonicMs());
    keeper.watch(leases.firstDueAtMs(time.monotonicMs()));
    return handles;
  };
  const extensions = () => queue.changes.map(({ atMs, entries }) => [atMs / 1000, entries.length]);
  return { time, queue, leases, keeper, lost, receive, extensions };
}

describe('the keeper of leases', () => {
  test('looks when the first is due, and at no other time: an idle worker has no timer', async () => {
    const { time, leases, receive, extensions } = makeKeeper();
    expect(time.pending).toBe(0);
    const [handle] = await receive(1);
    await time.pass(29_999);
    expect(extensions()).toEqual([]);
    await time.pass(1);
    expect(extensions()).toEqual([[30, 1]]);
    leases.released(handle!);
    await time.pass(60_000);
    expect([extensions().length, time.pending]).toEqual([1, 0]);
  });

  test('has one timer for all, set for the earliest', async () => {
    const { time, receive, extensions } = makeKeeper();
    await receive(1);
    await time.pass(10_000);
    await receive(1);
    expect(time.pending).toBe(1);
    await time.pass(40_000);
    // At 30 s the first alone, and at 40 s the second.
    expect(extensions()).toEqual([
      [30, 1],
      [40, 1],
    ]);
  });

  test('looks sooner for a lease that comes later and is due before', async () => {
    const { time, leases, keeper, receive, extensions } = makeKeeper();
    await receive(1);
    await time.pass(20_000);
    // Its receive took long: it was sent before the first.
    leases.received('slow', -5_000);
    keeper.watch(leases.firstDueAtMs(-5_000));
    await time.pass(5_000);
    expect(extensions()).toEqual([[25, 1]]);
  });

  test('tells who gives a message back when its extension was answered, or was not for two seconds', async () => {
    const { time, queue, keeper, receive } = makeKeeper();
    const [first, second] = await receive(2);
    const answers = [() => {}];
    queue.faults.call = () => new Promise<void>((resolve) => answers.push(resolve));
    await time.pass(30_000);
    const told: string[] = [];
    void keeper.answered([first!]).then(() => told.push('first'));
    await time.pass(500);
    expect(told).toEqual([]);
    answers.at(-1)!();
    await time.pass(0);
    expect(told).toEqual(['first']);
    await keeper.answered([first!, second!]);
    await time.pass(30_000);
    void keeper.answered([second!]).then(() => told.push('second'));
    await time.pass(1_999);
    expect(told).toEqual(['first']);
    await time.pass(1);
    expect(told).toEqual(['first', 'second']);
  });

  test('extends ten in a call, all calls at once', async () => {
    const { time, queue, receive, extensions } = makeKeeper();
    await receive(25);
    queue.faults.call = () => new Promise(() => {});
    await time.pass(30_000);
    expect(extensions()).toEqual([
      [30, 10],
      [30, 10],
      [30, 5],
    ]);
  });

  test('tries again every second what could not be extended, until the lease has ended', async () => {
    const { time, queue, lost, receive, extensions } = makeKeeper();
    await receive(1);
    queue.faults.entry = () => true;
    await time.pass(33_500);
    expect(extensions()).toEqual([
      [30, 1],
      [31, 1],
      [32, 1],
      [33, 1],
    ]);
    expect(lost).toEqual([]);
    await time.pass(60_000);
    expect(lost).toEqual(['m1#1']);
    expect(extensions().at(-1)).toEqual([59, 1]);
    expect(time.pending).toBe(0);
  });

  test('takes for lost what SQS calls stale, and keeps the others of the call', async () => {
    const { time, queue, leases, lost, receive } = makeKeeper();
    await receive(2);
    queue.handOutElsewhere('m1');
    await time.pass(30_000);
    expect(lost).toEqual(['m1#1']);
    expect(leases.holds('m2#1', 89_000)).toBe(true);
  });

  test('keeps what SQS hides for no longer as long as it lasts, and asks no more', async () => {
    const { time, queue, lost, receive, extensions } = makeKeeper();
    await receive(1);
    queue.changeVisibilityBatch = async (changes) => {
      queue.changes.push({ atMs: time.monotonicMs(), entries: changes.map(() => ['m1', 60]) });
      return ['refused'];
    };
    await time.pass(59_999);
    expect([extensions(), lost]).toEqual([[[30, 1]], []]);
    await time.pass(1_000);
    expect(lost).toEqual(['m1#1']);
  });

  test('counts an extension from when it was asked for, not from when it was answered', async () => {
    const { time, queue, leases, receive } = makeKeeper();
    await receive(1);
    let release = () => {};
    queue.faults.call = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    await time.pass(38_000);
    release();
    await time.pass(0);
    expect(leases.leftMs('m1#1', 38_000)).toBe(52_000);
  });

  test('leaves everything to others at its end', async () => {
    const { time, keeper, receive, extensions } = makeKeeper();
    await receive(1);
    keeper.end();
    await receive(1);
    await time.pass(60_000);
    expect([extensions(), time.pending]).toEqual([[], 0]);
  });

  test('does not go on after its end with an answer that comes then', async () => {
    const { time, queue, keeper, receive, extensions } = makeKeeper();
    await receive(1);
    let release = () => {};
    queue.faults.call = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    await time.pass(30_000);
    keeper.end();
    release();
    await time.pass(60_000);
    expect([extensions().length, time.pending]).toEqual([1, 0]);
  });
});
