/**
 * What a worker counts, and how it tells: one line of CloudWatch's embedded metric format per interval on
 * standard output, so that metrics cost no call and reach CloudWatch with the logs. The local run reads the
 * same lines. Counts are differences since the line before; a worker that is killed keeps its last line to itself.
 */
import type { SqsOperation } from './queue-client.ts';

export const METRIC_NAMESPACE = 'Sluice';

/** The names that the lines carry. */
export interface WorkerCounts {
  received: number;
  stored: number;
  suppressed: number;
  rejected: number;
  retried: number;
  leasesLost: number;
  requests: number;
}

const none = (): WorkerCounts => ({
  received: 0,
  stored: 0,
  suppressed: 0,
  rejected: 0,
  retried: 0,
  leasesLost: 0,
  requests: 0,
});

export class Telemetry {
  readonly #worker: string;
  readonly #writeLine: (line: string) => void;
  #counts = none();

  constructor(worker: string, writeLine: (line: string) => void) {
    this.#worker = worker;
    this.#writeLine = writeLine;
  }

  count(name: Exclude<keyof WorkerCounts, 'requests'>, by = 1): void {
    this.#counts[name] += by;
  }

  request(operation: SqsOperation): void {
    // Describing the queue happens once per start and is not what a message costs.
    if (operation !== 'describe') this.#counts.requests += 1;
  }

  /** Writes what was counted since the last time, if anything was. */
  flush(nowMs: number): void {
    const counts = this.#counts;
    if (Object.values(counts).every((value) => value === 0)) return;
    this.#counts = none();
    const metrics = [
      ...Object.keys(counts).map((name) => ({ Name: name, Unit: 'Count' })),
      { Name: 'memoryPeakMegabytes', Unit: 'Megabytes' },
    ];
    const memoryPeakMegabytes = Math.round(process.resourceUsage().maxRSS / 1024);
    const directive = { Namespace: METRIC_NAMESPACE, Dimensions: [['worker']], Metrics: metrics };
    this.#writeLine(
      JSON.stringify({
        _aws: { Timestamp: Math.round(nowMs), CloudWatchMetrics: [directive] },
        worker: this.#worker,
        ...counts,
        memoryPeakMegabytes,
      }),
    );
  }
}
