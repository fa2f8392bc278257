/**
 * A child process of the simulator: runs schedules one after the other, each from a seed of its own, and writes a line
 * of JSON about once a second.
 *
 *   node run-schedules.ts '{"firstSeed":1,"schedules":1000}'
 *
 * A mutant is applied to the source before the simulation is loaded: the product has no switch for it.
 */
import { z } from 'zod';
import { applyMutant, MUTANTS } from './mutants.ts';
import { addReport, emptyReport } from './tally.ts';

export const orderSchema = z.object({
  firstSeed: z.int().min(0),
  schedules: z.int().min(1),
  /** Every how many seeds, so that several processes share a range. */
  step: z.int().min(1).default(1),
  mutant: z.string().optional(),
  /** Ends at the first schedule that violates one of these. */
  until: z.array(z.string()).default([]),
  drain: z.enum(['checkpoint', 'immediate']).default('checkpoint'),
  withHashes: z.boolean().default(false),
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
  for (let index = 0; index < order.schedules; index += 1) {
    const verdict = await runSchedule(order.firstSeed + index * order.step, { drain: order.drain, ...onTrace });
    const { seed, events, virtualMs, coverage, violations, configuration, traceHash } = verdict;
    addReport(report, {
      schedules: 1,
      events,
      virtualMs,
      traceHashes: order.withHashes ? [traceHash] : [],
      coverage: Object.fromEntries(coverage),
      failures:
        violations.length === 0 ? [] : [{ seed, violations: [...violations], configuration: { ...configuration } }],
    });
    if (violations.some(({ invariant }) => order.until.includes(invariant))) break;
    if (performance.now() >= reportAtMs) tell();
  }
  tell();
}

await main(orderSchema.parse(JSON.parse(process.argv[2] ?? '{}')));
