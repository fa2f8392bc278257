/** Nobody comes in from outside, and each group of instances reaches what it needs. */
import type { Resource } from '../synthesized.ts';
import { valuesIn } from '../synthesized.ts';
import { statementsOf } from './policies.ts';
import { found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';

const EVERYWHERE = ['0.0.0.0/0', '::/0'];
const HTTPS_PORT = 443;
/** S3 has a gateway; the others AWS calls itself, or a login is signed on the spot. */
const CALLED_BY_AWS = ['s3', 'kms', 'rds-db', 'ec2'];
/** Packages of the distribution, and answers to CloudFormation. */
const AMAZONS_BUCKETS = /:s3:::(al2023-repos-|cloudformation-custom-resource-response-)/;
/** What the CDK writes for a group that lets nothing out. */
const NOTHING = '255.255.255.255/32';

interface SecurityRule {
  readonly resource: Resource;
  readonly properties: object;
}

export const networkRules = {
  'security groups let in named groups on one port': (stage) =>
    securityRules(stage, 'Ingress').flatMap(({ resource, properties }) => {
      const source = stage.referred(resource.stack, valueAt(properties, 'SourceSecurityGroupId'));
      const [from, to] = [valueAt(properties, 'FromPort'), valueAt(properties, 'ToPort')];
      const isOpen = valueAt(properties, 'CidrIp') !== undefined || valueAt(properties, 'CidrIpv6') !== undefined;
      return [
        ...unless(source?.type === 'AWS::EC2::SecurityGroup' && !isOpen, resource, 'lets in addresses, not a group'),
        ...unless(valueAt(properties, 'IpProtocol') === 'tcp' && from === to, resource, 'lets in more than one port'),
      ];
    }),

  'security groups let out to named groups, and over HTTPS alone to others': (stage) => [
    ...securityRules(stage, 'Egress').flatMap(({ resource, properties }) => {
      if (valueAt(properties, 'CidrIp') === NOTHING) return [];
      const [from, to] = [valueAt(properties, 'FromPort'), valueAt(properties, 'ToPort')];
      const target = stage.referred(resource.stack, valueAt(properties, 'DestinationSecurityGroupId'));
      const isToGroup = target?.type === 'AWS::EC2::SecurityGroup';
      const isOnePort = valueAt(properties, 'IpProtocol') === 'tcp' && from === to;
      const isOverHttps = from === HTTPS_PORT || isToGroup;
      return unless(isOnePort && isOverHttps, resource, `lets out ${String(from)} to ${String(to)}`);
    }),
    ...stage.of('AWS::EC2::SecurityGroup').flatMap((group) =>
      // A group without a rule lets everything out.
      unless(listOf(group.properties.SecurityGroupEgress).length > 0, group, 'lets everything out'),
    ),
  ],

  'security groups and their rules say what they are for': (stage) => [
    ...[...securityRules(stage, 'Ingress'), ...securityRules(stage, 'Egress')].flatMap(({ resource, properties }) =>
      unless(String(valueAt(properties, 'Description') ?? '').length > 0, resource, 'has a rule without a description'),
    ),
  ],

  'the default security group is not used': (stage) =>
    stage.resources.flatMap((resource) =>
      [...valuesIn(resource.properties)].some(({ value }) => value === 'DefaultSecurityGroup')
        ? [found(resource, 'is in the default security group')]
        : [],
    ),

  'subnets give no public address': (stage) =>
    stage
      .of('AWS::EC2::Subnet')
      .flatMap((subnet) =>
        unless(subnet.properties.MapPublicIpOnLaunch === false, subnet, 'gives its instances a public address'),
      ),

  'subnets do not overlap, and lie in the network': (stage) => {
    const subnets = stage
      .of('AWS::EC2::Subnet')
      .map((subnet) => ({ subnet, range: rangeOf(subnet.properties.CidrBlock) }));
    return subnets.flatMap(({ subnet, range }) => {
      const vpc = stage.referred(subnet.stack, subnet.properties.VpcId);
      const whole = rangeOf(vpc?.properties.CidrBlock);
      const others = subnets.filter(
        ({ subnet: other, range: { first, last } }) => other !== subnet && first <= range.last && range.first <= last,
      );
      return [
        ...unless(range.first >= whole.first && range.last <= whole.last, subnet, 'lies outside of its network'),
        ...unless(others.length === 0, subnet, 'overlaps another'),
      ];
    });
  },

  'the internet is reached from public subnets alone, which hold NAT gateways alone': (stage) => {
    const routes = stage.of('AWS::EC2::Route');
    const open = routes.filter(({ properties }) => properties.GatewayId !== undefined);
    const publicSubnets = open.flatMap((route) =>
      subnetsOf(stage, stage.referred(route.stack, route.properties.RouteTableId)),
    );
    const inPublic = ['AWS::EC2::NatGateway', 'AWS::EC2::SubnetRouteTableAssociation'];
    return publicSubnets.flatMap((subnet) => [
      ...unless(textOfTag(subnet, 'aws-cdk:subnet-type') === 'Public', subnet, 'has a route to the internet'),
      ...stage
        .usersOf(subnet)
        .filter(({ type }) => !inPublic.includes(type))
        .map((resource) => found(resource, `is in ${subnet.id}, which has a route to the internet`)),
    ]);
  },

  'what a group or the database is in spans two zones': (stage) =>
    placed(stage).flatMap(({ resource, subnets }) => {
      const places = subnets.map((value) => stage.referred(resource.stack, value));
      const zones = new Set(places.map((subnet) => JSON.stringify(subnet?.properties.AvailabilityZone)));
      return unless(
        places.length > 0 && places.every((subnet) => subnet?.type === 'AWS::EC2::Subnet') && zones.size >= 2,
        resource,
        `is in ${places.length} subnets of ${zones.size} zones`,
      );
    }),

  'instances reach AWS, and the database reaches nothing': (stage) =>
    placed(stage).flatMap(({ resource, subnets }) =>
      subnets.flatMap((value) => {
        const subnet = stage.referred(resource.stack, value);
        if (subnet === undefined) return [];
        const hasWayOut = waysOut(stage, subnet).length > 0;
        if (resource.type === 'AWS::RDS::DBSubnetGroup') {
          return unless(!hasWayOut, resource, `is in ${subnet.id}, which has a way out`);
        }
        return unless(
          hasWayOut || hasInterfaceEndpoints(stage),
          resource,
          `is in ${subnet.id}, which has no way to AWS`,
        );
      }),
    ),

  'every service that is called has an endpoint, where there is no other way out': (stage) => {
    const names = stage.of('AWS::EC2::VPCEndpoint').map(({ properties }) => textOf(properties.ServiceName));
    const called = stage
      .of('AWS::IAM::Policy')
      .flatMap(statementsOf)
      .flatMap(({ Action }) => Action.map((action) => textOf(action).split(':')[0]!));
    const missing = [...new Set(called)].filter(
      (service) => !CALLED_BY_AWS.includes(service) && !names.some((name) => name.endsWith(`.${service}`)),
    );
    if (stage.configuration.network.egress === 'nat') return [];
    return missing.map((service) => ({
      where: `sluice-${stage.name}-network`,
      problem: `has no endpoint for ${service}`,
    }));
  },

  'endpoints let named actions through, and nobody in who need not call': (stage) =>
    stage.of('AWS::EC2::VPCEndpoint').flatMap((endpoint) => {
      const { VpcEndpointType, ServiceName, PolicyDocument, PrivateDnsEnabled, SecurityGroupIds } = endpoint.properties;
      const groups = listOf(SecurityGroupIds).map((group) => stage.referred(endpoint.stack, group));
      const isGuarded = groups.length > 0 && groups.every((group) => group?.type === 'AWS::EC2::SecurityGroup');
      return [
        ...unless(PolicyDocument !== undefined, endpoint, 'lets everything through'),
        ...unless(
          ['Gateway', 'Interface'].includes(textOf(VpcEndpointType)) &&
            /^com\.amazonaws\.<\{"Ref":"AWS::Region"\}>\.[a-z0-9]+$/.test(textOf(ServiceName)),
          endpoint,
          `is a ${textOf(VpcEndpointType)} to ${textOf(ServiceName)}`,
        ),
        ...unless(
          // A gateway takes no other; the conditions say who.
          statementsOf(endpoint).every(({ Principal }) => JSON.stringify(Principal) === '{"AWS":"*"}'),
          endpoint,
          'lets somebody through whom no call comes from',
        ),
        ...unless(VpcEndpointType === 'Gateway' || isGuarded, endpoint, 'is in no security group of these templates'),
        ...unless(VpcEndpointType === 'Gateway' || PrivateDnsEnabled === true, endpoint, 'is not found by its name'),
      ];
    }),

  'all of a network is in the one that its stage has': (stage) => {
    const networks = stage.of('AWS::EC2::VPC');
    return stage
      .of('AWS::EC2::SecurityGroup', 'AWS::EC2::VPCEndpoint', 'AWS::EC2::RouteTable', 'AWS::EC2::Subnet')
      .flatMap((resource) => {
        const network = stage.referred(resource.stack, resource.properties.VpcId);
        return unless(network !== undefined && network === networks[0], resource, 'is in another network, or in none');
      });
  },

  "endpoints let through this account's own calls, for what is its own": (stage) =>
    stage.of('AWS::EC2::VPCEndpoint').flatMap((endpoint) =>
      statementsOf(endpoint)
        // Whose buckets these are, Amazon's names say.
        .filter(({ Resource: resources }) => !resources.some((each) => AMAZONS_BUCKETS.test(textOf(each))))
        .flatMap(({ Condition }) =>
          ['aws:PrincipalAccount', 'aws:ResourceAccount'].flatMap((key) =>
            unless(
              listOf(Condition.StringEquals?.[key]).map(textOf).join() === '<{"Ref":"AWS::AccountId"}>',
              endpoint,
              `lets through what is not of this account by ${key}`,
            ),
          ),
        ),
    ),

  'a network logs what goes through it': (stage) =>
    stage.of('AWS::EC2::VPC').flatMap((vpc) => {
      const logs = stage
        .of('AWS::EC2::FlowLog')
        .filter(({ stack, properties }) => stage.referred(stack, properties.ResourceId) === vpc);
      const isGood = logs.some(({ properties }) => properties.TrafficType === 'ALL');
      const days = stage.configuration.network.flowLogRetentionDays;
      const isKept = logs.every(
        ({ stack, properties }) =>
          stage.referred(stack, properties.LogGroupName)?.properties.RetentionInDays === days &&
          stage.referred(stack, properties.DeliverLogsPermissionArn)?.type === 'AWS::IAM::Role',
      );
      return [
        ...unless(isGood, vpc, 'does not log all that goes through it'),
        ...unless(isKept, vpc, `does not keep its flow log for ${days} days`),
      ];
    }),

  'instances reach S3 by its gateway': (stage) => {
    const gateways = stage.of('AWS::EC2::VPCEndpoint').filter(({ properties }) => {
      return properties.VpcEndpointType === 'Gateway' && JSON.stringify(properties.ServiceName).includes('.s3');
    });
    const tables = gateways.flatMap(({ stack, properties }) =>
      listOf(properties.RouteTableIds).map((table) => stage.referred(stack, table)),
    );
    return stage.of('AWS::AutoScaling::AutoScalingGroup').flatMap((group) =>
      listOf(group.properties.VPCZoneIdentifier).flatMap((value) => {
        const subnet = stage.referred(group.stack, value);
        const table = subnet === undefined ? undefined : tableOf(stage, subnet);
        return unless(table !== undefined && tables.includes(table), group, `is in a subnet without a gateway to S3`);
      }),
    );
  },
} satisfies Record<string, Rule>;

function securityRules(stage: Stage, direction: 'Ingress' | 'Egress'): SecurityRule[] {
  return [
    ...stage
      .of(`AWS::EC2::SecurityGroup${direction}`)
      .map((resource) => ({ resource, properties: resource.properties })),
    ...stage.of('AWS::EC2::SecurityGroup').flatMap((resource) =>
      listOf(resource.properties[`SecurityGroup${direction}`]).map((rule) => ({
        resource,
        properties: Object(rule),
      })),
    ),
  ];
}

/** Groups of instances and of database subnets, and functions, with where they are. */
function placed(stage: Stage): { readonly resource: Resource; readonly subnets: unknown[] }[] {
  return [
    ...stage
      .of('AWS::AutoScaling::AutoScalingGroup')
      .map((resource) => ({ resource, subnets: listOf(resource.properties.VPCZoneIdentifier) })),
    ...stage
      .of('AWS::RDS::DBSubnetGroup')
      .map((resource) => ({ resource, subnets: listOf(resource.properties.SubnetIds) })),
    ...stage
      .of('AWS::Lambda::Function')
      .map((resource) => ({ resource, subnets: listOf(valueAt(resource.properties.VpcConfig, 'SubnetIds')) })),
  ];
}

function subnetsOf(stage: Stage, table: Resource | undefined): Resource[] {
  return stage
    .of('AWS::EC2::SubnetRouteTableAssociation')
    .filter(({ stack, properties }) => stage.referred(stack, properties.RouteTableId) === table)
    .flatMap(({ stack, properties }) => stage.referred(stack, properties.SubnetId) ?? []);
}

function tableOf(stage: Stage, subnet: Resource): Resource | undefined {
  const association = stage
    .of('AWS::EC2::SubnetRouteTableAssociation')
    .find(({ stack, properties }) => stage.referred(stack, properties.SubnetId) === subnet);
  return association === undefined ? undefined : stage.referred(association.stack, association.properties.RouteTableId);
}

function waysOut(stage: Stage, subnet: Resource): Resource[] {
  const table = tableOf(stage, subnet);
  return stage.of('AWS::EC2::Route').filter(({ stack, properties }) => {
    return (
      stage.referred(stack, properties.RouteTableId) === table &&
      EVERYWHERE.includes(String(properties.DestinationCidrBlock ?? properties.DestinationIpv6CidrBlock))
    );
  });
}

function hasInterfaceEndpoints(stage: Stage): boolean {
  return stage.of('AWS::EC2::VPCEndpoint').some(({ properties }) => properties.VpcEndpointType === 'Interface');
}

function textOfTag({ properties }: Resource, name: string): unknown {
  return valueAt(
    listOf(properties.Tags).find((tag) => valueAt(tag, 'Key') === name),
    'Value',
  );
}

function rangeOf(cidr: unknown): { readonly first: number; readonly last: number } {
  const [address = '', bits] = String(cidr).split('/');
  const first = address.split('.').reduce((total, part) => total * 256 + Number(part), 0);
  return { first, last: first + 2 ** (32 - Number(bits)) - 1 };
}
