/** Every fleet grows and shrinks by policies without a gap, on metrics that are there. */
import { backlogPerInstanceMessages } from '../../../lib/constructs/backlog-target.ts';
import { type FleetPlan, readFleetPlan } from '../scaling/fleet-plan.ts';
import { scenarios, sizesIn } from '../scaling/scenarios.ts';
import { ScalingMistake } from '../scaling/simulation.ts';
import type { Resource } from '../synthesized.ts';
import { groupOf } from './fleets.ts';
import { type Finding, found, listOf, type Rule, type Stage, unless, valueAt } from './stage.ts';

/** The sizes that the scenarios are written for. */
const SCENARIOS_OF = { minimum: '2', maximum: '10' };

export const scalingRules = {
  'steps begin at their alarm, touch and have no end': (stage) =>
    stage.of('AWS::AutoScaling::ScalingPolicy').flatMap((policy) => {
      const steps = listOf(policy.properties.StepAdjustments).map((step) => ({
        lower: Number(valueAt(step, 'MetricIntervalLowerBound') ?? Number.NEGATIVE_INFINITY),
        upper: Number(valueAt(step, 'MetricIntervalUpperBound') ?? Number.POSITIVE_INFINITY),
        adjustment: Number(valueAt(step, 'ScalingAdjustment')),
      }));
      if (policy.properties.PolicyType !== 'StepScaling') return [];
      const sorted = steps.toSorted((one, other) => one.lower - other.lower);
      const gaps = sorted.slice(1).filter((step, index) => step.lower !== sorted[index]!.upper);
      const grows = sorted.every(({ adjustment }) => adjustment > 0);
      const shrinks = sorted.every(({ adjustment }) => adjustment < 0);
      const isOpen = grows
        ? sorted[0]?.lower === 0 && sorted.at(-1)?.upper === Number.POSITIVE_INFINITY
        : sorted.at(-1)?.upper === 0 && sorted[0]?.lower === Number.NEGATIVE_INFINITY;
      return [
        ...unless(gaps.length === 0, policy, 'has steps with a gap between them, or one over the other'),
        ...unless(sorted.length > 0 && (grows || shrinks), policy, 'neither grows nor shrinks'),
        ...unless(isOpen, policy, 'has steps that do not begin at the alarm or that end'),
      ];
    }),

  'every policy of steps is set going by an alarm': (stage) =>
    stage
      .of('AWS::AutoScaling::ScalingPolicy')
      .filter(({ properties }) => properties.PolicyType === 'StepScaling')
      .flatMap((policy) => {
        const alarms = stage
          .of('AWS::CloudWatch::Alarm')
          .filter(({ stack, properties }) =>
            listOf(properties.AlarmActions).some((action) => stage.referred(stack, action) === policy),
          );
        const isLate = alarms.some(({ properties }) => [...periodsOf(properties)].some((period) => period !== 60));
        const missing = alarms.map(({ properties }) => properties.TreatMissingData);
        return [
          ...unless(alarms.length > 0, policy, 'is set going by nothing'),
          ...unless(!isLate, policy, 'is set going by an alarm that looks less often than every minute'),
          ...unless(
            missing.every((each) => each === 'notBreaching'),
            policy,
            'is set going by missing data',
          ),
        ];
      }),

  'every fleet grows by steps and by tracking, and shrinks by steps alone': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const group = groupOf(stage, fleet);
      const policies = stage
        .of('AWS::AutoScaling::ScalingPolicy')
        .filter(({ stack, properties }) => stage.referred(stack, properties.AutoScalingGroupName) === group);
      const steps = policies.flatMap(({ properties }) => listOf(properties.StepAdjustments));
      const tracking = policies.filter(({ properties }) => properties.PolicyType === 'TargetTrackingScaling');
      return [
        ...unless(
          steps.some((step) => Number(valueAt(step, 'ScalingAdjustment')) > 0),
          fleet.template,
          'does not grow',
        ),
        ...unless(
          steps.some((step) => Number(valueAt(step, 'ScalingAdjustment')) < 0),
          fleet.template,
          'does not shrink',
        ),
        ...unless(tracking.length === 1, fleet.template, `has ${tracking.length} policies of target tracking`),
        ...tracking.flatMap((policy) =>
          unless(
            valueAt(policy.properties.TargetTrackingConfiguration, 'DisableScaleIn') === true,
            policy,
            'shrinks while work is in flight',
          ),
        ),
      ];
    }),

  'every fleet has the target that its configuration comes to': (stage) =>
    fleetsOf(stage).flatMap(({ fleet, target }) => {
      const group = groupOf(stage, fleet);
      return stage
        .of('AWS::AutoScaling::ScalingPolicy')
        .filter(({ stack, properties }) => stage.referred(stack, properties.AutoScalingGroupName) === group)
        .flatMap((policy) => {
          const is = valueAt(policy.properties.TargetTrackingConfiguration, 'TargetValue');
          return is === undefined ? [] : unless(is === target, policy, `tracks ${String(is)}, not ${target}`);
        });
    }),

  'every fleet takes the sizes that the scenarios of its backlog ask for': (stage) => {
    const key = [
      ...stage.of(...SCALED).map(({ properties }) => identityOf(properties)),
      ...acting(stage).map(({ properties }) => identityOf(properties)),
      ...stage.fleets.map(({ variables: { FLEET_NAME, FLEET_MINIMUM, FLEET_MAXIMUM, QUEUE_URL } }) =>
        JSON.stringify([FLEET_NAME, FLEET_MINIMUM, FLEET_MAXIMUM, QUEUE_URL]),
      ),
    ];
    const findings = known.get(key.join()) ?? scenarioFindings(stage);
    known.set(key.join(), findings);
    return findings;
  },
} satisfies Record<string, Rule>;

/** What the size of a fleet hangs on: where all of it is as it was, the scenarios come out as they did. */
const SCALED = ['AWS::SQS::Queue', 'AWS::AutoScaling::AutoScalingGroup', 'AWS::AutoScaling::ScalingPolicy'];
const known = new Map<string, readonly Finding[]>();
const identities = new WeakMap<object, number>();
let identitiesGiven = 0;

function identityOf(value: object): number {
  const identity = identities.get(value) ?? ++identitiesGiven;
  identities.set(value, identity);
  return identity;
}

/** Alarms that set a policy going. */
function acting(stage: Stage): Resource[] {
  return stage
    .of('AWS::CloudWatch::Alarm')
    .filter(({ stack, properties }) =>
      listOf(properties.AlarmActions).some(
        (action) => stage.referred(stack, action)?.type === 'AWS::AutoScaling::ScalingPolicy',
      ),
    );
}

function scenarioFindings(stage: Stage): Finding[] {
  return fleetsOf(stage).flatMap(({ fleet, target, queueName }): Finding[] => {
    const { FLEET_MINIMUM: minimum, FLEET_MAXIMUM: maximum } = fleet.variables;
    if (minimum !== SCENARIOS_OF.minimum || maximum !== SCENARIOS_OF.maximum) return [];
    try {
      const plan = readFleetPlan(stage.templates, fleet.name);
      return failedScenarios(plan, queueName, target).map((name) => found(fleet.template, `does otherwise: ${name}`));
    } catch (error) {
      if (error instanceof ScalingMistake) return [found(fleet.template, error.message)];
      throw error;
    }
  });
}

/** By what decides them: nearly every planted defect leaves the plan as it was, and a plan is minutes in many scenarios. */
const failed = new Map<string, readonly string[]>();

function failedScenarios(plan: FleetPlan, queueName: string, target: number): readonly string[] {
  const key = JSON.stringify([{ ...plan, steps: [...plan.steps] }, queueName, target]);
  const known = failed.get(key);
  if (known !== undefined) return known;
  const names = scenarios
    .filter((scenario) => {
      const sizes = sizesIn(scenario, plan, queueName, target);
      return JSON.stringify(sizes) !== JSON.stringify(scenario.sizes);
    })
    .map(({ name }) => name);
  failed.set(key, names);
  return names;
}

function fleetsOf(stage: Stage) {
  return stage.fleets.flatMap((fleet) => {
    const settings = Object.entries(stage.configuration.fleets).find(([name]) => name === fleet.name)?.[1];
    if (settings === undefined) return [];
    const target = backlogPerInstanceMessages(settings.acceptableLatencySeconds, settings.messagesPerSecondPerInstance);
    const queue = stage.referred(fleet.template.stack, fleet.variables.QUEUE_URL);
    return [{ fleet, target, queueName: String(queue?.properties.QueueName) }];
  });
}

function periodsOf(properties: Record<string, unknown>): Set<unknown> {
  const ofQueries = listOf(properties.Metrics).map((query) => valueAt(query, 'MetricStat', 'Period'));
  return new Set([properties.Period, ...ofQueries].filter((period) => period !== undefined));
}
