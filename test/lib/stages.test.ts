/** What a stage is made of beyond its workloads: the way to AWS's services, and what differs between stages. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { buildApp } from '../../lib/app.ts';
import { checkedConfiguration, configurationOf, type StageConfiguration } from '../../lib/config.ts';
import { logAgentConfiguration } from '../../lib/constructs/log-agent.ts';
import { CALLED_SERVICES } from '../../lib/constructs/service-endpoints.ts';
import { type Resource, type Synthesized, synthesized, valuesIn } from './synthesized.ts';

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

const stages = [configurationOf('dev'), configurationOf('prod'), staging].map((configuration) => ({
  stage: configuration.stage,
  configuration,
  app: synthesized((app) => {
    buildApp(app, configuration);
  }),
}));
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
    // The database has one for each fleet, and the endpoints one.
    expect(
      rules('Ingress')
        .map(({ FromPort }) => FromPort)
        .sort(),
    ).toEqual(network.egress === 'nat' ? [5432, 5432] : [443, 5432, 5432]);
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

  test('lets read bundles and packages through the gateway of S3, and nothing else', () => {
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
    ]);
    expect(gateway!.properties.RouteTableIds).toHaveLength(2);
  });

  test('puts every instance into the group that may call AWS', () => {
    const memberships = of(app, 'AWS::EC2::LaunchTemplate').map(
      ({ properties }) =>
        z.looseObject({ SecurityGroupIds: z.array(z.unknown()) }).parse(properties.LaunchTemplateData).SecurityGroupIds,
    );
    const imported = { 'Fn::ImportValue': expect.stringMatching(`^sluice-${stage}-network:.*Egress`) };
    expect(memberships).toEqual([
      [getAtt('OrdersFleetSecurityGroup'), imported],
      [getAtt('LedgerFleetSecurityGroup'), imported],
    ]);
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
      of(
        synthesized((app) => {
          buildApp(app, stageWith('staging', egress));
        }),
        'AWS::EC2::Subnet',
      )
        .filter(({ id }) => !id.startsWith('VpcPublic'))
        .map(({ id, properties: { CidrBlock, AvailabilityZone } }) => ({ id, CidrBlock, AvailabilityZone }));
    expect(subnetsOf({ egress: 'endpoints', endpointZones: 1 })).toEqual(subnetsOf({ egress: 'nat', natGateways: 2 }));
  });
});

describe('the services that have an endpoint', () => {
  const prod = stages.find(({ stage }) => stage === 'prod')!.app;

  test('are those whose clients the workers import', () => {
    const sources = globSync('workers/**/*.ts').map((path) => readFileSync(path, 'utf8'));
    const imported = sources.flatMap((source) =>
      [...source.matchAll(/from '(@aws-sdk\/client-[^']+)'/g)].map(([, name]) => name),
    );
    const called = CALLED_SERVICES.flatMap(({ client }) => client ?? []);
    expect([...new Set(imported)].sort()).toEqual(called.sort());
  });

  test('let through exactly what the roles of instances may do there', () => {
    const granted = grantedToInstances(prod);
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

/** What the policies of roles allow that EC2 hands to instances. */
function grantedToInstances(app: Synthesized): string[] {
  const roles = of(app, 'AWS::IAM::Role').filter(({ properties }) =>
    JSON.stringify(properties.AssumeRolePolicyDocument).includes('"ec2.amazonaws.com"'),
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
