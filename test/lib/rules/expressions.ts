/**
 * What alarms on expressions come to, for the values that they are there for: CloudWatch takes an expression that says the
 * opposite as gladly.
 */
import { evaluateMetricMath, type Point } from '../scaling/metric-math.ts';
import type { Resource } from '../synthesized.ts';
import { found, listOf, type Rule, unless, valueAt } from './stage.ts';

interface Case {
  /** By metric and statistic. */
  readonly points: Readonly<Record<string, number>>;
  readonly comesTo: number;
}

const draining = (instances: number, visible: number, sent: number, deleted: number, comesTo: number): Case => ({
  points: {
    'GroupInServiceInstances Minimum': instances,
    'GroupMaxSize Maximum': 10,
    'ApproximateNumberOfMessagesVisible Minimum': visible,
    'NumberOfMessagesSent Sum': sent,
    'NumberOfMessagesDeleted Sum': deleted,
  },
  comesTo,
});
const dead = (visible: number, inFlight: number): Case => ({
  points: {
    'ApproximateNumberOfMessagesVisible Maximum': visible,
    'ApproximateNumberOfMessagesNotVisible Maximum': inFlight,
  },
  comesTo: visible + inFlight,
});
const rejected = (of: number, received: number, comesTo: number): Case => ({
  points: { 'rejected Sum': of, 'messaging.client.consumed.messages Sum': received },
  comesTo,
});

/** By the end of an alarm's name. */
const CASES: Readonly<Record<string, readonly Case[]>> = {
  'backlog-does-not-drain': [
    draining(10, 1, 100, 100, 1),
    draining(9, 1, 100, 100, 0),
    draining(10, 0, 100, 100, 0),
    draining(10, 1, 100, 101, 0),
  ],
  'dead-letters-wait': [dead(1, 0), dead(0, 1), dead(0, 0)],
  'many-messages-are-rejected': [rejected(20, 100, 20), rejected(0, 100, 0)],
};
/** Of the fleets' sizes and of queues, by what reports them: CloudWatch counts a queue's messages several times a minute. */
const SCALING_STATISTICS: Readonly<Record<string, string>> = { 'AWS/SQS': 'Maximum', 'AWS/AutoScaling': 'Average' };

export const expressionRules = {
  'an expression comes to what its alarm is for': (stage) =>
    stage.of('AWS::CloudWatch::Alarm').flatMap((alarm) => {
      const name = String(alarm.properties.AlarmName);
      const cases = Object.entries(CASES).find(([kind]) => name.endsWith(`-${kind}`))?.[1] ?? [];
      return cases.flatMap(({ points, comesTo }) => {
        const is = comparedValue(alarm, points);
        return unless(is === comesTo, alarm, `comes to ${String(is)} of ${JSON.stringify(points)}, not ${comesTo}`);
      });
    }),

  'what a fleet scales on is the most that waits, and the instances on the average': (stage) =>
    stage.of('AWS::CloudWatch::Alarm', 'AWS::AutoScaling::ScalingPolicy').flatMap((resource) => {
      const { Metrics, TargetTrackingConfiguration, AlarmActions } = resource.properties;
      const tracked = listOf(valueAt(TargetTrackingConfiguration, 'CustomizedMetricSpecification', 'Metrics'));
      const scales = listOf(AlarmActions).some(
        (action) => stage.referred(resource.stack, action)?.type === 'AWS::AutoScaling::ScalingPolicy',
      );
      return [...tracked, ...(scales ? listOf(Metrics) : [])].flatMap((query) => {
        const namespace = String(valueAt(query, 'MetricStat', 'Metric', 'Namespace'));
        const statistic = valueAt(query, 'MetricStat', 'Stat');
        return statistic === undefined || statistic === SCALING_STATISTICS[namespace]
          ? []
          : [found(resource, `scales on the ${String(statistic)} of ${namespace}`)];
      });
    }),
} satisfies Record<string, Rule>;

/** Of the one query that an alarm compares; undefined where there is none or a name in it that no metric has. */
function comparedValue({ properties }: Resource, points: Readonly<Record<string, number>>): Point {
  const queries = listOf(properties.Metrics);
  const returned = queries.filter((query) => valueAt(query, 'ReturnData') !== false);
  const [compared] = returned;
  if (returned.length !== 1 || typeof valueAt(compared, 'Expression') !== 'string') return undefined;
  return evaluateMetricMath(String(valueAt(compared, 'Expression')), (id) => {
    const query = queries.find((each) => valueAt(each, 'Id') === id);
    const name = valueAt(query, 'MetricStat', 'Metric', 'MetricName');
    return points[`${String(name)} ${String(valueAt(query, 'MetricStat', 'Stat'))}`];
  });
}
