/**
 * Which resource types of the assembly run on this machine, and which do not and why.
 *
 * Every type must be in one of the two lists: one that is in neither fails the run, so that nothing of a
 * template is passed over in silence.
 */
import type { AssemblyStack } from './assembly.ts';

export const RUN_HERE: Readonly<Record<string, string>> = {
  'AWS::SQS::Queue': 'a queue of the SQS server',
  'AWS::SQS::QueuePolicy': 'kept with its queue, not enforced',
  'AWS::RDS::DBInstance': 'the PostgreSQL server',
  'AWS::EC2::LaunchTemplate': 'environment and script of a fleet',
  'AWS::AutoScaling::AutoScalingGroup': 'worker processes',
  'Custom::SluiceSchema': 'migrations, run before fleets',
};

export const NEEDS_AWS: Readonly<Record<string, string>> = {
  'AWS::AutoScaling::ScalingPolicy': 'fleets keep their size',
  'AWS::AutoScaling::LifecycleHook': 'processes get SIGTERM directly',
  'AWS::CDK::Metadata': 'describes the app to AWS',
  'AWS::CloudWatch::Alarm': 'there is no CloudWatch',
  'AWS::CloudWatch::CompositeAlarm': 'there is no CloudWatch',
  'AWS::CloudWatch::Dashboard': 'there is no CloudWatch',
  'AWS::EC2::EIP': 'there is no network to build',
  'AWS::EC2::FlowLog': 'there is no network to build',
  'AWS::EC2::InternetGateway': 'there is no network to build',
  'AWS::EC2::NatGateway': 'there is no network to build',
  'AWS::EC2::Route': 'there is no network to build',
  'AWS::EC2::RouteTable': 'there is no network to build',
  'AWS::EC2::SecurityGroup': 'everything listens on loopback',
  'AWS::EC2::SecurityGroupEgress': 'everything listens on loopback',
  'AWS::EC2::SecurityGroupIngress': 'everything listens on loopback',
  'AWS::EC2::Subnet': 'there is no network to build',
  'AWS::EC2::SubnetRouteTableAssociation': 'there is no network to build',
  'AWS::EC2::VPC': 'there is no network to build',
  'AWS::EC2::VPCEndpoint': 'there is no network to build',
  'AWS::EC2::VPCGatewayAttachment': 'there is no network to build',
  'AWS::Events::Rule': 'nothing here has events to match',
  'AWS::IAM::InstanceProfile': 'nothing is forbidden',
  'AWS::IAM::ManagedPolicy': 'nothing is forbidden',
  'AWS::IAM::Policy': 'nothing is forbidden',
  'AWS::IAM::Role': 'nothing is forbidden',
  'AWS::KMS::Alias': 'nothing is encrypted at rest',
  'AWS::KMS::Key': 'nothing is encrypted at rest',
  'AWS::Lambda::Function': 'there is no Lambda',
  'AWS::Logs::LogGroup': 'logs are files of the run',
  'AWS::RDS::DBParameterGroup': 'settings for one machine instead',
  'AWS::RDS::DBSubnetGroup': 'there is no network to build',
  'AWS::S3::Bucket': 'there is no S3',
  'AWS::S3::BucketPolicy': 'nothing is forbidden',
  'AWS::SNS::Subscription': 'there is no SNS',
  'AWS::SNS::Topic': 'there is no SNS',
  'AWS::SNS::TopicPolicy': 'nothing is forbidden',
  'AWS::SecretsManager::Secret': 'the password is made for the run',
  'Custom::S3BucketNotifications': 'there is no S3',
};

export interface ResourceTypeCount {
  readonly type: string;
  readonly count: number;
  readonly runsHere: boolean;
  /** What it is here, or why it is not. */
  readonly meaning: string;
}

/** @throws Error naming every type that is in neither list. */
export function countResourceTypes(stacks: readonly AssemblyStack[]): ResourceTypeCount[] {
  const counts = new Map<string, number>();
  for (const { template } of stacks) {
    for (const { Type: type } of Object.values(template.Resources)) counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  const unknown = [...counts.keys()].filter((type) => !(type in RUN_HERE) && !(type in NEEDS_AWS));
  if (unknown.length > 0) {
    throw new Error(
      `the assembly has resources that the local run does not know: ${unknown.join(', ')}; run them, or name the reason in local/assembly/resource-types.ts`,
    );
  }
  return [...counts].sort().map(([type, count]) => {
    const here = RUN_HERE[type];
    return { type, count, runsHere: here !== undefined, meaning: here ?? NEEDS_AWS[type]! };
  });
}
