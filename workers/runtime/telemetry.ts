/**
 * What a worker counts, and how it tells: lines of CloudWatch's embedded metric format on standard output, one per
 * interval and one more per operation of SQS, so that metrics cost no call and reach CloudWatch with the logs. The
 * local run reads the same lines. Counts are differences since the line before; a worker that is killed keeps its last
 * line to itself.
 *
 * Holds always: what is kept between two lines has a bound that does not depend on how many messages came.
 */
import { isAccessDenied } from './access-denied.ts';
import { Distribution } from './distribution.ts';
import {
  COUNTS,
  type CountName,
  DISTRIBUTIONS,
  type DistributionName,
  GAUGES,
  METRIC_NAMESPACE,
  OPERATION_DIMENSION,
  OPERATION_SECONDS,
  STAGE_DIMENSION,
  WORKER_DIMENSION,
} from './metric-names.ts';
import type { SqsOperation } from './queue-client.ts';

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly value: unknown;
}

const noCounts = (): Record<CountName, number> => ({
  received: 0,
  stored: 0,
  suppressed: 0,
  rejected: 0,
  retried: 0,
  leasesLost: 0,
  requests: 0,
  accessDenied: 0,
});

export class Telemetry {
  readonly #dimensions: Readonly<Record<string, string>>;
  readonly #writeLine: (line: string) => void;
  readonly #monotonicMs: () => number;
  #counts = noCounts();
  #distributions = new Map<DistributionName, Distribution>();
  #operations = new Map<SqsOperation, Distribution>();
  /** What the worker is doing at the moment; the consumer sets it. */
  gauges: Readonly<Record<'breakerOpen' | 'messagesInProcess' | 'placesTaken', number>> = {
    breakerOpen: 0,
    messagesInProcess: 0,
    placesTaken: 0,
  };
  #breakerOpened = 0;

  /** @param stage undefined where nobody said: the metrics are those of the worker alone then. */
  constructor(worker: string, writeLine: (line: string) => void, monotonicMs: () => number, stage?: string) {
    this.#dimensions = { ...(stage !== undefined && { [STAGE_DIMENSION]: stage }), [WORKER_DIMENSION]: worker };
    this.#writeLine = writeLine;
    this.#monotonicMs = monotonicMs;
  }

  count(name: Exclude<CountName, 'requests' | 'accessDenied'>, by = 1): void {
    this.#counts[name] += by;
  }

  observe(name: DistributionName, value: number): void {
    distributionOf(this.#distributions, name).add(value);
  }

  /** @returns to be called when the request has ended, with the error if it failed. */
  request(operation: SqsOperation): (error?: unknown) => void {
    // Describing the queue happens once per start and is not what a message costs.
    if (operation !== 'describe') this.#counts.requests += 1;
    const startedMs = this.#monotonicMs();
    return (error) => {
      if (isAccessDenied(error)) this.#counts.accessDenied += 1;
      distributionOf(this.#operations, operation).add((this.#monotonicMs() - startedMs) / 1000);
    };
  }

  /** The next line tells of it, however soon it is over: an outage may begin and end between two lines. */
  breakerOpened(): void {
    this.#breakerOpened = 1;
  }

  /** Writes what was counted since the last time, if anything was; while nothing is received, that. */
  flush(wallMs: number): void {
    const counts = this.#counts;
    const distributions = this.#distributions;
    const operations = this.#operations;
    const breakerOpen = Math.max(this.#breakerOpened, this.gauges.breakerOpen);
    const isQuiet = breakerOpen === 0 && Object.values(counts).every((value) => value === 0);
    if (isQuiet && distributions.size === 0 && operations.size === 0) return;
    this.#counts = noCounts();
    this.#distributions = new Map();
    this.#operations = new Map();
    this.#breakerOpened = 0;
    this.#write(wallMs, {}, this.#metrics(counts, distributions, breakerOpen));
    for (const [operation, distribution] of operations) {
      const metric = { ...OPERATION_SECONDS, value: distribution.valuesAndCounts };
      this.#write(wallMs, { [OPERATION_DIMENSION]: operation }, [metric]);
    }
  }

  #metrics(
    counts: Readonly<Record<CountName, number>>,
    distributions: ReadonlyMap<DistributionName, Distribution>,
    breakerOpen: number,
  ): Metric[] {
    const names = Object.keys(COUNTS) as CountName[];
    const gauge = (name: keyof typeof GAUGES, value: number) => ({ ...GAUGES[name], value });
    return [
      ...names.map((name) => ({ name: COUNTS[name], unit: 'Count', value: counts[name] })),
      ...[...distributions].map(([name, distribution]) => ({
        ...DISTRIBUTIONS[name],
        value: distribution.valuesAndCounts,
      })),
      gauge('breakerOpen', breakerOpen),
      gauge('messagesInProcess', this.gauges.messagesInProcess),
      gauge('placesTaken', this.gauges.placesTaken),
      gauge('memoryPeakMegabytes', Math.round(process.resourceUsage().maxRSS / 1024)),
      ...(counts.received === 0 ? [] : [gauge('requestsPerMessage', counts.requests / counts.received)]),
    ];
  }

  #write(wallMs: number, more: Readonly<Record<string, string>>, metrics: readonly Metric[]): void {
    const dimensions = { ...this.#dimensions, ...more };
    const directive = {
      Namespace: METRIC_NAMESPACE,
      Dimensions: [Object.keys(dimensions)],
      Metrics: metrics.map(({ name, unit }) => ({ Name: name, Unit: unit })),
    };
    this.#writeLine(
      JSON.stringify({
        _aws: { Timestamp: Math.round(wallMs), CloudWatchMetrics: [directive] },
        ...dimensions,
        ...Object.fromEntries(metrics.map(({ name, value }) => [name, value])),
      }),
    );
  }
}

function distributionOf<Name>(distributions: Map<Name, Distribution>, name: Name): Distribution {
  const distribution = distributions.get(name) ?? new Distribution();
  distributions.set(name, distribution);
  return distribution;
}
