/** A queue, the fleet that works it off and what its workers tell of themselves, as metrics, for alarms and dashboards alike. */
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { WorkerMetrics } from './worker-metrics.ts';

export interface WorkloadMetricsProps {
  /** Name of the stage. */
  readonly stage: string;

  /** Name of the workload: that of its fleet and its worker. */
  readonly name: string;

  /** Queue that is worked off. */
  readonly queue: sqs.IQueue;

  /** Where its messages end that cannot be worked off. */
  readonly deadLetterQueue: sqs.IQueue;

  /** Name of the fleet's group; it has to report its group metrics. */
  readonly autoScalingGroupName: string;
}

/** Of the metrics that an Auto Scaling group reports. */
export type GroupMetricName = 'GroupInServiceInstances' | 'GroupDesiredCapacity' | 'GroupMaxSize';

export class WorkloadMetrics {
  readonly name: string;
  readonly queue: sqs.IQueue;
  readonly deadLetterQueue: sqs.IQueue;
  readonly worker: WorkerMetrics;
  readonly #autoScalingGroupName: string;

  constructor(props: WorkloadMetricsProps) {
    this.name = props.name;
    this.queue = props.queue;
    this.deadLetterQueue = props.deadLetterQueue;
    this.worker = new WorkerMetrics({ stage: props.stage, worker: props.name });
    this.#autoScalingGroupName = props.autoScalingGroupName;
  }

  group(metricName: GroupMetricName, options: cloudwatch.MetricOptions): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'AWS/AutoScaling',
      metricName,
      dimensionsMap: { AutoScalingGroupName: this.#autoScalingGroupName },
      ...options,
    });
  }
}
