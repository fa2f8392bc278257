/**
 * What a policy allows beyond exact actions, exact resources and named principals, each with its reason.
 *
 * The rule about policies (rules/policies.ts) permits what stands here and nothing else; an entry that matches nothing in
 * any stage fails. A stage is left out of the name of a stack, the hash out of a logical id; `<Name>` stands for one word,
 * such as the name of a worker, where one construct makes the same statement for each.
 */

export interface PermittedWildcard {
  /** `network`, `data`, `schema`, `messaging`, `compute` or `monitoring`. */
  readonly stack: string;
  readonly logicalId: string;
  /** What the rule says of the statement, word for word. */
  readonly problem: string;
  /** Stages that have it; where it is not given, all. */
  readonly stages?: readonly string[];
  readonly reason: string;
}

const administers =
  'without it nobody could administer the key: it hands the account itself what its own policies then give to its people; in the policy of a key * is that key';
const assumesWithoutSource =
  'EC2 hands over no source when it takes a role for an instance; who may give the role to an instance is said by iam:PassRole in the account';

export const permittedWildcards: readonly PermittedWildcard[] = [
  { stack: 'compute', logicalId: 'LogKey', problem: 'allows kms:*', reason: administers },
  { stack: 'data', logicalId: 'StoreKey', problem: 'allows kms:*', reason: administers },
  {
    stack: 'data',
    logicalId: 'StoreMonitoringRole',
    problem:
      'allows it on arn:<{"Ref":"AWS::Partition"}>:logs:<{"Ref":"AWS::Region"}>:<{"Ref":"AWS::AccountId"}>:log-group:RDSOSMetrics:*',
    stages: ['prod'],
    reason:
      'RDS names the streams of its own log group, one for each database, and the rights to the group itself are asked for in that form too',
  },
  { stack: 'network', logicalId: 'FlowLogKey', problem: 'allows kms:*', reason: administers },
  { stack: 'schema', logicalId: 'LogKey', problem: 'allows kms:*', reason: administers },
  { stack: 'messaging', logicalId: 'QueueKey', problem: 'allows kms:*', reason: administers },
  { stack: 'monitoring', logicalId: 'AlarmsKey', problem: 'allows kms:*', reason: administers },
  {
    stack: 'compute',
    logicalId: '<Name>FleetRole',
    problem: 'lets in ec2.amazonaws.com on behalf of anybody',
    reason: assumesWithoutSource,
  },
  {
    stack: 'compute',
    logicalId: '<Name>FleetRoleDefaultPolicy',
    problem:
      'allows it on arn:<{"Ref":"AWS::Partition"}>:autoscaling:<{"Ref":"AWS::Region"}>:<{"Ref":"AWS::AccountId"}>:autoScalingGroup:*:autoScalingGroupName/sluice-<Stage>-<Name>',
    reason: 'AWS gives every group an id that stands before its name; the name, which nothing else has, is exact',
  },
  {
    stack: 'schema',
    logicalId: 'MigrationRole',
    problem: 'lets in lambda.amazonaws.com on behalf of anybody',
    reason:
      'whether Lambda hands over a source when it takes a role for a function was never tried in an account, and a condition that it does not meet would stop every deploy; iam:PassRole says who may give the role to a function',
  },
  {
    stack: 'schema',
    logicalId: 'MigrationRoleDefaultPolicy',
    problem: 'allows it on *',
    reason:
      'Lambda makes the network interface of a function with its rights, and EC2 knows no resource for them; the same policy denies them to the code of the function',
  },
  {
    stack: 'network',
    logicalId: 'Endpoints<Service>',
    problem: 'allows it on *',
    reason:
      'the policy of an endpoint names actions, and by condition principals and resources of this account alone; which resource, the policy of each role says',
  },
  {
    stack: 'network',
    logicalId: 'VpcS3',
    problem:
      'allows it on arn:<{"Ref":"AWS::Partition"}>:s3:::<{"Fn::Sub":"cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"}>/*',
    reason: 'bundles are called after the hash of their content, and the policy of each role names its own',
  },
  {
    stack: 'network',
    logicalId: 'VpcS3',
    problem: 'allows it on arn:<{"Ref":"AWS::Partition"}>:s3:::al2023-repos-<{"Ref":"AWS::Region"}>-de612dc2/*',
    reason: 'packages of Amazon Linux have the names that AWS gives them; the bucket is exact',
  },
  {
    stack: 'network',
    logicalId: 'VpcS3',
    problem:
      'allows it on arn:<{"Ref":"AWS::Partition"}>:s3:::cloudformation-custom-resource-response-<{"Fn::Split":["-",{"Ref":"AWS::Region"}]}>/*',
    reason: 'CloudFormation makes up the name of the object that the migration step answers with; the bucket is exact',
  },
  {
    stack: 'network',
    logicalId: 'VpcS3',
    problem: 'lets in everybody',
    reason: 'whoever reads packages of Amazon Linux does so without signing, as nobody; they are public, and signed',
  },
];
