/** When a run is given up: not before twenty minutes in which nothing has moved and nothing is known to come. */
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Wait } from '../../local/given-back.ts';
import { Monitor, type WatchedQueue } from '../../local/monitor.ts';
import type { QueueDepth } from '../../local/sqs-control.ts';
import { afterwards } from './machine/machine.ts';

const HELD: QueueDepth = { visible: 0, inFlight: 3, delayed: 0 };
const OTHER: QueueDepth = { visible: 1, inFlight: 2, delayed: 0 };
const WAIT: Wait = { reason: 'a newer version', messages: 1, nextSeconds: 300 };

/** What there is to see at a minute of the run. */
interface Seen {
  readonly depthAt: (minute: number) => QueueDepth;
  readonly waitsAt?: (minute: number) => Wait[];
  /** Whether the run ends by itself at all; true. */
  readonly ends?: boolean;
  /** Minute of Ctrl-C; never. */
  readonly interruptedAt?: number;
}

/** Watches a run in which nothing is ever done, a look a minute, beside a database that is away all the time. */
async function watched({ depthAt, waitsAt = () => [], ends = true, interruptedAt }: Seen) {
  let minute = 0;
  const interruption = new AbortController();
  const clock = {
    nowMs: () => minute * 60_000,
    wait: async () => {
      minute += 1;
      if (minute === interruptedAt) interruption.abort();
    },
  };
  const fleet: WatchedQueue['fleet'] = {
    running: 1,
    counts: { received: 0, stored: 0, suppressed: 0, rejected: 0, retried: 0, leasesLost: 0, requests: 0 },
    waits: () => waitsAt(minute),
  };
  const pool = new pg.Pool({ connectionString: 'postgres://sluice@127.0.0.1:1/sluice' });
  afterwards(() => pool.end());
  const events: string[] = [];
  const queue = { name: 'orders', url: 'work', deadLetterUrl: 'dead', fleet };
  const control = { depth: async () => depthAt(minute) };
  const monitor = new Monitor([queue], control, pool, (event) => events.push(event), clock);
  const hasMoved = await monitor.watch(ends ? () => false : undefined, () => undefined, interruption.signal);
  return { hasMoved, minute, events };
}

describe('a run in which nothing moves', () => {
  test('is given up after 20 minutes', async () => {
    expect(await watched({ depthAt: () => HELD })).toEqual({ hasMoved: false, minute: 21, events: [] });
  });

  test('has 20 minutes more each time that something does', async () => {
    const { minute } = await watched({ depthAt: (now) => (now < 15 ? HELD : OTHER) });
    expect(minute).toBe(36);
  });

  test('is not given up while a message is known to come again', async () => {
    const { minute } = await watched({ depthAt: () => HELD, waitsAt: (now) => (now <= 90 ? [WAIT] : []) });
    expect(minute).toBe(111);
  });

  test('goes on until Ctrl-C, an hour of it, when it is not to end by itself', async () => {
    const idle: QueueDepth = { visible: 0, inFlight: 0, delayed: 0 };
    const { hasMoved, minute } = await watched({ depthAt: () => idle, ends: false, interruptedAt: 60 });
    expect([hasMoved, minute]).toEqual([true, 60]);
  });

  test('is given up too when its queues cannot be looked at, which is told once', async () => {
    const { hasMoved, minute, events } = await watched({
      depthAt: () => {
        throw new Error('503');
      },
    });
    expect([hasMoved, minute]).toEqual([false, 21]);
    expect(events).toEqual(['cannot look at the queues, trying again: Error: 503']);
  });
});
