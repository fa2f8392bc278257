/** What a child process tells its parent about the schedules that it ran, and how such reports are added up. */
import { z } from 'zod';

const failureSchema = z.object({
  seed: z.number(),
  violations: z.array(z.object({ invariant: z.string(), detail: z.string() })),
  configuration: z.record(z.string(), z.union([z.number(), z.boolean()])),
  traceHash: z.string(),
});

export const reportSchema = z.object({
  schedules: z.number(),
  events: z.number(),
  virtualMs: z.number(),
  /** By seed, of those that were asked for. */
  traceHashes: z.record(z.string(), z.string()),
  coverage: z.record(z.string(), z.number()),
  failures: z.array(failureSchema),
});

export type Report = z.infer<typeof reportSchema>;
export type Failure = z.infer<typeof failureSchema>;

/** More failures than a person reads are only counted by their schedules. */
const FAILURES_KEPT_MAX = 20;

export function emptyReport(): Report {
  return { schedules: 0, events: 0, virtualMs: 0, traceHashes: {}, coverage: {}, failures: [] };
}

export function addReport(sum: Report, report: Report): void {
  sum.schedules += report.schedules;
  sum.events += report.events;
  sum.virtualMs += report.virtualMs;
  Object.assign(sum.traceHashes, report.traceHashes);
  for (const [what, times] of Object.entries(report.coverage)) {
    sum.coverage[what] = (sum.coverage[what] ?? 0) + times;
  }
  for (const failure of report.failures) {
    if (sum.failures.length < FAILURES_KEPT_MAX) sum.failures.push(failure);
  }
}
