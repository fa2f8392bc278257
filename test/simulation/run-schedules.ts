/**
 * A child process of the simulator: runs schedules one after the other, each from a seed of its own, or sweeps a
 * scenario, and writes a line of JSON about once a second.
 *
 *   node run-schedules.ts '{"firstSeed":1,"schedules":1000}'
 *   node run-schedules.ts '{"scenario":"an outage"}'
 *
 * A mutant is applied to the source before the simulation is loaded: the product has no switch for it.
 */
import { z } from 'zod';
import type { Configuration } from './configuration.ts';
import { applyMutant } from './mutant.ts';
import { MUTANTS } from './mutants.ts';
import type { Verdict } from './schedule.ts';
import { addReport, emptyReport, type Report } from './tally.ts';

export const orderSchema = z.object({
  firstSeed: z.int().min(0).default(1),
  schedules: z.int().min(1).default(1),
  /** Every how many seeds, so that several processes share a range. */
  step: z.int().min(1).default(1),
  mutant: z.string().optional(),
  /** Ends at the first schedule that violates one of these. */
  until: z.array(z.string()).default([]),
  drain: z.enum(['checkpoint', 'immediate']).default('checkpoint'),
  /** Of every how manyth seed the hash of the trace is told; 0 for none. */
  hashEvery: z.int().min(0).default(0),
  /** Sweeps this scenario, or runs it once with a crash at this answer, in place of schedules by seed. */
  scenario: z.string().optional(),
  crashAtAnswer: z.int().min(0).optional(),
  crashIsBefore: z.boolean().default(false),
  /** Writes every event to standard error. */
  traced: z.boolean().default(false),
});

const REPORT_MS = 1_000;

async function main(order: z.infer<typeof orderSchema>): Promise<void> {
  const mutant = MUTANTS.find(({ name }) => name === order.mutant);
  if (order.mutant !== undefined && mutant === undefined) throw new Error(`no mutant is called ${order.mutant}`);
  if (mutant !== undefined) applyMutant(mutant);
  const { runSchedule } = await import('./schedule.ts');
  const onTrace = order.traced ? { onTrace: (line: string) => console.error(line) } : {};
  let report = emptyReport();
  let reportAtMs = performance.now() + REPORT_MS;
  const tell = () => {
    console.log(JSON.stringify(report));
    report = emptyReport();
    reportAtMs = performance.now() + REPORT_MS;
  };
  const run = async (seed: number, configuration?: Configuration): Promise<Verdict> => {
    const own = configuration === undefined ? {} : { configuration };
    const verdict = await runSchedule(seed, { drain: order.drain, ...onTrace, ...own });
    addReport(report, reportOf(verdict, order.hashEvery > 0 && seed % order.hashEvery === 0));
    if (performance.now() >= reportAtMs) tell();
    return verdict;
  };
  if (order.scenario !== undefined) await sweep(order.scenario, order, run);
  for (let index = 0; order.scenario === undefined && index < order.schedules; index += 1) {
    const { violations } = await run(order.firstSeed + index * order.step);
    if (violations.some(({ invariant }) => order.until.includes(invariant))) break;
  }
  tell();
}

function reportOf({ seed, events, virtualMs, coverage, violations, ...verdict }: Verdict, isHashed: boolean): Report {
  const failure = { seed, violations: [...violations], configuration: { ...verdict.configuration } };
  return {
    schedules: 1,
    events,
    virtualMs,
    traceHashes: isHashed ? { [seed]: verdict.traceHash } : {},
    coverage: Object.fromEntries(coverage),
    failures: violations.length === 0 ? [] : [{ ...failure, traceHash: verdict.traceHash }],
  };
}

/** Once without a crash, to count the moments, and then with one at each of them. */
async function sweep(
  name: string,
  { crashAtAnswer, crashIsBefore }: z.infer<typeof orderSchema>,
  run: (seed: number, configuration: Configuration) => Promise<Verdict>,
): Promise<void> {
  const { SCENARIOS, scenarioConfiguration } = await import('./scenarios.ts');
  const scenario = SCENARIOS.find((each) => each.name === name);
  if (scenario === undefined) throw new Error(`no scenario is called ${name}`);
  const crashing = (answer: number, isBefore: boolean) => {
    const configuration = scenarioConfiguration(scenario, answer, isBefore);
    return run(configuration.seed, configuration);
  };
  if (crashAtAnswer !== undefined) return void (await crashing(crashAtAnswer, crashIsBefore));
  const { answers } = await crashing(0, false);
  for (let answer = 1; answer <= answers; answer += 1) {
    await crashing(answer, true);
    await crashing(answer, false);
  }
}

await main(orderSchema.parse(JSON.parse(process.argv[2] ?? '{}')));
