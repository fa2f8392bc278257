import { getEventListeners } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { realSurroundings, sleep } from '../../../workers/runtime/surroundings.ts';
import { VirtualTime } from './virtual-time.ts';

describe('a real timer', () => {
  test('never rings before its time, not by a fraction of a millisecond: who looks at the clock then finds it due', async () => {
    const { monotonicMs, after } = realSurroundings;
    const early: number[] = [];
    const rings = Array.from({ length: 300 }, async (_, index) => {
      await setTimeout(index % 17);
      const dueAtMs = monotonicMs() + (index % 50) * 0.37;
      await new Promise<void>((resolve) => after(dueAtMs - monotonicMs(), resolve));
      if (monotonicMs() < dueAtMs) early.push(dueAtMs - monotonicMs());
    });
    await Promise.all(rings);
    expect(early).toEqual([]);
  });
});

describe('sleeping', () => {
  test('takes its time, on any clock', async () => {
    const time = new VirtualTime();
    let isAwake = false;
    void sleep(time, 100).then(() => {
      isAwake = true;
    });
    await time.pass(99);
    expect(isAwake).toBe(false);
    await time.pass(1);
    expect(isAwake).toBe(true);
    await sleep(realSurroundings, 1);
  });

  test('ends early when its signal aborts, and not at all late when it was aborted before; no timer is left', async () => {
    const time = new VirtualTime();
    const abort = new AbortController();
    const asleep = sleep(time, 1_000_000, abort.signal);
    expect(time.pending).toBe(1);
    abort.abort();
    await asleep;
    await sleep(time, 1_000_000, abort.signal);
    expect([time.monotonicMs(), time.pending]).toEqual([0, 0]);
  });

  test('leaves no listener on a signal that lives on: they would pile up over weeks', async () => {
    const time = new VirtualTime();
    const abort = new AbortController();
    const asleep = sleep(time, 100, abort.signal);
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1);
    await time.pass(100);
    await asleep;
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
  });
});
