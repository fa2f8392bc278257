/** Some of the schedules that `npm run simulate` runs by the million, that they replay, and that they find faults. */
import { describe, expect, test } from '@jest/globals';
import { notReached } from './faults.ts';
import { MUTANTS } from './mutants.ts';
import { runInProcess, runOnAllCores, sweepAll } from './processes.ts';

const FIRST_SEED = 1;
/** As many as fit half a minute or so on two idle cores, beside the sweeps and the mutants. */
const SCHEDULES = 5_000;
const MINUTES_MS = 240_000;

describe('workers among crashes, pauses, lost answers and a database that goes away', () => {
  test(
    `keep every invariant in ${SCHEDULES} schedules, in which every fault happens to every operation`,
    async () => {
      const report = await runOnAllCores({ firstSeed: FIRST_SEED, schedules: SCHEDULES });
      expect(report.failures).toEqual([]);
      expect(report.schedules).toBe(SCHEDULES);
      expect(notReached(SCHEDULES, report.coverage)).toEqual([]);
    },
    MINUTES_MS,
  );

  test(
    'keep every invariant wherever they crash in a dozen small scenarios',
    async () => {
      const report = await sweepAll();
      expect(report.failures).toEqual([]);
      expect(report.schedules).toBeGreaterThan(1_000);
    },
    MINUTES_MS,
  );
});

describe('a schedule', () => {
  test('replays event by event in another process, whichever way its microtasks are run', async () => {
    const order = { firstSeed: FIRST_SEED, schedules: 40, hashEvery: 1 };
    const [one, other] = await Promise.all([runInProcess(order), runInProcess({ ...order, drain: 'immediate' })]);
    expect(Object.keys(one.traceHashes)).toHaveLength(40);
    expect(other.traceHashes).toEqual(one.traceHashes);
  });

  test('is the same alone as among others', async () => {
    const last = FIRST_SEED + 19;
    const among = await runInProcess({ firstSeed: FIRST_SEED, schedules: 20, hashEvery: 1 });
    const alone = await runInProcess({ firstSeed: last, schedules: 1, hashEvery: 1 });
    expect(alone.traceHashes[last]).toBe(among.traceHashes[last]);
  });
});

describe('a fault written into the workers is found', () => {
  test(
    'by the invariant that speaks of it, in each of the mutants',
    async () => {
      const missed: string[] = [];
      const left = [...MUTANTS];
      const hunt = async () => {
        for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
          const { name, caughtBy, seed } = mutant;
          const { failures } = await runInProcess({ firstSeed: seed, mutant: name, until: caughtBy });
          const seen = failures.flatMap(({ violations }) => violations.map(({ invariant }) => invariant));
          if (!seen.some((invariant) => caughtBy.some((named) => named === invariant))) missed.push(name);
        }
      };
      await Promise.all([hunt(), hunt()]);
      expect(MUTANTS.length).toBeGreaterThanOrEqual(25);
      expect(missed).toEqual([]);
    },
    MINUTES_MS,
  );
});
