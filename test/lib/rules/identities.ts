/** Whoever has a role can take it, may do with it what it is for, and nobody is locked out of a key. */
import { type Resource, valuesIn } from '../synthesized.ts';
import { statementsOf } from './policies.ts';
import { type Finding, found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';

interface Duty {
  readonly service: string;
  /** Where its role stands. */
  readonly property: string;
  /** How the name of the resource ends that it acts for; undefined where it acts for nobody else. */
  readonly source?: (resource: Resource) => string;
  /** What it does with its role; of instances fleets.ts says more. */
  readonly actions: readonly string[];
}

const DUTIES: Readonly<Record<string, Duty>> = {
  'AWS::IAM::InstanceProfile': { service: 'ec2.amazonaws.com', property: 'Roles', actions: [] },
  'AWS::Lambda::Function': {
    service: 'lambda.amazonaws.com',
    property: 'Role',
    actions: [
      'ec2:CreateNetworkInterface',
      'ec2:DeleteNetworkInterface',
      'ec2:DescribeNetworkInterfaces',
      'ec2:DescribeSubnets',
      'ec2:AssignPrivateIpAddresses',
      'ec2:UnassignPrivateIpAddresses',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
      'rds-db:connect',
      'secretsmanager:GetSecretValue',
    ],
  },
  'AWS::EC2::FlowLog': {
    service: 'vpc-flow-logs.amazonaws.com',
    property: 'DeliverLogsPermissionArn',
    source: () => ':vpc-flow-log/*',
    actions: ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
  },
  'AWS::RDS::DBInstance': {
    service: 'monitoring.rds.amazonaws.com',
    property: 'MonitoringRoleArn',
    source: ({ properties }) => `:db:${textOf(properties.DBInstanceIdentifier)}`,
    actions: [
      'logs:CreateLogGroup',
      'logs:CreateLogStream',
      'logs:DescribeLogStreams',
      'logs:GetLogEvents',
      'logs:PutLogEvents',
      'logs:PutRetentionPolicy',
    ],
  },
};

/** Services whose ARNs name no region, or neither region nor account. */
const GLOBAL = ['iam'];
const NAMELESS = ['s3'];
const REGION = '<{"Ref":"AWS::Region"}>';
const ACCOUNT = '<{"Ref":"AWS::AccountId"}>';

export const identityRules = {
  'a role can be taken by the service that works with it, and by no other': (stage) =>
    works(stage).flatMap(({ resource, role, duty }) => {
      if (role?.type !== 'AWS::IAM::Role') return [found(resource, 'has no role of these templates')];
      const taking = statementsOf({ properties: Object(role.properties.AssumeRolePolicyDocument) });
      const isTaken = taking.some(
        ({ Effect, Action, Principal, Condition }) =>
          Effect === 'Allow' &&
          Action.join() === 'sts:AssumeRole' &&
          JSON.stringify(Principal) === JSON.stringify({ Service: duty.service }) &&
          (duty.source === undefined ||
            (Condition.StringEquals?.['aws:SourceAccount'] !== undefined &&
              textOf(Condition.ArnLike?.['aws:SourceArn']?.[0]).endsWith(duty.source(resource)))),
      );
      return unless(isTaken && taking.length === 1, role, `cannot be taken by ${duty.service}, or by others too`);
    }),

  'a role allows what its service does': (stage) =>
    works(stage).flatMap(({ role, duty }) => {
      if (role === undefined) return [];
      const policies = stage
        .of('AWS::IAM::Policy')
        .filter(({ stack, properties }) =>
          listOf(properties.Roles).some((each) => stage.referred(stack, each) === role),
        );
      const allowed = [
        ...statementsOf({ properties: { Policies: role.properties.Policies } }),
        ...policies.flatMap(statementsOf),
      ]
        .filter(({ Effect, Resource: resources }) => Effect === 'Allow' && resources.length > 0)
        .flatMap(({ Action }) => Action.map(textOf));
      return duty.actions
        .filter((action) => !allowed.includes(action))
        .map((action) => found(role, `does not allow ${action}, which ${duty.service} does`));
    }),

  'keys are administered by their account, whose policies decide on them': (stage) =>
    stage.of('AWS::KMS::Key').flatMap((key) => {
      const isAdministered = statementsOf(key).some(
        ({ Effect, Action, Principal }) =>
          Effect === 'Allow' &&
          Action.includes('kms:*') &&
          textOf(valueAt(Principal, 'AWS')) === `arn:<{"Ref":"AWS::Partition"}>:iam::${ACCOUNT}:root`,
      );
      return unless(isAdministered, key, 'locks its own account out');
    }),

  'names of resources are whole': (stage) =>
    stage.resources.flatMap((resource) =>
      [...valuesIn(resource.properties)].flatMap(({ value }): Finding[] => {
        const text = valueAt(value, 'Fn::Join') === undefined ? '' : textOf(value);
        if (!text.startsWith('arn') && !text.includes('"AWS::Partition"')) return [];
        const [, service = '', region, account] =
          /^arn:<\{"Ref":"AWS::Partition"\}>:([a-z0-9-]+):(<\{"Ref":"AWS::Region"\}>)?:(<\{"Ref":"AWS::AccountId"\}>)?:./.exec(
            text,
          ) ?? [];
        const isWhole =
          service !== '' &&
          (NAMELESS.includes(service) || account === ACCOUNT) &&
          (NAMELESS.includes(service) || GLOBAL.includes(service) || region === REGION);
        return unless(isWhole, resource, `speaks of ${text}, which is no name of a resource`);
      }),
    ),
} satisfies Record<string, Rule>;

function works(
  stage: Stage,
): { readonly resource: Resource; readonly role: Resource | undefined; readonly duty: Duty }[] {
  return Object.entries(DUTIES).flatMap(([type, duty]) =>
    stage
      .of(type)
      // A database that nobody looks into needs no role.
      .filter(({ properties }) => type !== 'AWS::RDS::DBInstance' || properties.MonitoringInterval !== undefined)
      .map((resource) => {
        const [id] = listOf(resource.properties[duty.property]);
        return { resource, role: stage.referred(resource.stack, id), duty };
      }),
  );
}
