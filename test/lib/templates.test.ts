/** What holds over every template of every stage, so that a resource added by copying inherits it. */
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { stageNames } from '../../lib/config.ts';
import { constructId, workloadNames, workloads } from '../../lib/workloads.ts';
import { type Resource, synthesizedStage, valuesIn } from './synthesized.ts';

/** A wildcard is allowed here and nowhere else; what is not one string is matched as JSON. */
const wildcardsAllowed: readonly {
  type: string;
  id: RegExp;
  action?: string;
  resource: string | RegExp;
  reason: string;
}[] = [
  {
    type: 'AWS::KMS::Key',
    id: /./,
    action: 'kms:*',
    resource: '*',
    reason: 'the account administers its own key, or nobody could; in a key policy * means that key',
  },
  {
    type: 'AWS::IAM::Policy',
    id: /FleetRoleDefaultPolicy/,
    resource: /:autoScalingGroup:\*:autoScalingGroupName\/sluice-[a-z0-9-]+"\]\]\}$/,
    reason: 'AWS gives every group an id that stands before its name; the name, which nothing else has, is exact',
  },
  {
    type: 'AWS::EC2::VPCEndpoint',
    id: /./,
    resource: '*',
    reason: "its policy names actions and this account's own resources by condition; which of them, each role says",
  },
  {
    type: 'AWS::EC2::VPCEndpoint',
    id: /./,
    resource: /:s3:::.*(cdk-hnb659fds-assets-.*|-de612dc2|cloudformation-custom-resource-response-.*)\/\*"\]\]\}$/,
    reason: 'objects have the names that their content, AWS or CloudFormation gives them; the buckets are exact',
  },
  {
    type: 'AWS::IAM::Role',
    id: /^StoreMonitoringRole/,
    resource: /:log-group:RDSOSMetrics:log-stream:\*"\]\]\}$/,
    reason: 'RDS names the streams of its own log group, one for each database',
  },
  {
    type: 'AWS::IAM::Policy',
    id: /^MigrationRole/,
    resource: '*',
    reason: 'Lambda makes the network interface of a function with its rights; the same policy denies them to its code',
  },
];

const getAttSchema = z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.string()]) });
const refSchema = z.object({ Ref: z.string() });
const oneOrMore = z.union([z.array(z.unknown()), z.unknown().transform((one) => [one])]);
const statementSchema = z.looseObject({
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMore.optional(),
  Resource: oneOrMore.optional(),
  Principal: z.unknown().optional(),
  Condition: z.unknown().optional(),
});
const fleetSchema = z.object({
  'Fn::Base64': z.object({ 'Fn::Sub': z.tuple([z.string(), z.record(z.string(), z.unknown())]) }),
});
const redriveSchema = z.object({ deadLetterTargetArn: getAttSchema, maxReceiveCount: z.number() });

describe.each(stageNames)('every template of stage %s', (stage) => {
  const { resources } = synthesizedStage(stage);
  const of = (type: string) => resources.filter((resource) => resource.type === type);
  const named = (stack: string, id: string) =>
    resources.find((resource) => resource.stack === stack && resource.id === id)!;

  const queues = of('AWS::SQS::Queue');
  /** Each queue that has a dead-letter queue, and that. */
  const redrives = queues.flatMap((source) => {
    if (source.properties.RedrivePolicy === undefined) return [];
    const { deadLetterTargetArn } = redriveSchema.parse(source.properties.RedrivePolicy);
    return [{ source, deadLetterQueue: named(source.stack, deadLetterTargetArn['Fn::GetAtt'][0]) }];
  });

  describe('has queues', () => {
    test('and they are one for each workload, with a dead-letter queue each', () => {
      const names = workloadNames.flatMap((name) => {
        const suffix = workloads[name].fifo ? '.fifo' : '';
        return [`sluice-${stage}-${name}${suffix}`, `sluice-${stage}-${name}-dlq${suffix}`];
      });
      expect(queues.map(({ properties }) => properties.QueueName).sort()).toEqual(names.sort());
    });

    test.each(queues)('that are encrypted with a key that rotates: $id', ({ stack, properties }) => {
      const [key] = getAttSchema.parse(properties.KmsMasterKeyId)['Fn::GetAtt'];
      expect(named(stack, key)).toMatchObject({ type: 'AWS::KMS::Key', properties: { EnableKeyRotation: true } });
    });

    test.each(queues)('that deny whatever comes without TLS: $id', (queue) => {
      const policies = of('AWS::SQS::QueuePolicy').filter(
        ({ stack, properties }) =>
          stack === queue.stack &&
          z
            .array(refSchema)
            .parse(properties.Queues)
            .some(({ Ref }) => Ref === queue.id),
      );
      expect(policies.flatMap(statementsOf)).toContainEqual(
        expect.objectContaining({
          Effect: 'Deny',
          Action: ['sqs:*'],
          Principal: { AWS: '*' },
          Resource: [{ 'Fn::GetAtt': [queue.id, 'Arn'] }],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      );
    });

    test.each(queues)('that have a dead-letter queue or are one: $id', (queue) => {
      expect(
        redrives.filter(({ source, deadLetterQueue }) => source === queue || deadLetterQueue === queue),
      ).toHaveLength(1);
    });

    test.each(queues)('that are long-polled, and lease for at least 60 s: $id', ({ properties }) => {
      expect(properties.ReceiveMessageWaitTimeSeconds).toBe(20);
      expect(properties.VisibilityTimeout).toBeGreaterThanOrEqual(60);
    });

    test.each(queues.filter(({ properties }) => properties.FifoQueue === true))(
      'that, when FIFO, count throughput and duplicates by message group: $id',
      ({ properties }) => {
        expect(properties).toMatchObject({
          ContentBasedDeduplication: false,
          DeduplicationScope: 'messageGroup',
          FifoThroughputLimit: 'perMessageGroupId',
        });
      },
    );

    test.each(redrives)('whose dead letters come from nowhere else: $source.id', ({ source, deadLetterQueue }) => {
      expect(deadLetterQueue.properties.RedriveAllowPolicy).toMatchObject({
        redrivePermission: 'byQueue',
        sourceQueueArns: [{ 'Fn::Join': ['', expect.arrayContaining([`:${source.properties.QueueName}`])] }],
      });
      expect(deadLetterQueue.properties.FifoQueue).toBe(source.properties.FifoQueue);
    });

    test.each(redrives)('that keep 4 days, 14 as dead letters, after 5 receives: $source.id', (redrive) => {
      const dayInSeconds = 24 * 60 * 60;
      expect(redrive.source.properties.MessageRetentionPeriod).toBe(4 * dayInSeconds);
      expect(redrive.deadLetterQueue.properties.MessageRetentionPeriod).toBe(14 * dayInSeconds);
      expect(redrive.source.properties.RedrivePolicy).toMatchObject({ maxReceiveCount: 5 });
    });
  });

  describe('has policies', () => {
    const statements = resources.flatMap((resource) =>
      statementsOf(resource).map((statement) => ({ where: `${resource.stack}/${resource.id}`, resource, statement })),
    );
    const allowing = statements.filter(({ statement }) => statement.Effect === 'Allow');

    test.each(statements)('that say what they mean, not what they do not: $where', ({ statement }) => {
      expect(Object.keys(statement).filter((key) => key.startsWith('Not'))).toEqual([]);
    });

    test.each(allowing)('that allow no wildcard without a reason: $where', ({ resource, statement }) => {
      const allowed = wildcardsAllowed.filter(({ type, id }) => type === resource.type && id.test(resource.id));
      const actions = (statement.Action ?? []).filter((action) => String(action).includes('*'));
      const on = (statement.Resource ?? []).filter((one) =>
        [...valuesIn(one)].some(({ value }) => String(value).includes('*')),
      );
      expect(actions.filter((action) => !allowed.some((entry) => entry.action === action))).toEqual([]);
      expect(on.filter((one) => !allowed.some((entry) => isMatch(one, entry.resource)))).toEqual([]);
    });

    // The policy of an endpoint names accounts by condition, which stages.test.ts looks at.
    const elsewhere = allowing.filter(({ resource }) => resource.type !== 'AWS::EC2::VPCEndpoint');
    test.each(elsewhere)('that let in nobody unnamed: $where', ({ statement }) => {
      expect([...valuesIn(statement.Principal)].map(({ value }) => value)).not.toContain('*');
    });

    test('and no managed policies, which say more than a worker needs', () => {
      const managed = resources.filter(({ properties }) => properties.ManagedPolicyArns !== undefined);
      expect(managed.map(({ id }) => id)).toEqual([]);
    });

    test.each(workloadNames)('that let a worker of %s do what it does', (fleet) => {
      const id = constructId(fleet);
      const policy = of('AWS::IAM::Policy').find((resource) => resource.id.startsWith(`${id}FleetRole`));
      const granted = statementsOf(policy!).map(({ Action, Resource }) => [Action, JSON.stringify(Resource)]);
      expect(granted).toEqual([
        [
          ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility', 'sqs:GetQueueAttributes'].sort(),
          expect.stringContaining(`GetAtt${id}Queue`),
        ],
        [['sqs:GetQueueAttributes', 'sqs:SendMessage'], expect.stringContaining(`GetAtt${id}DeadLetterQueue`)],
        [['kms:Decrypt', 'kms:GenerateDataKey'], expect.stringContaining('GetAttQueueKey')],
        [['rds-db:connect'], expect.stringMatching(/:dbuser:.*DbiResourceId.*\/sluice_worker/)],
        [['s3:GetObject'], expect.stringMatching(/cdk-hnb659fds-assets.*\/[0-9a-f]{64}\.zip/)],
        [['logs:CreateLogStream', 'logs:PutLogEvents'], expect.stringContaining(`GetAtt":["${id}FleetLogGroup`)],
        [
          ['autoscaling:CompleteLifecycleAction', 'autoscaling:RecordLifecycleActionHeartbeat'],
          expect.stringContaining(`:autoScalingGroup:*:autoScalingGroupName/sluice-${stage}-${fleet}"`),
        ],
      ]);
    });
  });

  describe('keeps what is stored', () => {
    test('encrypted on every volume of every instance', () => {
      const devices = of('AWS::EC2::LaunchTemplate').map(
        (template) => [...valuesIn(template.properties)].find(({ key }) => key === 'BlockDeviceMappings')?.value,
      );
      const encrypted = [
        expect.objectContaining({ Ebs: expect.objectContaining({ Encrypted: true, VolumeType: 'gp3' }) }),
      ];
      expect(devices).toEqual(workloadNames.map(() => encrypted));
      expect(of('AWS::EC2::Volume')).toEqual([]);
    });

    test('encrypted in every bucket', () => {
      const open = of('AWS::S3::Bucket').filter(({ properties }) => properties.BucketEncryption === undefined);
      expect(open).toEqual([]);
    });

    test.each(of('AWS::RDS::DBInstance'))('encrypted, private and behind TLS in the database: $id', (database) => {
      expect(database.properties).toMatchObject({
        Engine: 'postgres',
        EngineVersion: expect.stringMatching(/^18\./),
        StorageEncrypted: true,
        StorageType: 'gp3',
        PubliclyAccessible: false,
        ManageMasterUserPassword: true,
        EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
      });
      expect(database.properties).not.toHaveProperty('MasterUserPassword');
      const { Ref } = refSchema.parse(database.properties.DBParameterGroupName);
      expect(named(database.stack, Ref).properties.Parameters).toMatchObject({ 'rds.force_ssl': '1' });
    });
  });

  describe('lets nobody in', () => {
    const values = resources.flatMap(({ id, properties }) =>
      [...valuesIn(properties)].map((found) => ({ id, ...found })),
    );

    test('from everywhere', () => {
      const rules = [
        ...of('AWS::EC2::SecurityGroupIngress').map(({ properties }) => properties),
        ...of('AWS::EC2::SecurityGroup').flatMap(({ properties }) =>
          z.array(z.record(z.string(), z.unknown())).parse(properties.SecurityGroupIngress ?? []),
        ),
      ];
      // Nodes of the endpoints let in the workers over HTTPS, the database lets in each fleet and the migration step.
      expect(rules.map(({ FromPort }) => FromPort).sort()).toEqual([
        443,
        ...[...workloadNames, 'schema'].map(() => 5432),
      ]);
      for (const rule of rules) {
        expect(rule).toMatchObject({ IpProtocol: 'tcp', ToPort: rule.FromPort, SourceSecurityGroupId: {} });
        expect(rule).not.toHaveProperty('CidrIp');
        expect(rule).not.toHaveProperty('CidrIpv6');
      }
    });

    test('through the default security group of the VPC, which nothing is in', () => {
      expect(values.filter(({ value }) => value === 'DefaultSecurityGroup')).toEqual([]);
    });

    test.each(of('AWS::EC2::LaunchTemplate'))('onto an instance: $id', ({ properties }) => {
      expect(properties.LaunchTemplateData).toMatchObject({
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
      });
      expect(properties.LaunchTemplateData).not.toHaveProperty('KeyName');
    });

    test('with a secret that stands in the template', () => {
      const secretLooking = values.filter(
        ({ key, value }) =>
          typeof value === 'string' &&
          ((/passw|secret|token|credential|private_?key|api_?key/i.test(key) && key !== 'HttpTokens') ||
            /AKIA[0-9A-Z]{16}|-----BEGIN|:\/\/[^/\s]*:[^/\s]*@|\{\{resolve:/.test(value)),
      );
      expect(secretLooking).toEqual([]);
    });
  });

  describe('has fleets', () => {
    const fleets = of('AWS::EC2::LaunchTemplate').map(({ id, properties }) => {
      const userData = z.looseObject({ UserData: fleetSchema }).parse(properties.LaunchTemplateData).UserData;
      const [script, variables] = userData['Fn::Base64']['Fn::Sub'];
      return { id, script, variables };
    });
    const groups = of('AWS::AutoScaling::AutoScalingGroup');

    test.each(fleets)('whose script refers to every variable, and to nothing else: $id', ({ script, variables }) => {
      const referred = [...script.matchAll(/\$\{(?!!)([^}]*)\}/g)].map((match) => match[1]!);
      expect([...new Set(referred)].sort()).toEqual(Object.keys(variables).sort());
    });

    test.each(fleets)('whose variables are those of the contract: $id', ({ variables }) => {
      expect(Object.keys(variables)).toEqual([
        'FLEET_NAME',
        'FLEET_ENTRY',
        'FLEET_BUNDLE_BUCKET',
        'FLEET_BUNDLE_KEY',
        'FLEET_GROUP',
        'FLEET_LAUNCH_HOOK',
        'FLEET_TERMINATION_HOOK',
        'FLEET_LOG_GROUP',
        'FLEET_MINIMUM',
        'FLEET_MAXIMUM',
        'AWS_REGION',
        'DEAD_LETTER_QUEUE_URL',
        'DRAIN_SECONDS',
        'LOG_LEVEL',
        'NODE_OPTIONS',
        'PGDATABASE',
        'PGHOST',
        'PGPORT',
        'PGSSLMODE',
        'PGUSER',
        'QUEUE_URL',
        'STAGE',
      ]);
    });

    test.each(groups)('that have the limits that their variables say: $id', ({ id, properties }) => {
      const fleet = fleets.find(({ variables }) =>
        id.startsWith(`${constructId(String(variables.FLEET_NAME))}FleetGroup`),
      );
      expect([fleet?.variables.FLEET_MINIMUM, fleet?.variables.FLEET_MAXIMUM]).toEqual([
        properties.MinSize,
        properties.MaxSize,
      ]);
      // A desired capacity would undo at every deploy what a backlog has asked for.
      expect(properties).not.toHaveProperty('DesiredCapacity');
    });
  });
});

function isMatch(value: unknown, pattern: string | RegExp): boolean {
  return typeof pattern === 'string' ? value === pattern : pattern.test(JSON.stringify(value));
}

type Statement = z.infer<typeof statementSchema>;

function statementsOf(resource: Resource): Statement[] {
  return [...valuesIn(resource.properties)].flatMap(({ value }) => {
    const statement = statementSchema.safeParse(value);
    return statement.success ? [statement.data] : [];
  });
}
