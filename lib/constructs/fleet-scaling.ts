/**
 * How a fleet follows its backlog.
 *
 *   leaves zero    the first visible message, where the minimum is 0                         the steps
 *   grows at once  visible per instance at or above the target for a minute                  the steps
 *   grows to fit   visible per instance above the target for three minutes                   target tracking
 *   shrinks        visible and in flight per instance below a tenth of it for 15 minutes     by one a minute
 *
 * The target is what an instance works off within the acceptable latency. Growing looks at visible messages alone:
 * what is in flight is being worked on. Shrinking counts what is in flight only where something waits beside it: in
 * flight are also messages that wait for their next attempt, for up to hours, and an instance that leaves drains
 * what it holds. See decision 0028.
 *
 * Holds always: every metric has a period of one minute; nothing is divided by zero; where CloudWatch has no data, the
 * fleet keeps its size; the last instance stays while a message is visible.
 */
import { Duration } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as cloudwatchActions from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';

/** SQS and the group report once a minute; an alarm that looks less often only comes later. */
const METRIC_PERIOD = Duration.minutes(1);
/** Multiples of the target, and how many instances each adds at once; what else is missing target tracking adds. */
const SCALE_OUT_STEPS = [
  { targets: 1, instances: 1 },
  { targets: 4, instances: 2 },
  { targets: 10, instances: 4 },
] as const;
const SCALE_IN_QUIET_MINUTES = 15;
/** Of the target, below which the fleet counts as idle: taking one of two away leaves it far from growing again. */
const SCALE_IN_PERCENT = 10;

/** A group that has no instance yet counts as one: a division by zero has no result, and no result changes nothing. */
const RUNNING = 'IF(instances > 0, instances, 1)';
const BACKLOG_PER_INSTANCE = `visible / ${RUNNING}`;
const BACKLOG_AT_ZERO = 'IF(desired < 1, visible, 0)';
/** SQS need not report what is in flight where nothing is. */
const OUTSTANDING = 'IF(visible > 0, visible + FILL(inFlight, 0), 0)';

export interface BacklogScalingProps {
  /** Group that is scaled; it has to report its group metrics. */
  readonly autoScalingGroup: autoscaling.IAutoScalingGroup;

  /** Queue whose backlog is followed. */
  readonly queue: sqs.IQueue;

  /** Visible messages that may wait for each instance; at least 1. */
  readonly backlogPerInstanceMessages: number;

  /** Whether the group may be empty, and so has to be woken by the first message. */
  readonly leavesZero: boolean;
}

/** Adds the policies and their alarms to `scope`, and returns the metric that they follow. */
export function scaleOnBacklog(scope: Construct, props: BacklogScalingProps): cloudwatch.IMetric {
  const metrics = backlogMetrics(props);
  scaleOut(scope, props, metrics);
  trackBacklog(scope, props, metrics);
  scaleIn(scope, props, metrics);
  return metrics.backlogPerInstance;
}

interface BacklogMetrics {
  readonly visible: cloudwatch.Metric;
  readonly inFlight: cloudwatch.Metric;
  /** Instances that take work. */
  readonly instances: cloudwatch.Metric;
  /** Instances that were asked for, those that still start among them. */
  readonly desired: cloudwatch.Metric;
  readonly backlogPerInstance: cloudwatch.MathExpression;
}

function backlogMetrics({ autoScalingGroup, queue }: BacklogScalingProps): BacklogMetrics {
  const ofQueue = { period: METRIC_PERIOD, statistic: cloudwatch.Stats.MAXIMUM };
  const ofGroup = (metricName: string) =>
    new cloudwatch.Metric({
      namespace: 'AWS/AutoScaling',
      metricName,
      dimensionsMap: { AutoScalingGroupName: autoScalingGroup.autoScalingGroupName },
      period: METRIC_PERIOD,
      statistic: cloudwatch.Stats.AVERAGE,
    });
  const visible = queue.metricApproximateNumberOfMessagesVisible(ofQueue);
  const instances = ofGroup('GroupInServiceInstances');
  return {
    visible,
    inFlight: queue.metricApproximateNumberOfMessagesNotVisible(ofQueue),
    instances,
    desired: ofGroup('GroupDesiredCapacity'),
    backlogPerInstance: new cloudwatch.MathExpression({
      expression: BACKLOG_PER_INSTANCE,
      label: 'Visible messages per instance',
      usingMetrics: { visible, instances },
      period: METRIC_PERIOD,
    }),
  };
}

function scaleOut(
  scope: Construct,
  { autoScalingGroup, backlogPerInstanceMessages, leavesZero }: BacklogScalingProps,
  { visible, desired, backlogPerInstance }: BacklogMetrics,
): void {
  const policy = new autoscaling.StepScalingAction(scope, 'ScaleOut', {
    autoScalingGroup,
    adjustmentType: autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
    metricAggregationType: autoscaling.MetricAggregationType.MAXIMUM,
  });
  // Step bounds count from the alarm's threshold, one target.
  const bounds = SCALE_OUT_STEPS.map((step) => (step.targets - 1) * backlogPerInstanceMessages);
  SCALE_OUT_STEPS.forEach((step, index) => {
    const upperBound = bounds[index + 1];
    policy.addAdjustment({
      adjustment: step.instances,
      lowerBound: bounds[index]!,
      ...(upperBound === undefined ? {} : { upperBound }),
    });
  });
  const growsAt = (threshold: number, id: string, metric: cloudwatch.IMetric, alarmDescription: string) => {
    const alarm = new cloudwatch.Alarm(scope, id, {
      alarmDescription,
      metric,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      threshold,
      evaluationPeriods: 1,
      // A queue that nobody has used for hours reports nothing, and holds nothing.
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new cloudwatchActions.AutoScalingAction(policy));
  };
  const target = backlogPerInstanceMessages;
  growsAt(
    target,
    'BacklogGrows',
    backlogPerInstance,
    `${target} messages or more wait for each instance: the fleet grows.`,
  );
  if (!leavesZero) return;
  const backlogAtZero = new cloudwatch.MathExpression({
    expression: BACKLOG_AT_ZERO,
    label: 'Visible messages while no instance is asked for',
    usingMetrics: { visible, desired },
    period: METRIC_PERIOD,
  });
  growsAt(1, 'BacklogWaits', backlogAtZero, 'A message waits, and no instance runs or starts: the fleet leaves zero.');
}

/** In L1, because the L2 of target tracking takes no metric math. */
function trackBacklog(
  scope: Construct,
  { autoScalingGroup, backlogPerInstanceMessages }: BacklogScalingProps,
  { visible, instances }: BacklogMetrics,
): void {
  new autoscaling.CfnScalingPolicy(scope, 'TrackBacklog', {
    autoScalingGroupName: autoScalingGroup.autoScalingGroupName,
    policyType: 'TargetTrackingScaling',
    targetTrackingConfiguration: {
      targetValue: backlogPerInstanceMessages,
      // A backlog of nothing says nothing about what is in flight: shrinking is ScaleIn's.
      disableScaleIn: true,
      customizedMetricSpecification: {
        metrics: [
          trackedMetric('visible', visible),
          trackedMetric('instances', instances),
          {
            id: 'backlogPerInstance',
            expression: BACKLOG_PER_INSTANCE,
            label: 'Visible messages per instance',
            returnData: true,
          },
        ],
      },
    },
  });
}

function trackedMetric(
  id: string,
  metric: cloudwatch.Metric,
): autoscaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty {
  const dimensions = Object.entries(metric.dimensions ?? {}).map(([name, value]) => ({ name, value: String(value) }));
  return {
    id,
    metricStat: {
      metric: { namespace: metric.namespace, metricName: metric.metricName, dimensions },
      stat: metric.statistic,
      period: METRIC_PERIOD.toSeconds(),
    },
    returnData: false,
  };
}

function scaleIn(
  scope: Construct,
  { autoScalingGroup, backlogPerInstanceMessages }: BacklogScalingProps,
  { visible, inFlight, instances }: BacklogMetrics,
): void {
  const policy = new autoscaling.StepScalingAction(scope, 'ScaleIn', {
    autoScalingGroup,
    adjustmentType: autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
    metricAggregationType: autoscaling.MetricAggregationType.MAXIMUM,
  });
  policy.addAdjustment({ adjustment: -1, upperBound: 0 });
  const threshold = (backlogPerInstanceMessages * SCALE_IN_PERCENT) / 100;
  const alarm = new cloudwatch.Alarm(scope, 'FleetIdles', {
    alarmDescription: `Fewer than ${threshold} messages wait or are in flight for each instance, for ${SCALE_IN_QUIET_MINUTES} minutes: the fleet shrinks.`,
    metric: new cloudwatch.MathExpression({
      // The last instance counts as having its target in full as long as anything waits for it.
      expression: `IF(visible > 0 AND instances < 2, ${backlogPerInstanceMessages}, ${OUTSTANDING} / ${RUNNING})`,
      label: 'Messages visible and in flight per instance',
      usingMetrics: { visible, inFlight, instances },
      period: METRIC_PERIOD,
    }),
    comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold,
    evaluationPeriods: SCALE_IN_QUIET_MINUTES,
    // When CloudWatch itself is away, a busy fleet stays.
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
  });
  alarm.addAlarmAction(new cloudwatchActions.AutoScalingAction(policy));
}
