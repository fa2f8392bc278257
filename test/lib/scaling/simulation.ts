/**
 * What CloudWatch and EC2 Auto Scaling would make of a series of metric values, minute by minute, by the alarms and
 * policies of a template. A pure function: the same plan and the same minutes, the same sizes.
 *
 * What is modelled, from AWS's guides:
 *
 * - An alarm looks at the newest points that exist within its periods and two more; what is missing then is treated as
 *   it says. As long as it is in alarm it sets its policies going once a minute.
 * - A step policy takes the step that the metric's distance from the threshold lies in. Steps count from the instances
 *   that are warm, so that the same step again while new ones warm up adds nothing.
 * - Target tracking grows to fit after three minutes above its target, and, unless that is disabled, shrinks after
 *   fifteen below nine tenths of it.
 * - Of several policies that grow the one that asks for most wins; none shrinks while one grows or instances warm up.
 *
 * Holds always: a metric's distance that lies in no step, or in two, is an error, as is a period other than a minute.
 */
import { type FleetPlan, type MetricQuery, metricKey, type ScalingAlarm, type Step } from './fleet-plan.ts';
import { evaluateMetricMath, type Point } from './metric-math.ts';

/** Metric values of a minute; undefined where CloudWatch gets none. */
export interface Minute {
  readonly visible: Point;
  readonly inFlight: Point;
  /** False where the group's own metrics do not come. */
  readonly group?: false;
}

/** What CloudWatch or EC2 Auto Scaling would refuse, or answer in a way that nobody meant. */
export class ScalingMistake extends Error {
  override readonly name = 'ScalingMistake';
}

/** From the decision until an instance takes work. */
const LAUNCH_MINUTES = 2;
/** CloudWatch looks further back than an alarm's periods for points that exist. */
const EXTRA_POINTS = 2;
const TRACKING_OUT_MINUTES = 3;
const TRACKING_IN_MINUTES = 15;
const TRACKING_IN_SHARE = 0.9;
/** So that a third of a backlog, times three, is no more than the backlog. */
const ROUNDING = 1e-9;

type Series = Point[];

/** The size that the group is asked for after each of `minutes`, beginning with `instances` that have long been there. */
export function simulate(
  plan: FleetPlan,
  queueName: string,
  instances: number,
  minutes: readonly Minute[],
): readonly number[] {
  // When each instance of the group takes work.
  let inServiceAt = Array.from({ length: instances }, () => Number.NEGATIVE_INFINITY);
  const alarmSeries = new Map(plan.alarms.map((alarm) => [alarm, [] as Point[]]));
  const trackingSeries = new Map(plan.trackings.map((tracking) => [tracking, [] as Point[]]));
  const states = new Map<ScalingAlarm, boolean>();

  return minutes.map((minute, now) => {
    const inService = inServiceAt.filter((at) => at <= now).length;
    const points = pointsOf(plan, queueName, minute, inService, inServiceAt.length);
    for (const [alarm, series] of alarmSeries) series.push(pointOfQueries(alarm.queries, points));
    for (const [tracking, series] of trackingSeries) series.push(pointOfQueries(tracking.queries, points));

    const desired = inServiceAt.length;
    const warm = inServiceAt.filter((at) => at + plan.warmUpMinutes <= now).length;
    const wanted = [desired];
    for (const [alarm, series] of alarmSeries) {
      const breaching = isInAlarm(alarm, series, states.get(alarm) ?? false);
      states.set(alarm, breaching);
      if (!breaching) continue;
      const distance = (newest(series) ?? alarm.threshold) - alarm.threshold;
      for (const policy of alarm.policies) {
        const adjustment = adjustmentAt(plan.steps.get(policy)!, distance, alarm);
        wanted.push((adjustment > 0 ? warm : desired) + adjustment);
      }
    }
    for (const [{ target, scaleInDisabled }, series] of trackingSeries) {
      const fitting = Math.ceil(((newest(series) ?? 0) * inService) / target - ROUNDING);
      if (allOf(series, TRACKING_OUT_MINUTES, (value) => value > target)) wanted.push(Math.max(fitting, desired));
      const quiet = allOf(series, TRACKING_IN_MINUTES, (value) => value < target * TRACKING_IN_SHARE);
      if (!scaleInDisabled && quiet) wanted.push(Math.min(fitting, desired));
    }
    const most = Math.max(...wanted);
    const size = most > desired ? most : warm < desired ? desired : Math.min(...wanted);
    const bounded = Math.min(Math.max(size, plan.minimum), plan.maximum);
    // The oldest leave first.
    inServiceAt = inServiceAt.slice(Math.max(0, desired - bounded));
    while (inServiceAt.length < bounded) inServiceAt.push(now + LAUNCH_MINUTES);
    return bounded;
  });
}

function pointsOf(
  plan: FleetPlan,
  QueueName: string,
  { visible, inFlight, group }: Minute,
  inService: number,
  desired: number,
): ReadonlyMap<string, Point> {
  const AutoScalingGroupName = plan.group;
  const reported = plan.reportsGroupMetrics && group !== false;
  return new Map([
    [metricKey('AWS/SQS', 'ApproximateNumberOfMessagesVisible', { QueueName }), visible],
    [metricKey('AWS/SQS', 'ApproximateNumberOfMessagesNotVisible', { QueueName }), inFlight],
    [
      metricKey('AWS/AutoScaling', 'GroupInServiceInstances', { AutoScalingGroupName }),
      reported ? inService : undefined,
    ],
    [metricKey('AWS/AutoScaling', 'GroupDesiredCapacity', { AutoScalingGroupName }), reported ? desired : undefined],
  ]);
}

/** The value of the one query that returns its data. A metric that nobody reports is missing. */
function pointOfQueries(queries: readonly MetricQuery[], points: ReadonlyMap<string, Point>): Point {
  const returned = queries.filter((query) => query.returned);
  if (returned.length !== 1) throw new ScalingMistake(`${returned.length} queries return data; exactly one has to`);
  const pointOf = (id: string): Point => {
    const query = queries.find((candidate) => candidate.id === id);
    if (query === undefined) throw new ScalingMistake(`metric math refers to ${id}, which is no query beside it`);
    const { source } = query;
    if ('expression' in source) return evaluateMetricMath(source.expression, pointOf);
    if (source.periodSeconds !== 60)
      throw new ScalingMistake(`${id} has a period of ${source.periodSeconds} s; allowed: 60`);
    return points.get(source.metric);
  };
  return pointOf(returned[0]!.id);
}

function isInAlarm(alarm: ScalingAlarm, series: Series, before: boolean): boolean {
  const { evaluationPeriods: periods, datapointsToAlarm, missing } = alarm;
  const range = series.slice(-(periods + EXTRA_POINTS));
  const there = range.filter((point) => point !== undefined);
  const verdicts = there.slice(-periods).map((point) => compares(alarm.comparison, point, alarm.threshold));
  if (verdicts.length < periods) {
    if (missing === 'ignore' || (missing === 'missing' && there.length === 0)) return before;
    while (verdicts.length < periods) verdicts.push(missing === 'breaching');
  }
  return verdicts.filter((breaching) => breaching).length >= datapointsToAlarm;
}

function compares(comparison: string, value: number, threshold: number): boolean {
  if (comparison === 'GreaterThanOrEqualToThreshold') return value >= threshold;
  if (comparison === 'GreaterThanThreshold') return value > threshold;
  if (comparison === 'LessThanOrEqualToThreshold') return value <= threshold;
  if (comparison === 'LessThanThreshold') return value < threshold;
  throw new ScalingMistake(`the comparison ${comparison} is not known here`);
}

/** Above the threshold a step has its lower bound, below it its upper one. */
function adjustmentAt(steps: readonly Step[], distance: number, alarm: ScalingAlarm): number {
  const above = alarm.comparison.startsWith('Greater');
  const found = steps.filter(({ lower, upper }) =>
    above ? lower <= distance && distance < upper : lower < distance && distance <= upper,
  );
  if (found.length !== 1) {
    throw new ScalingMistake(
      `${alarm.id}: ${distance} from the threshold lies in ${found.length} steps; exactly one has to take it`,
    );
  }
  return found[0]!.adjustment;
}

function newest(series: Series): Point {
  return series.findLast((point) => point !== undefined);
}

function allOf(series: Series, minutes: number, holds: (value: number) => boolean): boolean {
  const last = series.slice(-minutes);
  return last.length === minutes && last.every((point) => point !== undefined && holds(point));
}
