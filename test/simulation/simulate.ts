/**
 * Runs many schedules and says what was seen: every invariant with how often it was judged and violated, and whether
 * every kind of fault happened often enough at every kind of call.
 *
 * The exit status is 0 when every invariant held and everything was reached, 1 when not, 2 when the command is wrong,
 * 3 when it could not run.
 */
import { execFileSync } from 'node:child_process';
import { Command, Option } from 'commander';
import { EXIT_DONE, EXIT_FALLS_SHORT, runCommand, wholeNumber } from '../../bin/command-line.ts';
import { showProgress } from '../../producer/progress.ts';
import { notReached, REACHED } from './faults.ts';
import { INVARIANTS } from './invariants.ts';
import { type Order, runEach, runOnAllCores, sweepAll } from './processes.ts';
import { SCENARIOS } from './scenarios.ts';
import { addReport, emptyReport, type Failure, type Report } from './tally.ts';

/** One schedule in so many is run again in another process, to show that it replays. */
const REPLAY_EVERY = 1_000;

const program = new Command('simulate')
  .description('Runs the shipped runtime and store among crashes, pauses and lost answers, in virtual time.')
  .option('--schedules <number>', 'how many, each from a seed of its own', wholeNumber(1), 10_000)
  .option('--seed <number>', 'the first seed', wholeNumber(0), 1)
  .option('--no-sweep', 'leave out the scenarios with a crash at every moment')
  .addOption(new Option('--scenario <name>', 'sweep this one alone').choices(SCENARIOS.map(({ name }) => name)))
  .option('--crash-at <answer>', 'with --scenario: one run, with a crash at this answer', wholeNumber(0))
  .option('--before', 'with --crash-at: before the answer is heard, not after', false)
  .option('--trace', 'write everything that happens to standard error', false)
  .option('--json', 'print the whole report as JSON', false)
  .option('--verbose', 'show where an error came from', false)
  .addHelpText(
    'after',
    `
Examples:
  npm run simulate                                        ten thousand schedules and the sweeps
  npm run simulate -- --schedules 1000000 --seed 1
  npm run simulate -- --schedules 1 --seed 4711 --trace   one schedule again, event by event
  npm run simulate -- --scenario 'an outage' --crash-at 17 --before --trace`,
  )
  .exitOverride()
  .action(simulate);

interface Options {
  readonly schedules: number;
  readonly seed: number;
  readonly sweep: boolean;
  readonly scenario?: string;
  readonly crashAt?: number;
  readonly before: boolean;
  readonly trace: boolean;
  readonly json: boolean;
}

interface Found {
  /** Schedules and sweeps together. */
  readonly whole: Report;
  readonly bySeed: Report;
  readonly swept: Report;
  /** Seeds that did not replay. */
  readonly differing: readonly string[];
  /** Faults that happened too seldom; undefined where there were too few schedules to say. */
  readonly missing: ReturnType<typeof notReached>;
  readonly seconds: number;
}

async function simulate(options: Options): Promise<void> {
  const startedMs = performance.now();
  const bySeed = options.scenario === undefined ? await runBySeed(options) : emptyReport();
  const swept = await runSweeps(options);
  const seconds = (performance.now() - startedMs) / 1000;
  const differing = await differingReplays(bySeed);
  const whole = emptyReport();
  for (const part of [bySeed, swept]) addReport(whole, part);
  const missing = options.scenario === undefined ? notReached(bySeed.schedules, bySeed.coverage) : undefined;
  if (options.json) console.log(JSON.stringify({ ...whole, seconds, differing, missing }, null, 2));
  else print({ whole, bySeed, swept, differing, missing, seconds });
  const isWell = whole.failures.length === 0 && differing.length === 0 && (missing ?? []).length === 0;
  process.exitCode = isWell ? EXIT_DONE : EXIT_FALLS_SHORT;
}

async function runBySeed({ schedules, seed: firstSeed, trace: traced }: Options): Promise<Report> {
  const progress = showProgress({ title: 'schedules', unit: '', total: schedules, stream: process.stderr });
  let done = 0;
  const order: Order = { schedules, firstSeed, traced, hashEvery: REPLAY_EVERY };
  return runOnAllCores(order, (part) => {
    done += part.schedules;
    progress.update(done);
  }).finally(() => progress.end());
}

async function runSweeps(options: Options): Promise<Report> {
  const { scenario, crashAt, before: crashIsBefore, trace: traced, schedules } = options;
  // Whoever replays one schedule wants that one alone.
  if (scenario === undefined) return options.sweep && schedules > 1 ? sweepAll() : emptyReport();
  return runEach([{ scenario, crashIsBefore, traced, ...(crashAt === undefined ? {} : { crashAtAnswer: crashAt }) }]);
}

/** Seeds whose second run, with the microtasks run in another way, was not the same event by event. */
async function differingReplays({ traceHashes }: Report): Promise<string[]> {
  const seeds = Object.keys(traceHashes);
  if (seeds.length === 0) return [];
  const orders = seeds.map((seed): Order => ({ firstSeed: Number(seed), drain: 'immediate', hashEvery: 1 }));
  const progress = showProgress({ title: 'replays', unit: '', total: seeds.length, stream: process.stderr });
  let done = 0;
  const again = await runEach(orders, (part) => {
    done += part.schedules;
    progress.update(done);
  }).finally(() => progress.end());
  return seeds.filter((seed) => again.traceHashes[seed] !== traceHashes[seed]);
}

function print(found: Found): void {
  const { whole, swept, seconds } = found;
  console.log('  invariant                        judged   violated in schedules');
  for (const invariant of INVARIANTS) {
    const judged = (whole.coverage[`judged: ${invariant}`] ?? 0).toLocaleString('en');
    const violated = whole.failures.filter(({ violations }) => violations.some((each) => each.invariant === invariant));
    console.log(`  ${invariant.padEnd(26)}${judged.padStart(13)}${String(violated.length).padStart(24)}`);
  }
  const { schedules, events, virtualMs } = whole;
  const counts = [schedules, swept.schedules, events, Math.round(virtualMs / 3_600_000)].map((n) =>
    n.toLocaleString('en'),
  );
  console.log(
    `\n  ${counts[0]} schedules (${counts[1]} of them sweeps), ${counts[2]} events, ${counts[3]} h of virtual time`,
  );
  console.log(`  ${seconds.toFixed(0)} s, ${(schedules / seconds).toFixed(0)} schedules a second; ${replays(found)}`);
  console.log(`  ${reached(found)}`);
  for (const failure of whole.failures) console.log(described(failure));
  console.log(`  ${whole.failures.length === 0 ? 'every invariant held' : 'an invariant was violated'}`);
}

function replays({ bySeed, differing }: Found): string {
  const times = Object.keys(bySeed.traceHashes).length;
  return differing.length === 0
    ? `${times} replayed, all the same`
    : `not the same when replayed: ${differing.join(', ')}`;
}

function reached({ missing }: Found): string {
  if (missing === undefined) return 'too few schedules to say whether every fault was reached';
  if (missing.length === 0) return `all ${REACHED.length} faults at calls, and states, were reached often enough`;
  return missing.map(({ what, times, wanted }) => `reached ${times} times, not ${wanted}: ${what}`).join('\n  ');
}

function described({ seed, violations, configuration, traceHash }: Failure): string {
  const { crashAtAnswer, crashIsBefore } = configuration;
  const swept = typeof crashAtAnswer === 'number' && crashAtAnswer > 0;
  const how = swept
    ? `--scenario … --crash-at ${crashAtAnswer}${crashIsBefore === true ? ' --before' : ''}`
    : `--schedules 1 --seed ${seed}`;
  return [
    `  failed: ${how}, at commit ${commit()}, trace ${traceHash}`,
    ...violations.map(({ invariant, detail }) => `    ${invariant}: ${detail}`),
    `    ${JSON.stringify(configuration)}`,
  ].join('\n');
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    // A copy without its history: the seed and the configuration say the rest.
    return 'unknown';
  }
}

await runCommand(program);
