/**
 * The metrics that workers write into their log lines, as CloudWatch has them.
 *
 * Names and dimensions are those of the workers themselves; a test writes real lines and compares.
 */
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import {
  COUNTS,
  type CountName,
  DISTRIBUTIONS,
  type DistributionName,
  GAUGES,
  METRIC_NAMESPACE,
  STAGE_DIMENSION,
  WORKER_DIMENSION,
} from '../../workers/runtime/metric-names.ts';

export interface WorkerMetricsProps {
  /** Name of the stage, as the workers are told it. */
  readonly stage: string;

  /** Name of the worker; that of its fleet. */
  readonly worker: string;
}

export class WorkerMetrics {
  readonly #dimensionsMap: Readonly<Record<string, string>>;

  constructor({ stage, worker }: WorkerMetricsProps) {
    this.#dimensionsMap = { [STAGE_DIMENSION]: stage, [WORKER_DIMENSION]: worker };
  }

  /** What was counted; a sum unless told otherwise. */
  count(name: CountName, options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.#metric(COUNTS[name], { statistic: cloudwatch.Stats.SUM, ...options });
  }

  distribution(name: DistributionName, options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.#metric(DISTRIBUTIONS[name].name, options);
  }

  /** How it stood when the line was written; the highest unless told otherwise. */
  gauge(name: keyof typeof GAUGES, options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.#metric(GAUGES[name].name, { statistic: cloudwatch.Stats.MAXIMUM, ...options });
  }

  /** How many workers wrote their line; one that polls has something to write in every interval. */
  lines(options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.count('requests', { ...options, statistic: cloudwatch.Stats.SAMPLE_COUNT });
  }

  #metric(metricName: string, options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: METRIC_NAMESPACE,
      metricName,
      dimensionsMap: { ...this.#dimensionsMap },
      ...options,
    });
  }
}
