/** Whoever has to reach something is let out to it, is let in there, and finds what it asks for let through on the way. */
import type { Resource } from '../synthesized.ts';
import { statementsOf } from './policies.ts';
import { type Finding, found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';

const HTTPS_PORT = 443;
/** Of Amazon's own buckets, for packages and for answers to CloudFormation, and of the account's for bundles. */
const OBJECTS: readonly (readonly [what: string, action: string, on: RegExp])[] = [
  ['the bundles of its workers', 's3:GetObject', /:s3:::<.*-assets-.*>\/\*$/],
  ['the packages of Amazon Linux', 's3:GetObject', /:s3:::al2023-repos-<.*>-de612dc2\/\*$/],
  ['answers to CloudFormation', 's3:PutObject', /:s3:::cloudformation-custom-resource-response-.*\/\*$/],
];

export const reachRules = {
  'whoever works with the database is let out to it, and in there': (stage) =>
    callers(stage).flatMap(({ resource, groups, host, port }) => {
      const database = stage.referred(resource.stack, host);
      const guards = listOf(database?.properties.VPCSecurityGroups).map((group) =>
        stage.referred(database!.stack, group),
      );
      const isLet = (direction: Direction) =>
        groups.some((group) => guards.some((guard) => isOpen(stage, direction, group, guard, Number(port))));
      return [
        ...unless(
          database?.type === 'AWS::RDS::DBInstance' && String(database.properties.Port) === String(port),
          resource,
          `looks for its database at port ${textOf(port)}`,
        ),
        ...unless(isLet('Egress'), resource, 'is not let out to its database'),
        ...unless(isLet('Ingress'), resource, 'is not let in by its database'),
      ];
    }),

  'whoever calls AWS is let out to it, and in by every endpoint': (stage) => {
    if (stage.configuration.network.egress === 'nat') return [];
    const endpoints = stage
      .of('AWS::EC2::VPCEndpoint')
      .filter(({ properties }) => properties.VpcEndpointType === 'Interface');
    return callers(stage).flatMap(({ resource, groups }) =>
      endpoints.flatMap((endpoint) => {
        const guards = listOf(endpoint.properties.SecurityGroupIds).map((each) => stage.referred(endpoint.stack, each));
        const isLet = (direction: Direction) =>
          groups.some((group) => guards.some((guard) => isOpen(stage, direction, group, guard, HTTPS_PORT)));
        return unless(isLet('Egress') && isLet('Ingress'), resource, `does not get to ${endpoint.id}`);
      }),
    );
  },

  'whoever calls AWS is let out to S3': (stage) =>
    callers(stage).flatMap(({ resource, groups }) => {
      const out = stage
        .of('AWS::EC2::SecurityGroupEgress')
        .filter(({ stack, properties }) => groups.includes(stage.referred(stack, properties.GroupId)))
        .map(({ properties }) => properties);
      const direct = groups.flatMap((group) => listOf(group?.properties.SecurityGroupEgress));
      const isLet = [...out, ...direct].some(
        (rule) =>
          valueAt(rule, 'ToPort') === HTTPS_PORT &&
          (valueAt(rule, 'DestinationPrefixListId') !== undefined || valueAt(rule, 'CidrIp') === '0.0.0.0/0'),
      );
      return unless(isLet, resource, 'is not let out to S3');
    }),

  'an endpoint lets through what somebody may ask of its service': (stage) => {
    const granted = stage
      .of('AWS::IAM::Policy')
      .flatMap(statementsOf)
      .filter(({ Effect, Principal }) => Effect === 'Allow' && Principal === undefined)
      .flatMap(({ Action }) => Action.map(textOf));
    return stage.of('AWS::EC2::VPCEndpoint').flatMap((endpoint): Finding[] => {
      const service = textOf(endpoint.properties.ServiceName).split('.').at(-1);
      const through = statementsOf(endpoint)
        .filter(({ Effect }) => Effect === 'Allow')
        .flatMap(({ Action }) => Action.map(textOf));
      const asked = [...new Set(granted)].filter((action) => action.split(':')[0] === service);
      // What flow logs do with CloudWatch Logs they do from outside of the network.
      return asked
        .filter((action) => !through.includes(action) && !/^logs:Describe/.test(action))
        .map((action) => found(endpoint, `lets no ${action} through`));
    });
  },

  'the gateway to S3 lets through bundles, packages and answers': (stage) =>
    stage
      .of('AWS::EC2::VPCEndpoint')
      .filter(({ properties }) => properties.VpcEndpointType === 'Gateway')
      .flatMap((gateway) =>
        OBJECTS.filter(
          ([, action, on]) =>
            !statementsOf(gateway).some(
              ({ Effect, Action, Resource: resources }) =>
                Effect === 'Allow' && Action.includes(action) && resources.some((each) => on.test(textOf(each))),
            ),
        ).map(([what]) => found(gateway, `lets ${what} not through`)),
      ),
} satisfies Record<string, Rule>;

type Direction = 'Egress' | 'Ingress';

interface Caller {
  readonly resource: Resource;
  readonly groups: readonly (Resource | undefined)[];
  readonly host: unknown;
  readonly port: unknown;
}

/** Instances of fleets, and functions in the network: all of them work with the database, and call AWS. */
function callers(stage: Stage): Caller[] {
  const groupsIn = (resource: Resource, ids: unknown) => listOf(ids).map((id) => stage.referred(resource.stack, id));
  return [
    ...stage.fleets.map(({ template, variables }) => ({
      resource: template,
      groups: groupsIn(template, valueAt(template.properties.LaunchTemplateData, 'SecurityGroupIds')),
      host: variables.PGHOST,
      port: variables.PGPORT,
    })),
    ...stage.of('AWS::Lambda::Function').map((resource) => ({
      resource,
      groups: groupsIn(resource, valueAt(resource.properties.VpcConfig, 'SecurityGroupIds')),
      host: valueAt(resource.properties.Environment, 'Variables', 'PGHOST'),
      port: valueAt(resource.properties.Environment, 'Variables', 'PGPORT'),
    })),
  ];
}

/** Whether a rule of `direction` lets `caller` on to `guard` at `port`; each stands at the group that it opens. */
function isOpen(
  stage: Stage,
  direction: Direction,
  caller: Resource | undefined,
  guard: Resource | undefined,
  port: number,
): boolean {
  const [own, other, peer] =
    direction === 'Egress' ? [caller, guard, 'DestinationSecurityGroupId'] : [guard, caller, 'SourceSecurityGroupId'];
  return (
    own !== undefined &&
    other !== undefined &&
    stage
      .of(`AWS::EC2::SecurityGroup${direction}`)
      .some(
        ({ stack, properties }) =>
          stage.referred(stack, properties.GroupId) === own &&
          stage.referred(stack, properties[peer]) === other &&
          Number(properties.FromPort) <= port &&
          port <= Number(properties.ToPort),
      )
  );
}
