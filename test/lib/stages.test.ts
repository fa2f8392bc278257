/** What a stage is made of beyond its workloads: the way to AWS's services, and what differs between stages. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { CfnResource, TagManager } from 'aws-cdk-lib';
import { z } from 'zod';
import { configurationOf } from '../../lib/config.ts';
import { logAgentConfiguration } from '../../lib/constructs/log-agent.ts';
import { CALLED_SERVICES } from '../../lib/constructs/service-endpoints.ts';
import { checkedConfiguration, type StageConfiguration } from '../../lib/settings.ts';
import { constructId, workloadNames } from '../../lib/workloads.ts';
import { type BuiltStage, builtStage, networkAlone } from './built-stage.ts';
import { idleCost, priceList, quantitiesOf, totalUsd } from './idle-cost.ts';
import { stageDocuments } from './stage-documents.ts';
import { type Resource, type Synthesized, valuesIn } from './synthesized.ts';

/** A stage that is not in the repository: one object, as anybody would add it, with the other way out. */
const staging = stageWith('staging', { egress: 'nat', natGateways: 1 });

function stageWith(stage: string, egress: Record<string, unknown>): StageConfiguration {
  const { stage: _, network, ...settings } = structuredClone(configurationOf('prod'));
  const { cidr, availabilityZones, flowLogRetentionDays } = network;
  return checkedConfiguration(stage, {
    ...settings,
    network: { cidr, availabilityZones, flowLogRetentionDays, ...egress },
  });
}

const stages = [configurationOf('dev'), configurationOf('prod'), staging].map(builtStage);
const [dev, prod] = stages as [BuiltStage, BuiltStage, BuiltStage];
const of = ({ resources }: Synthesized, type: string) => resources.filter((resource) => resource.type === type);

const getAtt = (id: string) => ({ 'Fn::GetAtt': [expect.stringMatching(`^${id}[0-9A-F]{8}$`), 'GroupId'] });
const stringOrList = z.union([z.string().transform((one) => [one]), z.array(z.string())]);
const policySchema = z.object({
  Statement: z.array(z.looseObject({ Action: stringOrList, Resource: z.unknown(), Condition: z.unknown().optional() })),
});
const ownAccount = {
  StringEquals: { 'aws:PrincipalAccount': { Ref: 'AWS::AccountId' }, 'aws:ResourceAccount': { Ref: 'AWS::AccountId' } },
};

describe.each(stages)('the network of stage $stage', ({ configuration: { stage, network }, app }) => {
  const groups = of(app, 'AWS::EC2::SecurityGroup');
  const rules = (direction: 'Ingress' | 'Egress') => [
    ...of(app, `AWS::EC2::SecurityGroup${direction}`).map(({ properties }) => properties),
    ...groups.flatMap(({ properties }) =>
      z.array(z.looseObject({})).parse(properties[`SecurityGroup${direction}`] ?? []),
    ),
  ];
  const endpoints = of(app, 'AWS::EC2::VPCEndpoint').filter(
    ({ properties }) => properties.VpcEndpointType === 'Interface',
  );
  const zoneOf = ({ properties }: Resource) => properties.AvailabilityZone;

  test('has its subnets in two zones, of which each kind has one', () => {
    const zones = [0, 1].map((zone) => ({ 'Fn::Select': [zone, { 'Fn::GetAZs': '' }] }));
    expect(
      of(app, 'AWS::EC2::Subnet')
        .filter(({ id }) => id.startsWith('VpcWorkers'))
        .map(zoneOf),
    ).toEqual(zones);
    expect(
      of(app, 'AWS::EC2::Subnet')
        .filter(({ id }) => id.startsWith('VpcDatabase'))
        .map(zoneOf),
    ).toEqual(zones);
  });

  test('lets nobody in who is not in a named security group', () => {
    for (const rule of rules('Ingress')) {
      expect(rule).toMatchObject({ IpProtocol: 'tcp', SourceSecurityGroupId: expect.anything() });
      expect(Object.keys(rule).filter((key) => /^Cidr|PrefixList/.test(key))).toEqual([]);
    }
    // The database has one for each fleet and one for the migration step, the endpoints one.
    expect(
      rules('Ingress')
        .map(({ FromPort }) => FromPort)
        .sort(),
    ).toEqual([...(network.egress === 'nat' ? [] : [443]), ...Array(workloadNames.length + 1).fill(5432)]);
  });

  test('lets out to named security groups and to S3, and only through NAT to anywhere', () => {
    const open = rules('Egress').filter(({ CidrIp, CidrIpv6 }) => CidrIp === '0.0.0.0/0' || CidrIpv6 !== undefined);
    expect(open).toEqual(
      network.egress === 'nat'
        ? [
            {
              CidrIp: '0.0.0.0/0',
              Description: 'AWS services, through NAT',
              FromPort: 443,
              IpProtocol: 'tcp',
              ToPort: 443,
            },
          ]
        : [],
    );
  });

  test.each(groups)(
    'has no security group without a rule of its own for what goes out, which would let out all: $id',
    ({ properties }) => {
      expect(properties.SecurityGroupEgress).toEqual([
        expect.objectContaining({ IpProtocol: expect.not.stringMatching('-1') }),
      ]);
    },
  );

  test('has a way out as the switch says', () => {
    const count = (type: string) => of(app, type).length;
    const outwards = of(app, 'AWS::EC2::Route').map(({ properties }) => properties.DestinationCidrBlock);
    if (network.egress === 'nat') {
      expect([count('AWS::EC2::NatGateway'), endpoints.length]).toEqual([network.natGateways, 0]);
      expect(outwards).toEqual(['0.0.0.0/0', '0.0.0.0/0', '0.0.0.0/0', '0.0.0.0/0']);
    } else {
      expect([count('AWS::EC2::NatGateway'), count('AWS::EC2::InternetGateway'), outwards.length]).toEqual([0, 0, 0]);
      expect(endpoints).toHaveLength(CALLED_SERVICES.length);
    }
  });

  test('has endpoints that answer the names of their services, to callers of this account alone', () => {
    const zones = network.egress === 'endpoints' ? network.endpointZones : 0;
    for (const { properties } of endpoints) {
      expect(properties).toMatchObject({
        PrivateDnsEnabled: true,
        SecurityGroupIds: [getAtt('EndpointsSecurityGroup')],
        SubnetIds: Array(zones).fill({ Ref: expect.stringMatching(/^VpcWorkersSubnet/) }),
      });
      const { Statement } = policySchema.parse(properties.PolicyDocument);
      expect(Statement).toEqual([expect.objectContaining({ Condition: ownAccount })]);
    }
  });

  test('lets read bundles and packages and answer CloudFormation through the gateway of S3, and nothing else', () => {
    const [gateway, ...others] = of(app, 'AWS::EC2::VPCEndpoint').filter(({ id }) => id.startsWith('VpcS3'));
    expect(others).toEqual([]);
    const { Statement } = policySchema.parse(gateway!.properties.PolicyDocument);
    const bundleBuckets = valuesOf(app, 'FLEET_BUNDLE_BUCKET');
    expect(new Set(bundleBuckets.map((bucket) => JSON.stringify(bucket))).size).toBe(1);
    expect(Statement.map(({ Action, Resource, Condition }) => [Action, Resource, Condition])).toEqual([
      [
        ['s3:GetObject'],
        { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':s3:::', bundleBuckets[0], '/*']] },
        ownAccount,
      ],
      [
        ['s3:GetObject'],
        {
          'Fn::Join': [
            '',
            ['arn:', { Ref: 'AWS::Partition' }, ':s3:::al2023-repos-', { Ref: 'AWS::Region' }, '-de612dc2/*'],
          ],
        },
        undefined,
      ],
      [
        ['s3:PutObject'],
        {
          'Fn::Join': [
            '',
            [
              'arn:',
              { Ref: 'AWS::Partition' },
              ':s3:::cloudformation-custom-resource-response-',
              { 'Fn::Join': ['', { 'Fn::Split': ['-', { Ref: 'AWS::Region' }] }] },
              '/*',
            ],
          ],
        },
        undefined,
      ],
    ]);
    expect(gateway!.properties.RouteTableIds).toHaveLength(2);
  });

  test('puts every instance into the group that may call AWS', () => {
    const memberships = of(app, 'AWS::EC2::LaunchTemplate').map(
      ({ properties }) =>
        z.looseObject({ SecurityGroupIds: z.array(z.unknown()) }).parse(properties.LaunchTemplateData).SecurityGroupIds,
    );
    const imported = { 'Fn::ImportValue': expect.stringMatching(`^sluice-${stage}-network:.*Egress`) };
    expect(memberships).toEqual(
      workloadNames.map((name) => [getAtt(`${constructId(name)}FleetSecurityGroup`), imported]),
    );
  });

  test('puts every function that is in it into the group that may call AWS', () => {
    const inNetwork = of(app, 'AWS::Lambda::Function').flatMap(({ properties: { VpcConfig } }) => VpcConfig ?? []);
    for (const configured of inNetwork) {
      expect(JSON.stringify(configured)).toContain(`"sluice-${stage}-network:ExportsOutputFnGetAttEgress`);
    }
  });

  test('logs what goes through it, encrypted and for as long as configured, by a role that can do only that', () => {
    const [group] = of(app, 'AWS::Logs::LogGroup').filter(({ stack }) => stack.endsWith('-network'));
    expect(group!.properties).toMatchObject({
      LogGroupName: `/sluice/${stage}/network`,
      RetentionInDays: network.flowLogRetentionDays,
      KmsKeyId: { 'Fn::GetAtt': [expect.stringMatching(/^FlowLogKey/), 'Arn'] },
    });
    expect(of(app, 'AWS::EC2::FlowLog').map(({ properties }) => properties)).toEqual([
      expect.objectContaining({ ResourceType: 'VPC', TrafficType: 'ALL', LogGroupName: { Ref: group!.id } }),
    ]);
    const [role] = of(app, 'AWS::IAM::Role').filter(({ stack }) => stack.endsWith('-network'));
    expect(JSON.stringify(role!.properties.AssumeRolePolicyDocument)).toContain(
      '"Condition":{"StringEquals":{"aws:SourceAccount":{"Ref":"AWS::AccountId"}},"ArnLike":{"aws:SourceArn":',
    );
    const [policy] = of(app, 'AWS::IAM::Policy').filter(({ stack }) => stack.endsWith('-network'));
    const granted = policySchema.parse(policy!.properties.PolicyDocument).Statement;
    expect(granted.map(({ Action, Resource }) => [Action, Resource])).toEqual([
      [['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'], { 'Fn::GetAtt': [group!.id, 'Arn'] }],
    ]);
    expect(role!.id).toMatch(/^FlowLogRole/);
  });
});

describe('the switch between endpoints and NAT', () => {
  test('keeps every subnet of workers and database where it is', () => {
    const subnetsOf = (egress: Record<string, unknown>) =>
      of(networkAlone(stageWith('staging', egress).network), 'AWS::EC2::Subnet')
        .filter(({ id }) => !id.startsWith('VpcPublic'))
        .map(({ id, properties: { CidrBlock, AvailabilityZone } }) => ({ id, CidrBlock, AvailabilityZone }));
    expect(subnetsOf({ egress: 'endpoints', endpointZones: 1 })).toEqual(subnetsOf({ egress: 'nat', natGateways: 2 }));
  });
});

describe.each(stages)('stage $stage', ({ configuration, app, constructs, stacks }) => {
  test('has everything that takes tags tagged with its project and its stage', () => {
    const tagged = constructs.node
      .findAll()
      .filter(CfnResource.isCfnResource)
      .flatMap((resource) => TagManager.of(resource) ?? [])
      .map((tags) => tags.tagValues());
    expect(tagged.length).toBeGreaterThan(40);
    for (const tags of tagged) expect(tags).toMatchObject({ project: 'sluice', stage: configuration.stage });
  });

  test('hands its tags on to what its fleets launch', () => {
    const tags = [
      { Key: 'project', Value: 'sluice' },
      { Key: 'stage', Value: configuration.stage },
    ];
    for (const { properties } of of(app, 'AWS::EC2::LaunchTemplate')) {
      const data = z
        .looseObject({ TagSpecifications: z.array(z.looseObject({ ResourceType: z.string(), Tags: z.unknown() })) })
        .parse(properties.LaunchTemplateData);
      expect(data.TagSpecifications).toEqual(
        ['instance', 'volume'].map((ResourceType) => ({ ResourceType, Tags: expect.arrayContaining(tags) })),
      );
    }
  });

  test('protects the stacks with data from deletion where configured, and no other', () => {
    const protectedStacks = Object.entries(stacks).filter(([, { terminationProtection }]) => terminationProtection);
    expect(protectedStacks.map(([name]) => name)).toEqual(
      configuration.terminationProtection ? ['data', 'messaging'] : [],
    );
  });

  test('leaves behind of its data what is configured', () => {
    const policyOf = (type: string) => new Set(of(app, type).map(({ deletionPolicy }) => deletionPolicy));
    const { database, queueRemovalPolicy } = configuration;
    // What is kept is kept once it was made, and stands in nobody's way where it was not.
    const named = { destroy: 'Delete', snapshot: 'Snapshot', retain: 'RetainExceptOnCreate' } as const;
    expect([...policyOf('AWS::RDS::DBInstance')]).toEqual([named[database.removalPolicy]]);
    expect([...policyOf('AWS::SQS::Queue')]).toEqual([named[queueRemovalPolicy]]);
    // A group of a fixed name that stayed would stand in the way of the next deployment.
    expect([...policyOf('AWS::Logs::LogGroup')]).toEqual(['Delete']);
  });
});

describe('a month without work', () => {
  test('costs at most 75 US dollars in dev, and 7 for every workload beyond the two that come with it', () => {
    const lines = idleCost(dev.app);
    expect(lines.filter(({ usdPerMonth }) => usdPerMonth === undefined)).toEqual([]);
    expect(totalUsd(lines)).toBeLessThanOrEqual(75 + 7 * (workloadNames.length - 2));
  });

  test('has prices whose sources are named', () => {
    const sources = Object.keys(priceList.sources);
    const named = new Set(Object.values(priceList.prices).map(({ source }) => source));
    expect([...named].filter((source) => !sources.includes(source))).toEqual([]);
    expect(sources.filter((source) => !named.has(source) && source !== 'infratally')).toEqual([]);
  });

  test.each([
    ['a type of resource that nobody priced', { type: 'AWS::EKS::Cluster', properties: {} }, /AWS::EKS::Cluster/],
    [
      'a class of database that nobody priced',
      {
        type: 'AWS::RDS::DBInstance',
        properties: { DBInstanceClass: 'db.r8g.large', AllocatedStorage: '20', StorageType: 'gp3', MultiAZ: false },
      },
      /no price for database db.r8g.large in a zone/,
    ],
  ])('does not pass over %s', (_, resource, problem) => {
    const unpriced: Resource = { stack: 'stack', id: 'Unpriced', deletionPolicy: undefined, ...resource };
    expect(() => idleCost({ ...dev.app, resources: [unpriced] })).toThrow(problem);
  });

  test.each([
    ['db.t4g.medium', false, 2],
    ['db.m7g.large', true, 4],
    ['db.r7g.xlarge', false, 4],
    ['db.m7g.4xlarge', true, 32],
  ])('counts advanced insights of %s, standby: %p, by %i processors', (DBInstanceClass, MultiAZ, quantity) => {
    const properties = {
      DBInstanceClass,
      MultiAZ,
      AllocatedStorage: '20',
      StorageType: 'gp3',
      DatabaseInsightsMode: 'advanced',
    };
    const database: Resource = {
      stack: 'stack',
      id: 'Database',
      type: 'AWS::RDS::DBInstance',
      properties,
      deletionPolicy: undefined,
    };
    expect(Object.fromEntries(quantitiesOf(database, dev.app))).toMatchObject({
      'Database Insights, advanced, vCPU': quantity,
    });
  });

  test('counts an alarm once for each metric, a tracking policy as its two alarms, and a fleet by its minimum', () => {
    const resource = (type: string, properties: Record<string, unknown>): Resource => ({
      stack: 'stack',
      id: type,
      type,
      properties,
      deletionPolicy: undefined,
    });
    const stat = { MetricStat: { Metric: {} } };
    const template = {
      InstanceType: 'm7g.medium',
      BlockDeviceMappings: [{ Ebs: { VolumeType: 'gp3', VolumeSize: 8 } }],
    };
    const launch = { LaunchTemplate: { LaunchTemplateId: { Ref: 'AWS::EC2::LaunchTemplate' } } };
    const lines = idleCost({
      ...dev.app,
      resources: [
        resource('AWS::CloudWatch::Alarm', { MetricName: 'CPUUtilization' }),
        resource('AWS::CloudWatch::Alarm', { Metrics: [stat, stat, { Expression: 'a / b' }] }),
        resource('AWS::AutoScaling::ScalingPolicy', { TargetTrackingConfiguration: { Metrics: [stat] } }),
        resource('AWS::AutoScaling::ScalingPolicy', { StepAdjustments: [] }),
        resource('AWS::EC2::LaunchTemplate', { LaunchTemplateData: template }),
        resource('AWS::AutoScaling::AutoScalingGroup', { MinSize: '2', ...launch }),
      ],
    });
    expect(lines).toEqual([
      { what: 'instance m7g.medium', quantity: 2, usdPerMonth: 2 * 0.0408 * 730 },
      { what: 'volume gp3, GiB', quantity: 16, usdPerMonth: 16 * 0.08 },
      { what: 'metric of an alarm', quantity: 5, usdPerMonth: 0.1 * 5 },
      { what: 'custom metric', quantity: 14, usdPerMonth: 0.3 * 14 },
    ]);
  });
});

describe('what is made of templates and prices', () => {
  test.each(stageDocuments([dev, prod]))('stands in $path; otherwise run: npm run stages', ({ text, wanted }) => {
    expect(text).toBe(wanted);
  });
});

describe('the services that have an endpoint', () => {
  test('are those whose clients the workers import', () => {
    const sources = globSync('workers/**/*.ts').map((path) => readFileSync(path, 'utf8'));
    const imported = sources.flatMap((source) =>
      [...source.matchAll(/from '(@aws-sdk\/client-[^']+)'/g)].map(([, name]) => name),
    );
    const called = CALLED_SERVICES.flatMap(({ client }) => client ?? []);
    expect([...new Set(imported)].sort()).toEqual(called.sort());
  });

  test('let through exactly what the roles of instances and functions may do there', () => {
    const granted = grantedToCallers(prod.app);
    for (const { name, actions } of CALLED_SERVICES) {
      const service = actions[0]!.split(':')[0]!;
      expect([name, granted.filter((action) => action.startsWith(`${service}:`))]).toEqual([name, [...actions].sort()]);
    }
  });

  test('have Logs for the agent, which sends nothing else', () => {
    const configuration: unknown = JSON.parse(logAgentConfiguration());
    expect(Object.keys(Object(configuration))).toEqual(['agent', 'logs']);
  });
});

/** What the policies of the roles allow that instances and functions have. */
function grantedToCallers(app: Synthesized): string[] {
  const roles = of(app, 'AWS::IAM::Role').filter(({ properties }) =>
    /"(ec2|lambda)\.amazonaws\.com"/.test(JSON.stringify(properties.AssumeRolePolicyDocument)),
  );
  const policies = of(app, 'AWS::IAM::Policy').filter(({ properties }) =>
    roles.some(({ id }) => JSON.stringify(properties.Roles).includes(`"${id}"`)),
  );
  const actions = policies.flatMap(({ properties }) =>
    policySchema.parse(properties.PolicyDocument).Statement.flatMap(({ Action }) => Action),
  );
  return [...new Set(actions)].sort();
}

function valuesOf(app: Synthesized, name: string): unknown[] {
  return app.resources.flatMap(({ properties }) =>
    [...valuesIn(properties)].filter(({ key }) => key === name).map(({ value }) => value),
  );
}
