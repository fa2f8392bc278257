/** Every alarm tells a person something, about a metric that somebody writes, as strictly as the configuration says. */
import { alarmKinds, FIFO_ALARM_KINDS } from '../../../lib/constructs/alarm-kinds.ts';
import { expectedConnections } from '../../../lib/constructs/connection-budget.ts';
import { workloadNames, workloads } from '../../../lib/workloads.ts';
import { type Resource, valuesIn } from '../synthesized.ts';
import { AWS_METRICS, keyOf, metricsOfAlarm, metricsOfDashboard, type UsedMetric, writtenBy } from '../used-metrics.ts';
import { groupOf } from './fleets.ts';
import { type Statement, statementsOf } from './policies.ts';
import { type Finding, found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';
import { fileIn, unitOf } from './user-data.ts';

/** CloudWatch keeps what it counts for a minute that long, and looks no further back than a day. */
const WINDOW_MAX_SECONDS = 24 * 60 * 60;

interface Strictness {
  readonly comparison: 'GreaterThanThreshold' | 'GreaterThanOrEqualToThreshold' | 'LessThanThreshold';
  readonly threshold: (stage: Stage) => number;
  /** How long it has to hold before a person is told. */
  readonly minutes: number;
  readonly missing?: 'breaching';
  /** Of what it looks at by itself; what an expression looks at is judged by what comes of it. */
  readonly statistic?: 'Average' | 'Maximum' | 'Minimum' | 'SampleCount' | 'Sum';
}

const more = (
  threshold: (stage: Stage) => number,
  minutes: number,
  statistic?: Strictness['statistic'],
): Strictness => ({
  comparison: 'GreaterThanThreshold',
  threshold,
  minutes,
  ...(statistic && { statistic }),
});
const once = (minutes: number, statistic?: Strictness['statistic']): Strictness => ({
  comparison: 'GreaterThanOrEqualToThreshold',
  threshold: () => 1,
  minutes,
  ...(statistic && { statistic }),
});

/** By the end of an alarm's name; what is not here is held to everything else alone. */
const STRICTNESS: Readonly<Record<string, Strictness>> = {
  'messages-wait-too-long': more(({ configuration }) => configuration.watching.ageObjectiveSeconds, 5, 'Maximum'),
  'messages-are-stored-late': more(({ configuration }) => configuration.watching.ageObjectiveSeconds, 5, 'Maximum'),
  'messages-come-again': more(() => 0, 15, 'Sum'),
  'many-messages-are-rejected': more(() => 10, 15),
  'dead-letters-wait': more(() => 0, 1),
  'backlog-does-not-drain': once(15),
  'few-groups-are-worked-on': once(15),
  'no-worker-while-messages-wait-messages-wait': more(() => 0, 10, 'Minimum'),
  'no-worker-while-messages-wait-no-worker': {
    comparison: 'LessThanThreshold',
    threshold: () => 1,
    minutes: 10,
    missing: 'breaching',
    statistic: 'SampleCount',
  },
  // Four fifths of what SQS allows.
  'in-flight-near-limit': more(() => 96_000, 5, 'Maximum'),
  'access-is-denied': more(() => 0, 5, 'Sum'),
  'database-is-away': once(10, 'Maximum'),
  'database-processor-is-busy': more(() => 80, 15, 'Average'),
  'database-storage-runs-out': {
    comparison: 'LessThanThreshold',
    threshold: ({ configuration }) => (configuration.database.allocatedStorageGib * 1024 ** 3) / 20,
    minutes: 15,
    statistic: 'Minimum',
  },
  'database-connections-run-out': more(({ configuration }) => expectedConnections(configuration.fleets), 15, 'Maximum'),
};

export const watchingRules = {
  'an alarm scales, tells a person, or is a part of one that does': (stage) =>
    alarmsOf(stage).flatMap((alarm) => [
      ...unless(dutyOf(stage, alarm) !== undefined, alarm, 'does nothing'),
      ...unless(alarm.properties.ActionsEnabled !== false, alarm, 'has its actions switched off'),
    ]),

  'an alarm tells how severe it is, what it means, where to read on, and when it is over': (stage) =>
    telling(stage).flatMap((alarm) => {
      const { AlarmName: name, AlarmDescription: description, AlarmActions, OKActions } = alarm.properties;
      const pattern = new RegExp(
        `^(\\w+), (\\S+): (.+) What to do: ${stage.configuration.watching.runbook}#([a-z-]+)$`,
      );
      const [, severity, subject, meaning, kind = ''] = pattern.exec(String(description)) ?? [];
      const known = Object.entries(alarmKinds).find(([each]) => each === kind)?.[1];
      return [
        ...unless(
          known?.severity === severity && known?.meaning === meaning,
          alarm,
          'says something else than its kind',
        ),
        ...unless(name === `sluice-${stage.name}-${subject}-${kind}`, alarm, `is called ${String(name)}`),
        ...unless(JSON.stringify(OKActions) === JSON.stringify(AlarmActions), alarm, 'does not tell that it is over'),
      ];
    }),

  'an alarm of every kind is there, for every workload or for the database': (stage) => {
    const names = telling(stage).map(({ properties }) => String(properties.AlarmName));
    const workers = stage.fleets.map(({ name }) => name);
    const fifo: readonly string[] = workloadNames.filter((name) => workloads[name].fifo);
    return Object.keys(alarmKinds).flatMap((kind) => {
      const subjects = FIFO_ALARM_KINDS.includes(kind) ? workers.filter((name) => fifo.includes(name)) : workers;
      const ofDatabase = `sluice-${stage.name}-database-${kind}`;
      const isOfDatabase =
        kind.startsWith('database-') &&
        !subjects.some((name) => names.includes(`sluice-${stage.name}-${name}-${kind}`));
      const expected = isOfDatabase ? [ofDatabase] : subjects.map((name) => `sluice-${stage.name}-${name}-${kind}`);
      return expected
        .filter((name) => names.filter((each) => each === name).length !== 1)
        .map((name): Finding => ({ where: name, problem: 'is not there, or twice' }));
    });
  },

  'an alarm is as strict as it has to be': (stage) =>
    alarmsOf(stage).flatMap((alarm) => {
      const name = String(alarm.properties.AlarmName);
      const [, strict] = Object.entries(STRICTNESS).find(([kind]) => name.endsWith(`-${kind}`)) ?? [];
      if (strict === undefined || alarm.type !== 'AWS::CloudWatch::Alarm') return [];
      const { ComparisonOperator, Threshold, EvaluationPeriods, TreatMissingData, Statistic } = alarm.properties;
      const periods = periodsOf(alarm.properties);
      const minutes = (Number(EvaluationPeriods) * Math.max(...periods)) / 60;
      const threshold = strict.threshold(stage);
      return [
        ...unless(ComparisonOperator === strict.comparison, alarm, `compares by ${String(ComparisonOperator)}`),
        ...unless(Threshold === threshold, alarm, `has a threshold of ${String(Threshold)}, not ${threshold}`),
        ...unless(minutes === strict.minutes, alarm, `tells after ${minutes} minutes, not ${strict.minutes}`),
        ...unless(
          TreatMissingData === (strict.missing ?? 'notBreaching'),
          alarm,
          `takes missing data for ${String(TreatMissingData)}`,
        ),
        ...unless(
          strict.statistic === undefined || Statistic === strict.statistic,
          alarm,
          `looks at ${String(Statistic)}`,
        ),
      ];
    }),

  'an alarm looks at periods that CloudWatch has, and not too far back': (stage) =>
    stage.of('AWS::CloudWatch::Alarm').flatMap((alarm) => {
      const periods = periodsOf(alarm.properties);
      const { EvaluationPeriods: evaluated, DatapointsToAlarm: points = evaluated } = alarm.properties;
      const isLooking = periods.every((period) => Number.isInteger(period) && period > 0 && period % 60 === 0);
      return [
        ...unless(metricsOf(alarm).length > 0, alarm, 'looks at nothing'),
        ...unless(isLooking, alarm, `has periods of ${periods.join(', ')} s`),
        ...unless(Math.max(...periods) * Number(evaluated) <= WINDOW_MAX_SECONDS, alarm, 'looks back more than a day'),
        ...unless(
          Number(points) >= 1 && Number(points) <= Number(evaluated),
          alarm,
          `needs ${String(points)} of ${String(evaluated)} points`,
        ),
      ];
    }),

  'an alarm of several conditions needs all of them': (stage) =>
    stage.of('AWS::CloudWatch::CompositeAlarm').flatMap((alarm) => {
      const rule = textOf(alarm.properties.AlarmRule);
      return unless(
        /^\(ALARM\("<[^>]*>"\)( AND ALARM\("<[^>]*>"\))+\)$/.test(rule),
        alarm,
        'tells of one of its conditions, or of their absence',
      );
    }),

  'nothing is divided by what may be none': (stage) =>
    stage.of('AWS::CloudWatch::Alarm', 'AWS::AutoScaling::ScalingPolicy').flatMap((resource) =>
      [...valuesIn(resource.properties)]
        .filter(({ key, value }) => key === 'Expression' && typeof value === 'string')
        .flatMap(({ value: expression }) => {
          const divisors = [...String(expression).matchAll(/\/ *(\w+)(?![\w(])/g)].map((match) => match[1]!);
          const open = divisors.filter((divisor) => !String(expression).includes(`IF(${divisor} > 0`));
          return open.map((divisor) => found(resource, `divides by ${divisor}, of which there may be none`));
        }),
    ),

  'a metric is one that AWS reports of a resource that is there, or one that a worker writes': (stage) => {
    const written = writtenBy(
      stage.fleets.map(({ name }) => name),
      stage.name,
    );
    return usedMetrics(stage).flatMap((metric) => {
      const { namespace, name, dimensions, stack, where } = metric;
      const isKnown = namespace.startsWith('AWS/')
        ? isReported(stage, metric)
        : written.has(keyOf(namespace, name, dimensions));
      return unless(
        isKnown,
        { stack, id: where },
        `looks at ${namespace} ${name} of ${Object.keys(dimensions).join()}, which nobody reports`,
      );
    });
  },

  'what is looked at for a workload is its own': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const own = [
        stage.referred(fleet.template.stack, fleet.variables.QUEUE_URL),
        stage.referred(fleet.template.stack, fleet.variables.DEAD_LETTER_QUEUE_URL),
        groupOf(stage, fleet),
      ];
      return usedMetrics(stage)
        .filter(({ stack, where }) => isOfWorkload(stage, stage.named(stack, where), fleet.name))
        .flatMap(({ stack, where, dimensions }) => {
          const isOwn = Object.entries(dimensions).every(([name, value]) => {
            if (name === 'stage') return value === stage.name;
            return name === 'worker'
              ? value === fleet.name
              : own.includes(stage.referred(stack, value)) || !/^(QueueName|AutoScalingGroupName)$/.test(name);
          });
          return unless(
            isOwn,
            { stack, id: where },
            `looks at ${JSON.stringify(dimensions)}, which is not of ${fleet.name}`,
          );
        });
    }),

  'dead letters are looked at where they are': (stage) =>
    stage.fleets.flatMap((fleet) => {
      const deadLetterQueue = stage.referred(fleet.template.stack, fleet.variables.DEAD_LETTER_QUEUE_URL);
      const alarm = stage
        .of('AWS::CloudWatch::Alarm')
        .find(({ properties }) => properties.AlarmName === `sluice-${stage.name}-${fleet.name}-dead-letters-wait`);
      if (alarm === undefined) return [found(fleet.template, 'has no alarm for its dead letters')];
      const queues = metricsOf(alarm).map(({ dimensions }) => stage.referred(alarm.stack, dimensions.QueueName));
      return unless(
        queues.every((queue) => queue === deadLetterQueue),
        alarm,
        'looks at another queue than the dead-letter queue',
      );
    }),

  'the topic of alarms is encrypted with a key of its own, TLS only, and takes what CloudWatch of this account says': (
    stage,
  ) => {
    const topics = stage.of('AWS::SNS::Topic');
    return topics.flatMap((topic) => {
      const key = stage.referred(topic.stack, topic.properties.KmsMasterKeyId);
      const users = key === undefined ? [] : stage.usersOf(key).filter(({ type }) => type !== 'AWS::KMS::Alias');
      const statements = stage
        .of('AWS::SNS::TopicPolicy')
        .filter(({ stack, properties }) =>
          listOf(properties.Topics).some((each) => stage.referred(stack, each) === topic),
        )
        .flatMap(statementsOf);
      const deniesPlain = statements.some(
        ({ Effect, Action, Principal, Condition }) =>
          Effect === 'Deny' &&
          Action.includes('sns:Publish') &&
          Principal === '*' &&
          JSON.stringify(Condition) === '{"Bool":{"aws:SecureTransport":["false"]}}',
      );
      const ofKey = key === undefined ? [] : statementsOf(key);
      const letsIn = (all: readonly Statement[], actions: readonly string[], isOn: (on: unknown) => boolean) =>
        all.some(
          ({ Effect, Action, Principal, Condition, Resource: resources }) =>
            Effect === 'Allow' &&
            actions.every((action) => Action.includes(action)) &&
            resources.some(isOn) &&
            textOf(valueAt(Principal, 'Service')) === 'cloudwatch.amazonaws.com' &&
            valueAt(Condition, 'StringEquals', 'aws:SourceAccount') !== undefined,
        );
      return [
        ...unless(key?.type === 'AWS::KMS::Key' && users.length === 1, topic, 'has no key of its own'),
        ...unless(deniesPlain, topic, 'takes what comes without TLS'),
        ...unless(
          letsIn(statements, ['sns:Publish'], (on) => stage.referred(topic.stack, on) === topic),
          topic,
          'does not let CloudWatch tell it anything',
        ),
        ...unless(
          letsIn(ofKey, ['kms:Decrypt', 'kms:GenerateDataKey'], (on) => on === '*'),
          topic,
          'has a key that CloudWatch may not encrypt with',
        ),
      ];
    });
  },

  'the lines of a worker reach a log group of its own': (stage) =>
    stage.fleets.flatMap(({ template, script, variables, name }) => {
      const file = /^StandardOutput=append:(\S+)$/m.exec(unitOf(script))?.[1];
      const agent = fileIn(script, '/etc/sluice/log-agent.json');
      const collected = listOf(valueAt(parsed(agent), 'logs', 'logs_collected', 'files', 'collect_list'));
      const group = stage
        .of('AWS::Logs::LogGroup')
        .find(({ properties }) => properties.LogGroupName === variables.FLEET_LOG_GROUP);
      const days = stage.configuration.watching.workerLogRetentionDays;
      return [
        ...unless(
          variables.FLEET_LOG_GROUP === `/sluice/${stage.name}/${name}`,
          template,
          `writes to ${textOf(variables.FLEET_LOG_GROUP)}`,
        ),
        ...unless(
          group !== undefined && stage.dependencies(template).includes(group.id),
          template,
          'has no log group when its first instance boots',
        ),
        ...unless(
          group?.properties.RetentionInDays === days,
          group ?? template,
          `keeps lines for ${String(group?.properties.RetentionInDays)} days, not ${days}`,
        ),
        ...unless(
          file !== undefined &&
            collected.some(
              (each) =>
                valueAt(each, 'file_path') === file && valueAt(each, 'log_group_name') === `\${FLEET_LOG_GROUP}`,
            ),
          template,
          'has an agent that reads another file than the worker writes',
        ),
      ];
    }),

  'every workload has a dashboard': (stage) =>
    stage.fleets.flatMap(({ template, name }) => {
      const dashboards = stage
        .of('AWS::CloudWatch::Dashboard')
        .filter(({ properties }) => properties.DashboardName === `sluice-${stage.name}-${name}`);
      return unless(dashboards.length === 1, template, `has ${dashboards.length} dashboards`);
    }),
} satisfies Record<string, Rule>;

function alarmsOf(stage: Stage): Resource[] {
  return stage.of('AWS::CloudWatch::Alarm', 'AWS::CloudWatch::CompositeAlarm');
}

function telling(stage: Stage): Resource[] {
  return alarmsOf(stage).filter((alarm) => dutyOf(stage, alarm) === 'tells');
}

/** An alarm acts when all that it does is to scale; it is a part when a composite alarm names it. */
function dutyOf(stage: Stage, alarm: Resource): 'acts' | 'tells' | 'is a part' | undefined {
  const types = listOf(alarm.properties.AlarmActions).map((action) => stage.referred(alarm.stack, action)?.type);
  if (types.length > 0 && types.every((type) => type === 'AWS::AutoScaling::ScalingPolicy')) return 'acts';
  if (types.length > 0 && types.every((type) => type === 'AWS::SNS::Topic')) return 'tells';
  const isPart = stage
    .of('AWS::CloudWatch::CompositeAlarm')
    .some(({ stack, properties }) => stage.referredIn(stack, properties.AlarmRule).includes(alarm));
  return types.length === 0 && isPart ? 'is a part' : undefined;
}

function usedMetrics(stage: Stage): UsedMetric[] {
  return [...alarmsOf(stage), ...stage.of('AWS::CloudWatch::Dashboard')].flatMap(metricsOf);
}

const known = new WeakMap<object, readonly UsedMetric[]>();

/** Read once of each: a dashboard is long, and several rules look at it. */
function metricsOf(resource: Resource): readonly UsedMetric[] {
  const metrics =
    known.get(resource.properties) ??
    (resource.type === 'AWS::CloudWatch::Dashboard' ? metricsOfDashboard(resource) : metricsOfAlarm(resource));
  known.set(resource.properties, metrics);
  return metrics;
}

function isReported(stage: Stage, { namespace, name, dimensions, stack }: UsedMetric): boolean {
  const known = AWS_METRICS[namespace];
  const [[dimension, value] = [], ...others] = Object.entries(dimensions);
  return (
    known?.names.includes(name) === true &&
    dimension === known.dimension &&
    others.length === 0 &&
    stage.referred(stack, value)?.type === known.type
  );
}

function isOfWorkload(stage: Stage, resource: Resource | undefined, name: string): boolean {
  const { AlarmName, DashboardName = AlarmName } = resource?.properties ?? {};
  return new RegExp(`^sluice-${stage.name}-${name}(-|$)`).test(String(DashboardName));
}

function periodsOf(properties: Record<string, unknown>): number[] {
  return [...valuesIn(properties)].filter(({ key }) => key === 'Period').map(({ value }) => Number(value));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
