/**
 * What may happen to a queue, and the sizes that its fleet has to have then.
 *
 * Backlogs are in targets: 1 is what may wait for each instance. Sizes are written as runs, `[size, minutes]`.
 */
import type { FleetPlan } from './fleet-plan.ts';
import type { Point } from './metric-math.ts';
import { type Minute, simulate } from './simulation.ts';

type Run = readonly [size: number, minutes: number];

export interface Scenario {
  readonly name: string;
  /** Instances that have been there for long. */
  readonly instances: number;
  /** By the target of one instance, in messages. */
  readonly minutes: (target: number) => readonly Minute[];
  readonly sizes: readonly Run[];
}

const during = (minutes: number, visible: Point, inFlight: Point): Minute[] =>
  Array.from({ length: minutes }, () => ({ visible, inFlight }));
/** Nothing is in flight, and SQS says nothing about it. */
const quiet = (minutes: number) => during(minutes, 0, undefined);
const noData = (minutes: number): Minute[] =>
  Array.from({ length: minutes }, () => ({ visible: undefined, inFlight: undefined, group: false }));

/** Of a fleet of 2 to 10 instances. */
export const scenarios: readonly Scenario[] = [
  {
    name: 'a burst of ten targets adds two at once, and ten are there within three minutes',
    instances: 2,
    minutes: (target) => [...quiet(5), ...during(15, 10 * target, target)],
    sizes: [
      [2, 5],
      [4, 2],
      [10, 13],
    ],
  },
  {
    name: 'a burst of thirty targets adds four at once, and no more than the maximum',
    instances: 2,
    minutes: (target) => [...quiet(5), ...during(15, 30 * target, target)],
    sizes: [
      [2, 5],
      [6, 2],
      [10, 13],
    ],
  },
  {
    name: 'a burst of nearly seven targets adds one at once, and seven are there within three minutes',
    instances: 2,
    minutes: (target) => [...quiet(5), ...during(30, 6.9 * target, target)],
    sizes: [
      [2, 5],
      [3, 2],
      [7, 28],
    ],
  },
  {
    name: 'a backlog that three instances can take adds one and no more, however long it lasts',
    instances: 2,
    minutes: (target) => [...quiet(5), ...during(40, 2.9 * target, target)],
    sizes: [
      [2, 5],
      [3, 40],
    ],
  },
  {
    name: 'what every instance may have waiting adds nothing to a large fleet',
    instances: 8,
    minutes: (target) => during(40, 7 * target, target),
    sizes: [[8, 40]],
  },
  {
    name: 'what is in flight alone, however much and long, keeps no fleet up',
    instances: 6,
    minutes: (target) => during(40, 0, 6 * target),
    sizes: [
      [6, 14],
      [5, 1],
      [4, 1],
      [3, 1],
      [2, 23],
    ],
  },
  {
    name: 'what is in flight beside a message that waits keeps the fleet up',
    instances: 6,
    minutes: (target) => during(60, 1, 3 * target),
    sizes: [[6, 60]],
  },
  {
    name: 'a queue that is drained lets the fleet go after fifteen minutes, one by one',
    instances: 6,
    minutes: (target) => [
      ...[5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.7].flatMap((visible) => during(1, visible * target, target)),
      ...during(5, 0.3 * target, 0.6 * target),
      ...during(5, 0.1 * target, 0.1 * target),
      ...quiet(30),
    ],
    sizes: [
      [6, 29],
      [5, 1],
      [4, 1],
      [3, 1],
      [2, 18],
    ],
  },
  {
    name: 'a few messages that wait while SQS says nothing about what is in flight let the fleet go',
    instances: 3,
    minutes: (target) => during(20, 0.05 * target, undefined),
    sizes: [
      [3, 14],
      [2, 6],
    ],
  },
  {
    name: 'one busy minute in a quarter of an hour keeps the fleet',
    instances: 3,
    minutes: (target) => Array.from({ length: 5 }, () => [...quiet(13), ...during(1, 0.5 * target, 0)]).flat(),
    sizes: [[3, 70]],
  },
  {
    name: 'no data at all leaves a busy fleet as it is',
    instances: 6,
    minutes: (target) => [...during(5, target, target), ...noData(60)],
    sizes: [[6, 65]],
  },
  {
    name: 'no data of the group leaves a fleet as it is',
    instances: 4,
    minutes: (target) => during(30, 2 * target, 0).map((minute) => ({ ...minute, group: false })),
    sizes: [[4, 30]],
  },
  {
    name: 'two minutes without data do not keep an idle fleet up',
    instances: 3,
    minutes: () => [...quiet(10), ...noData(2), ...quiet(10)],
    sizes: [
      [3, 16],
      [2, 6],
    ],
  },
];

/** Of a fleet of 0 to 4 instances. */
export const scenariosFromZero: readonly Scenario[] = [
  {
    name: 'the first visible message starts one instance, and one only',
    instances: 0,
    minutes: () => [...quiet(5), ...during(40, 1, undefined)],
    sizes: [
      [0, 5],
      [1, 40],
    ],
  },
  {
    name: 'a large backlog starts four at once',
    instances: 0,
    minutes: (target) => [...quiet(5), ...during(10, 10 * target, undefined)],
    sizes: [
      [0, 5],
      [4, 10],
    ],
  },
  {
    name: 'a burst behind the first message is answered before the first instance runs',
    instances: 0,
    minutes: (target) => [...quiet(5), ...during(1, 1, undefined), ...during(8, 10 * target, undefined)],
    sizes: [
      [0, 5],
      [1, 1],
      [4, 8],
    ],
  },
  {
    name: 'a queue that nobody uses starts nothing, and a message on it starts one',
    instances: 0,
    minutes: () => [...during(20, undefined, undefined), ...during(5, 1, undefined)],
    sizes: [
      [0, 20],
      [1, 5],
    ],
  },
  {
    name: 'an empty queue lets the last instance go after fifteen minutes, and stays empty',
    instances: 1,
    minutes: () => quiet(40),
    sizes: [
      [1, 14],
      [0, 26],
    ],
  },
  {
    name: 'what is in flight alone lets the last instance go',
    instances: 1,
    minutes: (target) => during(40, 0, target),
    sizes: [
      [1, 14],
      [0, 26],
    ],
  },
  {
    name: 'the last instance stays while a message is visible',
    instances: 1,
    minutes: (target) => during(60, 0.01 * target, 10),
    sizes: [[1, 60]],
  },
  {
    name: 'four instances become one while a message is visible, and none after it',
    instances: 4,
    minutes: () => [...during(30, 1, 10), ...quiet(20)],
    sizes: [
      [4, 14],
      [3, 1],
      [2, 1],
      [1, 28],
      [0, 6],
    ],
  },
];

/** The sizes that `plan` comes to in `scenario`, as runs. */
export function sizesIn(scenario: Scenario, plan: FleetPlan, queueName: string, target: number): readonly Run[] {
  const runs: [number, number][] = [];
  for (const size of simulate(plan, queueName, scenario.instances, scenario.minutes(target))) {
    const last = runs.at(-1);
    if (last?.[0] === size) last[1] += 1;
    else runs.push([size, 1]);
  }
  return runs;
}
