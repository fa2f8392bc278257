/** What holds over logs, alarms and dashboards of every stage, so that one added by copying is held to the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { buildApp } from '../../lib/app.ts';
import { configurationOf, stageNames } from '../../lib/config.ts';
import { alarmKinds, FIFO_ALARM_KINDS } from '../../lib/constructs/alarm-kinds.ts';
import { checkedConfiguration } from '../../lib/settings.ts';
import { workloadNames, workloads } from '../../lib/workloads.ts';
import { type Resource, synthesized, synthesizedStage, valuesIn } from './synthesized.ts';
import { AWS_METRICS, bodyOf, keyOf, metricsOfAlarm, metricsOfDashboard, writtenBy } from './used-metrics.ts';

const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

const refSchema = z.object({ Ref: z.string() });
const getAttSchema = z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.string()]) });
const importSchema = z.object({ 'Fn::ImportValue': z.string() });
const outputsSchema = z.looseObject({
  Outputs: z.record(
    z.string(),
    z.looseObject({ Value: z.unknown(), Export: z.object({ Name: z.string() }).optional() }),
  ),
});
const alarmSchema = z.looseObject({
  AlarmName: z.string().optional(),
  AlarmDescription: z.string(),
  AlarmActions: z.array(refSchema).default([]),
  OKActions: z.array(refSchema).default([]),
});
const userDataSchema = z.looseObject({
  UserData: z.object({
    'Fn::Base64': z.object({ 'Fn::Sub': z.tuple([z.string(), z.record(z.string(), z.unknown())]) }),
  }),
});
const statementSchema = z.looseObject({
  Effect: z.string(),
  Action: z.union([z.array(z.string()), z.string().transform((action) => [action])]),
  Resource: z.unknown(),
});

const agentSchema = z.strictObject({
  agent: z.strictObject({ run_as_user: z.string() }),
  logs: z.strictObject({
    logs_collected: z.strictObject({ files: z.strictObject({ collect_list: z.array(z.unknown()) }) }),
  }),
});

describe.each(stageNames)('in stage %s', (stage) => {
  const { resources, templates } = synthesizedStage(stage);
  const of = (type: string) => resources.filter((resource) => resource.type === type);
  const named = (stack: string, id: string) =>
    resources.find((resource) => resource.stack === stack && resource.id === id);
  const alarms = [...of('AWS::CloudWatch::Alarm'), ...of('AWS::CloudWatch::CompositeAlarm')];

  /** The resource that a value refers to, through an export too. */
  function referred(stack: string, value: unknown): Resource | undefined {
    const byRef = refSchema.safeParse(value);
    if (byRef.success) return named(stack, byRef.data.Ref);
    const byAttribute = getAttSchema.safeParse(value);
    if (byAttribute.success) return named(stack, byAttribute.data['Fn::GetAtt'][0]);
    const imported = importSchema.safeParse(value);
    if (!imported.success) return undefined;
    for (const [exporter, template] of Object.entries(templates)) {
      const outputs = Object.values(outputsSchema.safeParse(template).data?.Outputs ?? {});
      const output = outputs.find(({ Export: exported }) => exported?.Name === imported.data['Fn::ImportValue']);
      if (output !== undefined) return referred(exporter, output.Value);
    }
    return undefined;
  }

  /** An alarm acts when all that it does is to scale; it is a part when a composite alarm names it. */
  function dutyOf(alarm: Resource): 'acts' | 'tells' | 'is a part' | 'does nothing' {
    const { AlarmActions: actions } = alarmSchema.parse(alarm.properties);
    const types = actions.map(({ Ref: id }) => named(alarm.stack, id)?.type);
    if (types.length > 0 && types.every((type) => type === 'AWS::AutoScaling::ScalingPolicy')) return 'acts';
    if (types.length > 0 && types.every((type) => type === 'AWS::SNS::Topic')) return 'tells';
    const isPart = of('AWS::CloudWatch::CompositeAlarm').some(
      (composite) =>
        composite.stack === alarm.stack &&
        [...valuesIn(composite.properties.AlarmRule)].some(({ value }) => referred(alarm.stack, value) === alarm),
    );
    return types.length === 0 && isPart ? 'is a part' : 'does nothing';
  }

  const fleets = of('AWS::EC2::LaunchTemplate').map((template) => {
    const [script, variables] = userDataSchema.parse(template.properties.LaunchTemplateData).UserData['Fn::Base64'][
      'Fn::Sub'
    ];
    return { template, script, variables };
  });
  const workers = fleets.map(({ variables }) => String(variables.FLEET_NAME));
  const telling = alarms.filter((alarm) => dutyOf(alarm) === 'tells');

  /** The worker that an alarm or a dashboard is named for: `orders-late`, where there is one, and not `orders`. */
  function watchedBy({ properties: { AlarmName: alarm, DashboardName: name = alarm } }: Resource): string | undefined {
    const named = workers.filter((worker) => `${String(name)}-`.startsWith(`sluice-${stage}-${worker}-`));
    return named.sort((one, other) => other.length - one.length)[0];
  }

  /** The fleet whose launch template a group has. */
  function fleetOf(group: Resource): unknown {
    const { LaunchTemplateId: id } = z
      .looseObject({ LaunchTemplateId: z.unknown() })
      .parse(group.properties.LaunchTemplate);
    return fleets.find(({ template }) => template === referred(group.stack, id))?.variables.FLEET_NAME;
  }

  describe('an alarm', () => {
    test('is as strict as the configuration says', () => {
      const { watching, database, fleets: sizes } = configurationOf(stage);
      const thresholds = (kind: string) =>
        alarms
          .filter(({ properties }) => String(properties.AlarmName).endsWith(kind))
          .map((each) => each.properties.Threshold);
      expect(thresholds('messages-wait-too-long')).toEqual(workers.map(() => watching.ageObjectiveSeconds));
      expect(thresholds('database-storage-runs-out')).toEqual([(database.allocatedStorageGib * 1024 ** 3) / 20]);
      // Four connections a pool, twice while instances are replaced, and ten others.
      const instances = Object.values(sizes).reduce((sum, { maximum }) => sum + maximum, 0);
      expect(thresholds('database-connections-run-out')).toEqual([instances * 8 + 10]);
    });

    test.each(alarms)('scales, tells a person, or is a part of one that does: $id', (alarm) => {
      expect(dutyOf(alarm)).not.toBe('does nothing');
    });

    test.each(telling)('tells how severe it is, what it means and where to read on: $id', (alarm) => {
      const { AlarmName: name, AlarmDescription: description } = alarmSchema.parse(alarm.properties);
      const [, severity, subject, meaning, kind] =
        /^(\w+), (\S+): (.+) What to do: docs\/operations\.md#([a-z-]+)$/.exec(description) ?? [];
      expect(new Map<string | undefined, unknown>(Object.entries(alarmKinds)).get(kind)).toEqual({ severity, meaning });
      expect(name).toBe(`sluice-${stage}-${subject}-${kind}`);
    });

    test.each(telling)('tells that it is over, too: $id', (alarm) => {
      const { AlarmActions: actions, OKActions: okActions } = alarmSchema.parse(alarm.properties);
      expect(okActions).toEqual(actions);
    });

    test('is there of every kind, and for every workload or for the database', () => {
      const kindOf = (alarm: Resource) => String(alarm.properties.AlarmDescription).split('#').at(-1)!;
      const subjects = Map.groupBy(telling, kindOf);
      expect([...subjects.keys()].sort()).toEqual(Object.keys(alarmKinds).sort());
      for (const [kind, each] of subjects) {
        const isOfDatabase = each.some(({ properties }) =>
          String(properties.AlarmName).includes('-database-database-'),
        );
        const ofKind = FIFO_ALARM_KINDS.includes(kind) ? workloadNames.filter((name) => workloads[name].fifo) : workers;
        const names = isOfDatabase ? ['database'] : ofKind;
        expect(each.map(({ properties }) => properties.AlarmName).sort()).toEqual(
          names.map((name) => `sluice-${stage}-${name}-${kind}`).sort(),
        );
      }
    });
  });

  describe('a metric', () => {
    const used = [...alarms.flatMap(metricsOfAlarm), ...of('AWS::CloudWatch::Dashboard').flatMap(metricsOfDashboard)];
    const written = writtenBy(workers, stage);

    test('is looked at by every alarm that is not made of others', () => {
      const blind = of('AWS::CloudWatch::Alarm').filter((alarm) => metricsOfAlarm(alarm).length === 0);
      expect(blind.map(({ id }) => id)).toEqual([]);
    });

    test('of AWS is one that AWS reports, about a resource that is in the templates', () => {
      const wrong = used.filter(({ namespace, name, dimensions, stack }) => {
        if (!namespace.startsWith('AWS/')) return false;
        const known = Object.entries(AWS_METRICS).find(([each]) => each === namespace)?.[1];
        const [[dimension, value] = [], ...others] = Object.entries(dimensions);
        return !(
          known?.names.some((each) => each === name) &&
          dimension === known.dimension &&
          others.length === 0 &&
          referred(stack, value)?.type === known.type
        );
      });
      expect(wrong).toEqual([]);
    });

    test('of a worker is one that a worker of that name and stage writes', () => {
      const own = used.filter(({ namespace }) => !namespace.startsWith('AWS/'));
      expect(own.length).toBeGreaterThan(0);
      const wrong = own.filter(({ namespace, name, dimensions }) => !written.has(keyOf(namespace, name, dimensions)));
      expect(wrong).toEqual([]);
    });

    test.each(workers)('of %s is told by the name that its fleet has', (worker) => {
      const entry = readFileSync(new URL(`../../workers/${worker}/main.ts`, import.meta.url), 'utf8');
      expect(entry).toContain(`await runWorker({\n  name: '${worker}',\n`);
      const { STAGE } = fleets.find(({ variables }) => variables.FLEET_NAME === worker)!.variables;
      expect(STAGE).toBe(stage);
    });

    test.each(workers)('of what %s is made of, and of nothing else, is looked at for it', (worker) => {
      const ofWorker = used.filter(({ where, stack }) => {
        return stack.endsWith('-monitoring') && watchedBy(named(stack, where)!) === worker;
      });
      const about = ofWorker.map(({ stack, dimensions }) => {
        const { QueueName: queue, AutoScalingGroupName: group, worker: name } = dimensions;
        if (queue !== undefined) return referred(stack, queue)?.properties.QueueName;
        return group === undefined ? name : fleetOf(referred(stack, group)!);
      });
      const suffix = about.some((each) => String(each).endsWith('.fifo')) ? '.fifo' : '';
      const queueName = `sluice-${stage}-${worker}`;
      expect([...new Set(about)].sort()).toEqual([worker, `${queueName}${suffix}`, `${queueName}-dlq${suffix}`].sort());
      const letters = ofWorker.filter(({ where }) => /DeadLettersWait/.test(where));
      expect(
        letters.map(({ stack, dimensions }) => referred(stack, dimensions.QueueName)?.properties.QueueName),
      ).toEqual(letters.map(() => `${queueName}-dlq${suffix}`));
      expect(letters.length).toBeGreaterThan(0);
    });

    test('of a group is one that the group reports', () => {
      for (const { properties } of of('AWS::AutoScaling::AutoScalingGroup')) {
        // Without names it reports all of them.
        expect(properties.MetricsCollection).toEqual([{ Granularity: '1Minute' }]);
      }
    });
  });

  describe('a dashboard', () => {
    test.each(workers)('is there for %s, and shows what it has to', (worker) => {
      const dashboards = of('AWS::CloudWatch::Dashboard').filter(
        ({ properties }) => properties.DashboardName === `sluice-${stage}-${worker}`,
      );
      expect(dashboards).toHaveLength(1);
      const shown = metricsOfDashboard(dashboards[0]!).map(({ name }) => name);
      expect(shown).toEqual(
        expect.arrayContaining([
          'ApproximateNumberOfMessagesVisible',
          'ApproximateAgeOfOldestMessage',
          'ApproximateNumberOfMessagesNotVisible',
          'GroupInServiceInstances',
          'NumberOfMessagesDeleted',
          'rejected',
        ]),
      );
      expect(bodyOf(dashboards[0]!)).toContain('time to drain');
    });
  });

  describe('the topic of alarms', () => {
    const topics = of('AWS::SNS::Topic');

    test('is one', () => {
      expect(topics).toHaveLength(1);
    });

    test.each(topics)('has a key that rotates and that encrypts nothing else: $id', (topic) => {
      const key = referred(topic.stack, topic.properties.KmsMasterKeyId);
      expect(key).toMatchObject({ type: 'AWS::KMS::Key', properties: { EnableKeyRotation: true } });
      const users = resources.filter(({ stack, properties }) =>
        [...valuesIn(properties)].some(({ value }) => referred(stack, value) === key),
      );
      expect(users).toEqual([topic]);
    });

    test.each([...topics, ...of('AWS::KMS::Key')])('lets CloudWatch in for this account alone: $id', (resource) => {
      const policies =
        resource.type === 'AWS::KMS::Key'
          ? [resource]
          : of('AWS::SNS::TopicPolicy').filter(({ stack }) => stack === resource.stack);
      const statements = policies.flatMap(statementsOf).filter(({ Principal: principal }) => {
        return JSON.stringify(principal)?.includes('cloudwatch.amazonaws.com') ?? false;
      });
      if (resource.type === 'AWS::SNS::Topic') expect(statements).toHaveLength(1);
      for (const statement of statements) {
        expect(statement.Condition).toEqual({ StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } });
      }
    });

    test.each(topics)('denies whatever comes without TLS: $id', (topic) => {
      expect(of('AWS::SNS::TopicPolicy').flatMap(statementsOf)).toContainEqual(
        expect.objectContaining({
          Effect: 'Deny',
          Action: ['sns:Publish'],
          Principal: '*',
          Resource: { Ref: topic.id },
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      );
    });
  });

  describe('the lines of a worker', () => {
    const logGroupOf = (variables: Record<string, unknown>) =>
      of('AWS::Logs::LogGroup').find(({ properties }) => properties.LogGroupName === variables.FLEET_LOG_GROUP);

    test.each(fleets)('go where its agent reads them: $template.id', ({ script }) => {
      const file = /^StandardOutput=append:(\S+)$/m.exec(
        fileIn(script, '/etc/systemd/system/sluice-worker.service'),
      )?.[1];
      expect(file).toMatch(/^\/var\/log\//);
      expect(agentConfiguration(script).logs.logs_collected.files.collect_list).toEqual([
        { file_path: file, log_group_name: `\${FLEET_LOG_GROUP}`, log_stream_name: '{instance_id}' },
      ]);
      expect(script).toContain(` -a fetch-config -m ec2 -s -c file:/etc/sluice/log-agent.json\n`);
    });

    test.each(fleets)('are in a file that the agent may read and others may not: $template.id', ({ script }) => {
      const reader = agentConfiguration(script).agent.run_as_user;
      const [folder, file] = ['--directory --owner=root', '--owner=root'].map((start) =>
        [...script.matchAll(/^install (.+)$/gm)].map(([, rest]) => rest!).find((rest) => rest.startsWith(start)),
      );
      expect(folder).toBe(`--directory --owner=root --group=${reader} --mode=0750 /var/log/sluice`);
      expect(file).toBe(`--owner=root --group=${reader} --mode=0640 /dev/null /var/log/sluice/worker.log`);
      // The package makes user and group, and the file is there before either opens it.
      const order = ['amazon-cloudwatch-agent', folder!, file!, '-a fetch-config', '--no-block sluice-worker.service'];
      expect(order.map((part) => script.indexOf(part))).toEqual(
        order.map((part) => script.indexOf(part)).sort(byNumber),
      );
      expect(order.map((part) => script.indexOf(part))).not.toContain(-1);
    });

    test.each(fleets)(
      'leave the instance to the last one, since its agent stops after it: $template.id',
      ({ script }) => {
        const unit = fileIn(script, '/etc/systemd/system/sluice-worker.service');
        expect(unit).toMatch(/^After=(.* )?amazon-cloudwatch-agent\.service$/m);
      },
    );

    test.each(fleets)('are cut off before they fill the disk: $template.id', ({ script }) => {
      const unit = fileIn(script, '/etc/systemd/system/sluice-worker.service');
      const file = /^StandardOutput=append:(\S+)$/m.exec(unit)?.[1];
      const rotation = fileIn(script, '/etc/sluice/log-rotation.conf');
      expect(rotation.split('\n')[0]).toBe(`${file} {`);
      // systemd holds the file open: renamed, it would grow on.
      expect(rotation).toContain('copytruncate');
      expect(rotation).toMatch(/^ {2}size 32M$/m);
      expect(rotation).toMatch(/^ {2}rotate 1$/m);
      expect(fileIn(script, '/etc/systemd/system/sluice-log-rotation.service')).toContain(
        ' /etc/sluice/log-rotation.conf\n',
      );
      expect(fileIn(script, '/etc/systemd/system/sluice-log-rotation.timer')).toMatch(/^OnUnitActiveSec=1min$/m);
      expect(script).toContain('\nsystemctl enable --now sluice-log-rotation.timer\n');
    });

    test.each(fleets)('reach a log group that is encrypted and has an end: $template.id', ({ variables }) => {
      const group = logGroupOf(variables);
      const days = configurationOf(stage).watching.workerLogRetentionDays;
      expect(group?.properties).toMatchObject({ RetentionInDays: days });
      const key = referred(group!.stack, group!.properties.KmsKeyId);
      expect(key?.properties).toMatchObject({ EnableKeyRotation: true });
      const forThisGroup = statementsOf(key!).filter((statement) =>
        JSON.stringify(statement.Condition)?.includes(`:log-group:${String(variables.FLEET_LOG_GROUP)}"`),
      );
      expect(forThisGroup).toHaveLength(1);
      expect(JSON.stringify(forThisGroup[0]!.Principal)).toContain('"logs."');
    });

    test.each(fleets)('may be written to that group and to no other: $template.id', ({ template, variables }) => {
      const profile = [...valuesIn(template.properties)].find(({ key }) => key === 'IamInstanceProfile')?.value;
      const arn = z.object({ Arn: z.unknown() }).parse(profile).Arn;
      const roles = z.array(z.unknown()).parse(referred(template.stack, arn)?.properties.Roles);
      const role = referred(template.stack, roles[0]);
      const policies = of('AWS::IAM::Policy').filter(({ stack, properties }) =>
        z
          .array(z.unknown())
          .parse(properties.Roles)
          .some((each) => referred(stack, each) === role),
      );
      const logging = policies
        .flatMap(statementsOf)
        .filter(({ Action: actions }) => actions.some((action) => /^(logs|cloudwatch):/.test(action)));
      expect(logging).toEqual([
        {
          Effect: 'Allow',
          Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
          Resource: { 'Fn::GetAtt': [logGroupOf(variables)!.id, 'Arn'] },
        },
      ]);
    });

    test.each(fleets)('have their group before the first instance boots: $template.id', ({ template, variables }) => {
      expect(
        z.looseObject({ DependsOn: z.array(z.string()) }).parse(templates[template.stack]!.Resources[template.id])
          .DependsOn,
      ).toContain(logGroupOf(variables)!.id);
    });
  });
});

describe('the runbook', () => {
  const sections = new Map(
    [...operations.matchAll(/^### ([a-z]+(?:-[a-z]+)+)\n(.*?)(?=^#{2,3} |(?![\s\S]))/gms)].map(([, kind, text]) => [
      kind!,
      text!,
    ]),
  );

  test('has a section for every kind of alarm, and none for another', () => {
    expect([...sections.keys()].sort()).toEqual(Object.keys(alarmKinds).sort());
  });

  test.each(Object.entries(alarmKinds))(
    'says of %s what it means, where to look and what to do',
    (kind, { severity }) => {
      const text = sections.get(kind) ?? '';
      expect(text).toMatch(new RegExp(`^\\n\\*\\*Means\\*\\* \\(${severity}\\): `));
      expect(text).toMatch(/^\*\*Look\*\*: /m);
      expect(text).toMatch(/^\*\*Do\*\*: /m);
    },
  );
});

describe('who is told', () => {
  test.each([[[]], [['one@example.com', 'other@example.com']]])('are those of the configuration: %p', (alarmEmails) => {
    const { stage, ...candidate } = structuredClone(configurationOf('dev'));
    const { resources } = synthesized((app) => {
      buildApp(app, checkedConfiguration(stage, { ...candidate, watching: { ...candidate.watching, alarmEmails } }));
    });
    const subscriptions = resources.filter(({ type }) => type === 'AWS::SNS::Subscription');
    expect(subscriptions.map(({ properties }) => [properties.Protocol, properties.Endpoint])).toEqual(
      alarmEmails.map((email) => ['email', email]),
    );
  });
});

function statementsOf({ properties }: Resource): z.infer<typeof statementSchema>[] {
  return [...valuesIn(properties)].flatMap(({ value }) => statementSchema.safeParse(value).data ?? []);
}

/** What the script writes to a file. */
function fileIn(script: string, path: string): string {
  const [, start] = script.split(`\ncat > ${path} <<'`);
  const [, word = '', text = ''] = /^(\w+)'\n(.*)$/s.exec(start ?? '') ?? [];
  return text.split(`\n${word}\n`)[0]!.concat('\n');
}

function agentConfiguration(script: string): z.infer<typeof agentSchema> {
  return agentSchema.parse(JSON.parse(fileIn(script, '/etc/sluice/log-agent.json')));
}

function byNumber(one: number, other: number): number {
  return one - other;
}
