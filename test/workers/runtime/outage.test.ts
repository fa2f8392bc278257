import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Outage } from '../../../workers/runtime/outage.ts';
import { VirtualTime } from './virtual-time.ts';

/** An outage whose database answers when the test says so. */
function makeOutage() {
  const time = new VirtualTime();
  const stopping = new AbortController();
  const seen = { answers: false, probesAtMs: [] as number[], changesAtMs: [] as number[], openedAtMs: [] as number[] };
  const outage = new Outage({
    probe: async () => {
      seen.probesAtMs.push(time.monotonicMs());
      return seen.answers;
    },
    queueName: 'work',
    telemetry: { breakerOpened: () => seen.openedAtMs.push(time.monotonicMs()) },
    surroundings: time,
    log: pino({ level: 'silent' }),
    stopping: stopping.signal,
    onChange: () => seen.changesAtMs.push(time.monotonicMs()),
  });
  return { time, stopping, seen, outage };
}

describe('an outage', () => {
  test('is asked about with a query after 250 ms, and then half as often each time, up to every 5 s', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    await time.pass(17_750);
    expect(seen.probesAtMs).toEqual([250, 750, 1_750, 3_750, 7_750, 12_750, 17_750]);
    expect(outage.state).toBe('open');
  });

  test('of which several batches tell is asked about once', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    await time.pass(100);
    outage.began('refused');
    outage.began('refused');
    await time.pass(150);
    expect(seen.probesAtMs).toEqual([250]);
  });

  test('is half over when the database answers, and over when a batch has committed', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    seen.answers = true;
    await time.pass(250);
    expect([outage.state, seen.changesAtMs]).toEqual(['half-open', [250]]);
    outage.committed();
    expect(outage.state).toBe('closed');
    await time.pass(60_000);
    expect(seen.probesAtMs).toEqual([250]);
  });

  test('goes on when the trial fails, and is asked about later', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    seen.answers = true;
    await time.pass(1_000);
    outage.began('no such table');
    expect(outage.state).toBe('open');
    await time.pass(1_000);
    expect(seen.probesAtMs).toEqual([250, 1_500]);
  });

  test('is too long after five minutes, tells so, and is not while a trial may end it', async () => {
    const { time, seen, outage } = makeOutage();
    expect(outage.isTooLong).toBe(false);
    outage.began('refused');
    await time.pass(299_999);
    expect([outage.isTooLong, seen.changesAtMs]).toEqual([false, []]);
    await time.pass(1);
    expect([outage.isTooLong, seen.changesAtMs]).toEqual([true, [300_000]]);
    seen.answers = true;
    await time.pass(5_000);
    expect([outage.state, outage.isTooLong]).toEqual(['half-open', false]);
    outage.began('no such table');
    expect(outage.isTooLong).toBe(true);
  });

  test('counts from its own beginning', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    seen.answers = true;
    await time.pass(250);
    outage.committed();
    await time.pass(290_000);
    seen.answers = false;
    outage.began('refused');
    await time.pass(100_000);
    expect(outage.isTooLong).toBe(false);
  });
});

describe('the metrics', () => {
  test('are told when it begins, and when it goes on after a trial', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    outage.began('refused');
    seen.answers = true;
    await time.pass(1_000);
    outage.began('no such table');
    expect(seen.openedAtMs).toEqual([0, 1_000]);
  });
});

describe('whoever waits for its end', () => {
  test('does not wait while there is none', async () => {
    const { outage } = makeOutage();
    expect(await outage.ended()).toBe(true);
  });

  test('hears when the database is back', async () => {
    const { time, seen, outage } = makeOutage();
    outage.began('refused');
    const ended = outage.ended();
    await time.pass(1_000);
    seen.answers = true;
    await time.pass(1_000);
    expect(await ended).toBe(true);
  });

  test('hears after five minutes that it is not', async () => {
    const { time, outage } = makeOutage();
    outage.began('refused');
    const ended = outage.ended();
    await time.pass(300_000);
    expect(await ended).toBe(false);
  });

  test('hears at once when the worker stops, and nothing is asked any more', async () => {
    const { time, stopping, seen, outage } = makeOutage();
    outage.began('refused');
    const ended = outage.ended();
    await time.pass(1_000);
    stopping.abort();
    expect(await ended).toBe(false);
    const probes = seen.probesAtMs.length;
    await time.pass(60_000);
    expect(seen.probesAtMs).toHaveLength(probes);
  });
});
