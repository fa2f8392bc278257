import { describe, expect, test } from '@jest/globals';
import type { EntryResult } from '../../../workers/runtime/queue-client.ts';
import { Settlement } from '../../../workers/runtime/settlement.ts';
import { MemoryQueue } from './memory-queue.ts';
import { VirtualTime } from './virtual-time.ts';

/** Messages in flight, and a settlement for them. */
async function makeSettlement(messages: number, fifo = false) {
  const time = new VirtualTime();
  const queue = new MemoryQueue(time);
  const unconfirmed: number[] = [];
  for (let message = 1; message <= messages; message += 1) queue.send('work');
  const handles: string[] = [];
  const { signal } = new AbortController();
  while (handles.length < messages) {
    handles.push(...(await queue.receive(signal)).map(({ receiptHandle }) => receiptHandle));
  }
  const settlement = new Settlement({
    fifo,
    queue,
    surroundings: time,
    onUnconfirmed: (entries) => unconfirmed.push(entries),
  });
  const results: EntryResult[] = [];
  const remove = (...some: string[]) => {
    for (const handle of some) settlement.delete(handle, (result) => results.push(result));
  };
  return { time, queue, handles, settlement, remove, results, unconfirmed };
}

describe('a delete', () => {
  test('waits for others, for a tenth of a second at most', async () => {
    const { time, queue, handles, remove, results } = await makeSettlement(3);
    remove(handles[0]!);
    await time.pass(60);
    remove(handles[1]!, handles[2]!);
    await time.pass(39);
    expect(queue.deletes).toEqual([]);
    await time.pass(1);
    expect(queue.deletes).toEqual([['m1', 'm2', 'm3']]);
    expect(results).toEqual(['done', 'done', 'done']);
  });

  test('waits 5 ms on a FIFO queue, whose group waits for it', async () => {
    const { time, queue, handles, remove } = await makeSettlement(2, true);
    remove(handles[0]!);
    await time.pass(4);
    remove(handles[1]!);
    expect(queue.deletes).toEqual([]);
    await time.pass(1);
    expect(queue.deletes).toEqual([['m1', 'm2']]);
  });

  test('goes out at once with nine others, and the next one waits anew', async () => {
    const { time, queue, handles, remove } = await makeSettlement(11);
    remove(...handles);
    await time.pass(0);
    expect(queue.deletes.map(({ length }) => length)).toEqual([10]);
    await time.pass(99);
    expect(queue.deletes).toHaveLength(1);
    await time.pass(1);
    expect(queue.deletes.map(({ length }) => length)).toEqual([10, 1]);
  });

  test('can be hurried, without that the next ones are', async () => {
    const { time, queue, handles, settlement, remove } = await makeSettlement(2);
    remove(handles[0]!);
    settlement.flush();
    remove(handles[1]!);
    await time.pass(0);
    expect(queue.deletes).toEqual([['m1']]);
    await time.pass(100);
    expect(queue.deletes).toEqual([['m1'], ['m2']]);
  });

  test('waits for nobody any more when the worker is about to end', async () => {
    const { time, queue, handles, settlement, remove } = await makeSettlement(3);
    remove(handles[0]!);
    settlement.hurry();
    remove(handles[1]!);
    remove(handles[2]!);
    await time.pass(0);
    expect(queue.deletes).toEqual([['m1'], ['m2'], ['m3']]);
  });

  test('is told again only where the service failed, after 200, 400, 800 and 1,600 ms at most', async () => {
    const { time, queue, handles, remove, results, unconfirmed } = await makeSettlement(2);
    queue.faults.entry = (_, id) => id === 'm2';
    const atMs: number[] = [];
    queue.faults.call = () => atMs.push(time.monotonicMs());
    remove(...handles);
    await time.pass(10_000);
    expect(queue.deletes).toEqual([['m1', 'm2'], ['m2'], ['m2'], ['m2'], ['m2']]);
    expect(atMs).toEqual([100, 300, 700, 1_500, 3_100]);
    expect(results).toEqual(['done', 'failed']);
    expect(unconfirmed).toEqual([1]);
  });

  test('of a stale handle is not told again: the message is someone else’s', async () => {
    const { time, queue, handles, remove, results, unconfirmed } = await makeSettlement(2);
    queue.handOutElsewhere('m1');
    remove(...handles);
    await time.pass(10_000);
    expect(queue.deletes).toEqual([['m1', 'm2']]);
    expect(results).toEqual(['gone', 'done']);
    expect(unconfirmed).toEqual([]);
  });

  test('is heard of although the call for ten others hangs', async () => {
    const { time, queue, handles, remove, results } = await makeSettlement(11);
    queue.faults.call = (_, ids) => (ids.includes('m1') ? new Promise(() => {}) : undefined);
    remove(...handles);
    await time.pass(1_000);
    expect(results).toEqual(['done']);
  });
});

describe('a change of visibility', () => {
  const changesOf = (handles: readonly string[]) =>
    handles.map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds: 30 }));

  test('goes out at once, ten in a call, one call after the other where the order matters', async () => {
    const { queue, handles, settlement } = await makeSettlement(25);
    let underWay = 0;
    queue.faults.call = async () => {
      underWay += 1;
      if (underWay > 1) throw new Error('two calls at once');
      await new Promise(setImmediate);
      underWay -= 1;
    };
    const results = await settlement.changeVisibility(changesOf(handles), true, () => true);
    expect(queue.changes.map(({ entries }) => entries.length)).toEqual([10, 10, 5]);
    expect(queue.changes.flatMap(({ entries }) => entries.map(([id]) => id))).toEqual(
      handles.map((handle) => handle.split('#')[0]),
    );
    expect(new Set(results)).toEqual(new Set(['done']));
  });

  test('does not wait for other calls where it does not', async () => {
    const { time, queue, handles, settlement } = await makeSettlement(25);
    queue.faults.call = (_, ids) => (ids.includes('m1') ? new Promise(() => {}) : undefined);
    void settlement.changeVisibility(changesOf(handles), false, () => true);
    await time.pass(0);
    expect(queue.changes.map(({ entries }) => entries.length)).toEqual([10, 10, 5]);
  });

  test('tells for each entry what became of it, in its order', async () => {
    const { time, queue, handles, settlement, unconfirmed } = await makeSettlement(3);
    queue.handOutElsewhere('m1');
    queue.faults.entry = (_, id) => id === 'm3';
    const results = settlement.changeVisibility(changesOf(handles), true, () => true);
    await time.pass(10_000);
    expect(await results).toEqual(['gone', 'done', 'failed']);
    expect(unconfirmed).toEqual([1]);
  });

  test('is told again as a whole when the call failed, five times in all', async () => {
    const { time, queue, handles, settlement, unconfirmed } = await makeSettlement(2);
    queue.faults.call = () => {
      throw new Error('503');
    };
    const results = settlement.changeVisibility(changesOf(handles), true, () => true);
    await time.pass(10_000);
    expect(await results).toEqual(['failed', 'failed']);
    expect(queue.changes).toHaveLength(5);
    expect(unconfirmed).toEqual([2]);
  });

  test('is asked for no more when its lease has ended meanwhile: it would change that of the next owner', async () => {
    const { time, queue, handles, settlement, unconfirmed } = await makeSettlement(2);
    queue.faults.call = () => {
      throw new Error('503');
    };
    const ours = new Set(handles);
    const results = settlement.changeVisibility(changesOf(handles), true, (handle) => ours.has(handle));
    await time.pass(0);
    ours.delete(handles[0]!);
    queue.faults.call = () => {};
    await time.pass(10_000);
    expect(await results).toEqual(['gone', 'done']);
    expect(queue.changes.map(({ entries }) => entries.map(([id]) => id))).toEqual([['m1', 'm2'], ['m2']]);
    expect(unconfirmed).toEqual([]);
  });
});
