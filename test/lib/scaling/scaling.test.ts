/** Fleets grow and shrink as they should, judged by what the synthesized alarms and policies would decide. */
import { describe, expect, test } from '@jest/globals';
import { buildApp } from '../../../lib/app.ts';
import { configurationOf } from '../../../lib/config.ts';
import { backlogPerInstanceMessages } from '../../../lib/constructs/backlog-target.ts';
import { checkedConfiguration } from '../../../lib/settings.ts';
import { type Synthesized, synthesized, type Template } from '../synthesized.ts';
import { readFleetPlan } from './fleet-plan.ts';
import { type Scenario, scenarios, scenariosFromZero, sizesIn } from './scenarios.ts';
import { ScalingMistake } from './simulation.ts';

/** A stage with fleets of `minimum` to `maximum` instances, otherwise like prod. */
function stageWith(stage: string, minimum: number, maximum: number): Synthesized {
  const { stage: _, ...candidate } = structuredClone(configurationOf('prod'));
  for (const fleet of Object.values(candidate.fleets)) Object.assign(fleet, { minimum, maximum });
  return synthesized((app) => buildApp(app, checkedConfiguration(stage, candidate)));
}

const { acceptableLatencySeconds, messagesPerSecondPerInstance } = configurationOf('prod').fleets.orders;
const target = backlogPerInstanceMessages(acceptableLatencySeconds, messagesPerSecondPerInstance);
const stages = [
  { stage: 'large', from: 'two', ...stageWith('large', 2, 10), scenarios },
  { stage: 'zero', from: 'none', ...stageWith('zero', 0, 4), scenarios: scenariosFromZero },
];
/** A text of the templates, given as JSON, to put in the place of another. */
type Replacement = (templates: string) => string;

/** The name under which the messaging stack hands out the name of a queue. */
const queueOutput = (name: string) => new RegExp(`ExportsOutputFnGetAtt${name}Queue[0-9A-F]{8}QueueName\\w+`);

const fleets = [
  { fleet: 'orders', queue: 'orders' },
  { fleet: 'ledger', queue: 'ledger.fifo' },
];

function sizes(scenario: Scenario, templates: Record<string, Template>, stage: string, fleet: string, queue: string) {
  return sizesIn(scenario, readFleetPlan(templates, fleet), `sluice-${stage}-${queue}`, target);
}

describe.each(stages)('a fleet of at least $from', ({ stage, templates, scenarios: of }) => {
  describe.each(fleets)('on $queue', ({ fleet, queue }) => {
    test.each(of)('$name', (scenario) => {
      expect(sizes(scenario, templates, stage, fleet, queue)).toEqual(scenario.sizes);
    });
  });
});

test('a fleet that is never empty has no alarm that would wake it', () => {
  const alarms = stages.map(({ templates }) => readFleetPlan(templates, 'orders').alarms.length);
  expect(alarms).toEqual([2, 3]);
});

describe('a template with a mistake in its scaling is told by a scenario', () => {
  const inFlightDimension = /"Name":"QueueName"(?=[^[]*"MetricName":"ApproximateNumberOfMessagesNotVisible")/;
  const running = 'IF(instances > 0, instances, 1)';
  test.each<[string, resource: string, from: string | RegExp, to: string | Replacement]>([
    [
      'a gap between two steps',
      'ScaleOut',
      `"MetricIntervalUpperBound":${3 * target}`,
      `"MetricIntervalUpperBound":${2 * target}`,
    ],
    [
      'two steps that overlap',
      'ScaleOut',
      `"MetricIntervalLowerBound":${3 * target}`,
      `"MetricIntervalLowerBound":${2 * target}`,
    ],
    [
      'steps that end',
      'ScaleOut',
      `"MetricIntervalLowerBound":${9 * target}`,
      `"MetricIntervalLowerBound":${9 * target},"MetricIntervalUpperBound":${10 * target}`,
    ],
    ['a step that shrinks by all', 'ScaleIn', '"ScalingAdjustment":-1', '"ScalingAdjustment":-10'],
    [
      'a backlog of the other queue',
      'BacklogGrows',
      queueOutput('Orders'),
      (text) => queueOutput('Ledger').exec(text)![0],
    ],
    ['a backlog of another dimension', 'BacklogGrows', '"Name":"QueueName"', '"Name":"Queue"'],
    ['instances of another dimension', 'BacklogGrows', '"Name":"AutoScalingGroupName"', '"Name":"AutoScalingGroup"'],
    [
      'instances of the other fleet',
      'FleetIdles',
      /OrdersFleetGroup\w+/,
      (text) => /LedgerFleetGroupASG\w+/.exec(text)![0],
    ],
    ['another namespace', 'FleetIdles', '"Namespace":"AWS/AutoScaling"', '"Namespace":"AWS/EC2"'],
    ['what is in flight of another dimension', 'FleetIdles', inFlightDimension, '"Name":"Queue"'],
    ['a period of five minutes', 'BacklogGrows', '"Period":60', '"Period":300'],
    ['a quarter of an hour that is a minute', 'FleetIdles', '"EvaluationPeriods":15', '"EvaluationPeriods":1'],
    [
      'one quiet minute of fifteen',
      'FleetIdles',
      '"EvaluationPeriods":15',
      '"EvaluationPeriods":15,"DatapointsToAlarm":1',
    ],
    ['a threshold ten times too high', 'BacklogGrows', `"Threshold":${target}`, `"Threshold":${target}0`],
    ['a comparison the wrong way round', 'FleetIdles', 'LessThanThreshold', 'GreaterThanThreshold'],
    ['missing data that shrinks', 'FleetIdles', 'notBreaching', 'breaching'],
    ['missing data that grows', 'BacklogGrows', 'notBreaching', 'breaching'],
    ['missing data that wakes', 'BacklogWaits', 'notBreaching', 'breaching'],
    ['a fleet that nothing wakes', 'BacklogWaits', '"Threshold":1,', '"Threshold":1000,'],
    ['a fleet that is woken again and again', 'BacklogWaits', 'IF(desired < 1, visible, 0)', 'visible + 0 * desired'],
    ['shrinking that adds', 'FleetIdles', /OrdersFleetScaleIn\w+/, (text) => /OrdersFleetScaleOut\w+/.exec(text)![0]],
    ['a division by no instances', 'BacklogGrows', running, 'instances'],
    [
      'work in flight that keeps a fleet up',
      'FleetIdles',
      'IF(visible > 0, visible + FILL(inFlight, 0), 0)',
      '(visible + FILL(inFlight, 0))',
    ],
    ['what is not in flight and not reported', 'FleetIdles', 'FILL(inFlight, 0)', 'inFlight'],
    ['shrinking that looks at visible messages alone', 'FleetIdles', 'visible + FILL(inFlight, 0)', 'visible'],
    ['a last instance that leaves messages behind', 'FleetIdles', 'AND instances < 2', 'AND instances < 0'],
    ['a sum in the place of a share', 'BacklogGrows', `visible / ${running}`, `visible * ${running}`],
    ['tracking that shrinks', 'TrackBacklog', '"DisableScaleIn":true', '"DisableScaleIn":false'],
    ['tracking a tenth of the target', 'TrackBacklog', `"TargetValue":${target}`, `"TargetValue":${target / 10}`],
    ['tracking ten times the target', 'TrackBacklog', `"TargetValue":${target}`, `"TargetValue":${target}0`],
    ['tracking another dimension', 'TrackBacklog', '"Name":"QueueName"', '"Name":"Queue"'],
    ['tracking instances that are not counted', 'TrackBacklog', 'GroupInServiceInstances', 'GroupStandbyInstances'],
    ['tracking two series', 'TrackBacklog', '"ReturnData":false', '"ReturnData":true'],
    ['a group that reports no sizes', 'Group', /"MetricsCollection":\[\{[^\]]*\}\],?/, ''],
  ])('%s', (_, resource, from, to) => {
    const told = stages.some(({ stage, templates, scenarios: of }) => {
      const broken = withMistake(templates, resource, from, to);
      return broken !== undefined && of.some((scenario) => isTold(scenario, broken, stage));
    });
    expect(told).toBe(true);
  });
});

/** `templates` with one text of a resource of the orders fleet replaced; undefined when there is no such resource. */
function withMistake(
  templates: Record<string, Template>,
  resource: string,
  from: string | RegExp,
  to: string | Replacement,
): Record<string, Template> | undefined {
  const broken = structuredClone(templates);
  for (const { Resources } of Object.values(broken)) {
    const id = Object.keys(Resources).find((name) => name.startsWith(`OrdersFleet${resource}`));
    if (id === undefined) continue;
    const text = JSON.stringify(Resources[id]);
    const changed = text.replace(from, typeof to === 'string' ? () => to : () => to(JSON.stringify(templates)));
    if (changed === text) throw new Error(`${id} has no ${from}: nothing was broken`);
    Resources[id] = JSON.parse(changed);
    return broken;
  }
  return undefined;
}

function isTold(scenario: Scenario, templates: Record<string, Template>, stage: string): boolean {
  try {
    return JSON.stringify(sizes(scenario, templates, stage, 'orders', 'orders')) !== JSON.stringify(scenario.sizes);
  } catch (error) {
    if (error instanceof ScalingMistake) return true;
    throw error;
  }
}
