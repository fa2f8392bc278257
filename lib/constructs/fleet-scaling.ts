/**
 * How a fleet follows its backlog: out in steps on the visible messages, in by one when hardly anything is left.
 *
 * Out looks at visible messages alone: what is in flight is already being worked on. In looks at visible and in
 * flight together, for a quarter of an hour: a fleet that has just received everything has no visible message left
 * and is as busy as it can be.
 */
import { Duration } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as cloudwatchActions from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** SQS reports once a minute; an alarm that looks less often only comes later. */
const METRIC_PERIOD = Duration.minutes(1);
/** Multiples of one instance's backlog, and how many instances each adds while the alarm lasts. */
const SCALE_OUT_STEPS = [
  { backlogs: 1, instances: 1 },
  { backlogs: 4, instances: 2 },
  { backlogs: 10, instances: 4 },
] as const;
const SCALE_IN_QUIET_MINUTES = 15;
/** Share of one instance's backlog below which the fleet counts as idle. */
const SCALE_IN_SHARE = 0.1;

export interface BacklogScalingProps {
  /** Group that is scaled. */
  readonly autoScalingGroup: autoscaling.IAutoScalingGroup;

  /** Queue whose backlog is followed. */
  readonly queue: sqs.IQueue;

  /** Visible messages that call for one more instance. */
  readonly backlogPerInstanceMessages: number;
}

/** Adds both policies and their alarms to `scope`. */
export function scaleOnBacklog(scope: Construct, props: BacklogScalingProps): void {
  scaleOut(scope, props);
  scaleIn(scope, props);
}

function scaleOut(
  scope: Construct,
  { autoScalingGroup, queue, backlogPerInstanceMessages }: BacklogScalingProps,
): void {
  const policy = new autoscaling.StepScalingAction(scope, 'ScaleOut', {
    autoScalingGroup,
    adjustmentType: autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
    metricAggregationType: autoscaling.MetricAggregationType.MAXIMUM,
  });
  // Step bounds count from the alarm's threshold, one backlog.
  const bounds = SCALE_OUT_STEPS.map((step) => (step.backlogs - 1) * backlogPerInstanceMessages);
  SCALE_OUT_STEPS.forEach((step, index) => {
    const upperBound = bounds[index + 1];
    policy.addAdjustment({
      adjustment: step.instances,
      lowerBound: bounds[index]!,
      ...(upperBound === undefined ? {} : { upperBound }),
    });
  });
  const alarm = new cloudwatch.Alarm(scope, 'BacklogGrows', {
    alarmDescription: `At least ${backlogPerInstanceMessages} messages wait: the fleet grows.`,
    metric: queue.metricApproximateNumberOfMessagesVisible({
      period: METRIC_PERIOD,
      statistic: cloudwatch.Stats.MAXIMUM,
    }),
    comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    threshold: backlogPerInstanceMessages,
    evaluationPeriods: 1,
    // A queue that nobody has used for hours reports nothing, and holds nothing.
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(new cloudwatchActions.AutoScalingAction(policy));
}

function scaleIn(scope: Construct, { autoScalingGroup, queue, backlogPerInstanceMessages }: BacklogScalingProps): void {
  const policy = new autoscaling.StepScalingAction(scope, 'ScaleIn', {
    autoScalingGroup,
    adjustmentType: autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
    metricAggregationType: autoscaling.MetricAggregationType.MAXIMUM,
  });
  policy.addAdjustment({ adjustment: -1, upperBound: 0 });
  const threshold = Math.ceil(backlogPerInstanceMessages * SCALE_IN_SHARE);
  const alarm = new cloudwatch.Alarm(scope, 'FleetIdles', {
    alarmDescription: `At most ${threshold} messages wait or are in flight, for ${SCALE_IN_QUIET_MINUTES} minutes: the fleet shrinks.`,
    metric: queue.metricApproximateNumberOfMessagesOutstanding({
      period: METRIC_PERIOD,
      statistic: cloudwatch.Stats.MAXIMUM,
    }),
    comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
    threshold,
    evaluationPeriods: SCALE_IN_QUIET_MINUTES,
    // When CloudWatch itself is away, a busy fleet stays.
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(new cloudwatchActions.AutoScalingAction(policy));
}
