/**
 * What a person is told about a workload.
 *
 * Where SQS's own metrics look away, the workers' are asked: on a standard queue the age of the oldest message passes
 * over what was received three times or more, so that a message that fails again and again is seen by `retried`, and one
 * that is stored in the end by `dwellSeconds`.
 */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { AlarmRegistry } from './alarm-registry.ts';
import type { WorkloadMetrics } from './workload-metrics.ts';

const { MAXIMUM, MINIMUM, SUM } = cloudwatch.Stats;
const { GREATER_THAN_THRESHOLD, GREATER_THAN_OR_EQUAL_TO_THRESHOLD, LESS_THAN_THRESHOLD } =
  cloudwatch.ComparisonOperator;
/** SQS, Auto Scaling and the workers report once a minute. */
const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);
/** Of one bad minute nobody has to be told. */
const MINUTES_BEFORE_TOLD = 5;
/** In periods of five minutes: a quarter of an hour. */
const PERIODS_BEFORE_TOLD = 3;
/** Longer than a failover of the database takes, and than an instance from its launch to its first line. */
const MINUTES_AWAY = 10;
/** SQS's limit for a queue of either kind (SQS quotas). */
export const IN_FLIGHT_MAX_MESSAGES = 120_000;
/** Of the limit; what holds so many is far from it only by its visibility timeouts. */
const IN_FLIGHT_SHARE = 0.8;
/**
 * A tenth of the 120,000 messages among which a FIFO queue looks for groups: one that waits so deep hides no other yet, and
 * there is time to do something about it.
 */
const GROUPS_BACKLOG_MESSAGES = 12_000;
/** As many as one receive can bring: of a backlog of many groups a single worker has more in hand. */
const GROUPS_FEW = 10;
/** A hundredth is data; a tenth is a fault. */
const REJECTED_PERCENT = 10;

export interface WorkloadAlarmsProps {
  readonly registry: AlarmRegistry;

  /** What is watched. */
  readonly workload: WorkloadMetrics;

  /** How long a message may wait, at the worst. */
  readonly ageObjective: Duration;
}

export class WorkloadAlarms extends Construct {
  constructor(scope: Construct, id: string, props: WorkloadAlarmsProps) {
    super(scope, id);
    this.#waiting(props);
    this.#failing(props);
    this.#working(props);
  }

  /** On time, and how it ends where it is not. */
  #waiting({ registry, workload, ageObjective }: WorkloadAlarmsProps): void {
    const { name, queue, worker } = workload;
    registry.watch(this, 'messages-wait-too-long', name, {
      metric: queue.metricApproximateAgeOfOldestMessage({ period: MINUTE, statistic: MAXIMUM }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: ageObjective.toSeconds(),
      evaluationPeriods: MINUTES_BEFORE_TOLD,
    });
    registry.watch(this, 'messages-are-stored-late', name, {
      metric: worker.distribution('dwellSeconds', { period: FIVE_MINUTES, statistic: MAXIMUM }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: ageObjective.toSeconds(),
      evaluationPeriods: 1,
    });
    registry.watch(this, 'backlog-does-not-drain', name, {
      metric: new cloudwatch.MathExpression({
        expression: 'IF(instances >= maximum AND visible > 0 AND deleted <= sent, 1, 0)',
        label: 'At its maximum, never empty, and no more left than came',
        period: FIVE_MINUTES,
        usingMetrics: {
          instances: workload.group('GroupInServiceInstances', { statistic: MINIMUM }),
          maximum: workload.group('GroupMaxSize', { statistic: MAXIMUM }),
          visible: queue.metricApproximateNumberOfMessagesVisible({ statistic: MINIMUM }),
          sent: queue.metricNumberOfMessagesSent({ statistic: SUM }),
          deleted: queue.metricNumberOfMessagesDeleted({ statistic: SUM }),
        },
      }),
      comparisonOperator: GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      threshold: 1,
      evaluationPeriods: PERIODS_BEFORE_TOLD,
    });
    if (queue.fifo) {
      registry.watch(this, 'few-groups-are-worked-on', name, {
        metric: new cloudwatch.MathExpression({
          // Of none nobody receives, which is told by others.
          expression: `IF(visible >= ${GROUPS_BACKLOG_MESSAGES} AND groups > 0 AND groups < ${GROUPS_FEW}, 1, 0)`,
          label: 'A large backlog, and few groups in flight',
          period: FIVE_MINUTES,
          usingMetrics: {
            visible: queue.metricApproximateNumberOfMessagesVisible({ statistic: MINIMUM }),
            groups: queue.metric('ApproximateNumberOfGroupsWithInflightMessages', { statistic: MAXIMUM }),
          },
        }),
        comparisonOperator: GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        threshold: 1,
        evaluationPeriods: PERIODS_BEFORE_TOLD,
      });
    }
    registry.watch(this, 'in-flight-near-limit', name, {
      metric: queue.metricApproximateNumberOfMessagesNotVisible({ period: MINUTE, statistic: MAXIMUM }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: IN_FLIGHT_MAX_MESSAGES * IN_FLIGHT_SHARE,
      evaluationPeriods: MINUTES_BEFORE_TOLD,
    });
  }

  /** Messages that do not succeed. */
  #failing({ registry, workload }: WorkloadAlarmsProps): void {
    const { name, deadLetterQueue, worker } = workload;
    registry.watch(this, 'dead-letters-wait', name, {
      // In flight too: whoever looks at one hides it for a while.
      metric: deadLetterQueue.metricApproximateNumberOfMessagesOutstanding({ period: MINUTE, statistic: MAXIMUM }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: 0,
      evaluationPeriods: 1,
    });
    registry.watch(this, 'messages-come-again', name, {
      metric: worker.count('retried', { period: FIVE_MINUTES }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: 0,
      evaluationPeriods: PERIODS_BEFORE_TOLD,
    });
    registry.watch(this, 'many-messages-are-rejected', name, {
      metric: new cloudwatch.MathExpression({
        expression: 'IF(received > 0, 100 * rejected / received, 0)',
        label: 'Rejected of 100 received',
        period: FIVE_MINUTES,
        usingMetrics: {
          rejected: worker.count('rejected', {}),
          received: worker.count('received', {}),
        },
      }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: REJECTED_PERCENT,
      evaluationPeriods: PERIODS_BEFORE_TOLD,
    });
  }

  /** Whether anybody works. */
  #working({ registry, workload }: WorkloadAlarmsProps): void {
    const { name, queue, worker } = workload;
    // Not the group's count: an instance whose worker ends at once is in service all the same.
    registry.watchAll(this, 'no-worker-while-messages-wait', name, {
      'messages-wait': {
        metric: queue.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: MINIMUM }),
        comparisonOperator: GREATER_THAN_THRESHOLD,
        threshold: 0,
        evaluationPeriods: MINUTES_AWAY,
      },
      'no-worker': {
        metric: worker.lines({ period: MINUTE }),
        comparisonOperator: LESS_THAN_THRESHOLD,
        threshold: 1,
        evaluationPeriods: MINUTES_AWAY,
        // Who is not there says nothing.
        treatMissingData: cloudwatch.TreatMissingData.BREACHING,
      },
    });
    registry.watch(this, 'access-is-denied', name, {
      metric: worker.count('accessDenied', { period: MINUTE }),
      comparisonOperator: GREATER_THAN_THRESHOLD,
      threshold: 0,
      evaluationPeriods: MINUTES_BEFORE_TOLD,
      datapointsToAlarm: 3,
    });
    registry.watch(this, 'database-is-away', name, {
      metric: worker.gauge('breakerOpen', { period: MINUTE }),
      comparisonOperator: GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      threshold: 1,
      evaluationPeriods: MINUTES_AWAY,
    });
  }
}
