/** Some of the schedules that `npm run simulate` runs by the million, that they replay, and that they find faults. */
import { describe, expect, test } from '@jest/globals';
import { DATABASE_FAULTS, SQS_FAULTS, SQS_OPERATIONS, STATEMENTS } from './faults.ts';
import { MUTANTS } from './mutants.ts';
import { runInProcess, runOnAllCores } from './processes.ts';

const FIRST_SEED = 1;
/** About ten seconds on two idle cores. */
const SCHEDULES = 10_000;
/** The rarest fault is that of a statement that is seldom run. */
const TIMES_EACH_FAULT = 20;
/** A mutant that needs more is not caught within what the tests run. */
const SCHEDULES_PER_MUTANT = 5_000;
const MINUTES_MS = 240_000;

describe('workers among crashes, pauses, lost answers and a database that goes away', () => {
  test(
    `keep every invariant in ${SCHEDULES} schedules, in which every fault happens to every operation`,
    async () => {
      const report = await runOnAllCores({ firstSeed: FIRST_SEED, schedules: SCHEDULES });
      expect(report.failures).toEqual([]);
      expect(report.schedules).toBe(SCHEDULES);
      const wanted = [
        ...SQS_OPERATIONS.flatMap((operation) => SQS_FAULTS.map((fault) => `sqs ${operation}: ${fault}`)),
        ...STATEMENTS.flatMap((statement) => DATABASE_FAULTS.map((fault) => `database ${statement}: ${fault}`)),
      ];
      expect(wanted.filter((what) => (report.coverage[what] ?? 0) < TIMES_EACH_FAULT)).toEqual([]);
    },
    MINUTES_MS,
  );
});

describe('a schedule', () => {
  test('replays event by event in another process, whichever way its microtasks are run', async () => {
    const order = { firstSeed: FIRST_SEED, schedules: 40, withHashes: true };
    const [one, other] = await Promise.all([runInProcess(order), runInProcess({ ...order, drain: 'immediate' })]);
    expect(one.traceHashes).toHaveLength(40);
    expect(other.traceHashes).toEqual(one.traceHashes);
  });

  test('is the same alone as among others', async () => {
    const among = await runInProcess({ firstSeed: FIRST_SEED, schedules: 20, withHashes: true });
    const alone = await runInProcess({ firstSeed: FIRST_SEED + 19, schedules: 1, withHashes: true });
    expect(alone.traceHashes).toEqual(among.traceHashes.slice(-1));
  });
});

describe('a fault written into the workers is found', () => {
  test.each(MUTANTS)(
    '$name: $caughtBy',
    async ({ name, caughtBy }) => {
      const order = { firstSeed: FIRST_SEED, schedules: SCHEDULES_PER_MUTANT, mutant: name, until: caughtBy };
      const { failures } = await runInProcess(order);
      const seen = failures.flatMap(({ violations }) => violations.map(({ invariant }) => invariant));
      expect(seen).toEqual(expect.arrayContaining([expect.stringMatching(new RegExp(`^(${caughtBy.join('|')})$`))]));
    },
    MINUTES_MS,
  );
});
