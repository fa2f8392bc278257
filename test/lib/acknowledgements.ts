/**
 * What the rule packs of cdk-nag find and what stays as it is, each with its reason.
 *
 * This is the one list: nothing is acknowledged in lib/, so that a template carries no word about it and whoever lifts a
 * construct decides anew. A finding that is not here fails compliance.test.ts, and so does an entry that finds nothing.
 */

import { configurationOf, stageNames } from '../../lib/config.ts';

export type Pack = 'AwsSolutions' | 'NIST.800.53.R5';

export interface Acknowledgement {
  /** As the pack reports it, with the finding in brackets where a rule has several; names in it are as in `path`. */
  readonly rule: `${Pack}-${string}`;
  /** Without the name of the app and the stage; `<Name>` stands for one word, such as the name of a worker. */
  readonly path: string;
  /** Stages that it is about; where it is not given, all that the pack looks at. */
  readonly stages?: readonly string[];
  readonly reason: string;
}

/** Those whose database began with a snapshot: none, until somebody has restored one. */
const restoredStages = stageNames.filter((stage) => configurationOf(stage).database.snapshotIdentifier !== undefined);
const encryptedBySnapshot =
  'a database that begins with a snapshot is encrypted as that is, and CloudFormation asks not to be told: the way back in docs/stages.md begins with a database that is encrypted';

export const acknowledgements: readonly Acknowledgement[] = [
  {
    rule: 'AwsSolutions-RDS3',
    path: 'data/Store/Instance/Resource',
    stages: ['dev'],
    reason: 'dev has no standby, which would double what the database costs; what is in it can be sent again',
  },
  {
    rule: 'AwsSolutions-RDS10',
    path: 'data/Store/Instance/Resource',
    stages: ['dev'],
    reason: 'dev is made to be destroyed with one command; prod is protected',
  },
  {
    rule: 'AwsSolutions-RDS11',
    path: 'data/Store/Instance/Resource',
    reason:
      'another port hides nothing from whoever is in the network, and only the workers are let in by security group',
  },
  {
    rule: 'AwsSolutions-RDS2',
    path: 'data/Store/Instance/Resource',
    stages: restoredStages,
    reason: encryptedBySnapshot,
  },
  {
    rule: 'NIST.800.53.R5-RDSStorageEncrypted',
    path: 'data/Store/Instance/Resource',
    stages: restoredStages.filter((stage) => stage === 'prod'),
    reason: encryptedBySnapshot,
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:autoscaling:<AWS::Region>:<AWS::AccountId>:autoScalingGroup:*:autoScalingGroupName/<name>]',
    path: 'compute/<Name>Fleet/Role/DefaultPolicy/Resource',
    reason:
      'AWS gives every group an id that stands before its name; the name is exact, and no two groups of a region share one',
  },
  {
    rule: 'AwsSolutions-AS3',
    path: 'compute/<Name>Fleet/Group/ASG',
    reason:
      'a fleet that grows and shrinks all day would tell a person each time; alarms tell when it cannot grow or nobody works, and the activity history of the group keeps the rest for six weeks',
  },
  {
    rule: 'NIST.800.53.R5-VPCDefaultSecurityGroupClosed',
    path: 'network/Vpc/Resource',
    reason:
      'CloudFormation cannot take rules from the default group, only a Lambda function can; nothing is in the group, which a rule over all templates holds so',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:RDSOSMetrics:*]',
    path: 'data/Store/MonitoringRole/Resource',
    stages: ['prod'],
    reason:
      'RDS names the streams of its own log group, one for each database, and the rights to the group itself are asked for in that form too',
  },
  {
    rule: 'NIST.800.53.R5-IAMNoInlinePolicy',
    path: 'data/Store/MonitoringRole/Resource',
    reason: 'the policy is for this one role, and is there when RDS tries the role; inline it goes when the role goes',
  },
  {
    rule: 'NIST.800.53.R5-RDSInBackupPlan',
    path: 'data/Store/Instance/Resource',
    reason:
      'RDS itself takes a backup every day and keeps two weeks of point-in-time recovery; a plan in AWS Backup would be a second copy in the same account',
  },
  {
    rule: 'NIST.800.53.R5-IAMNoInlinePolicy',
    path: 'compute/<Name>Fleet/Role/DefaultPolicy/Resource',
    reason:
      'the policy names the queue and the log group of one role, so nobody else could use it; inline it goes when the role goes',
  },
  {
    rule: 'NIST.800.53.R5-IAMNoInlinePolicy',
    path: 'compute/<Name>Fleet/BundleRight/Resource',
    reason: 'the policy is the right of one role to one version of its bundle, and goes when that version goes',
  },
  {
    rule: 'NIST.800.53.R5-IAMNoInlinePolicy',
    path: 'network/FlowLog/Role/DefaultPolicy/Resource',
    reason: 'the policy names the one log group that the role is for; inline it goes when the role goes',
  },
  {
    rule: 'NIST.800.53.R5-IAMNoInlinePolicy',
    path: 'schema/Migration/Role/DefaultPolicy/Resource',
    reason: 'the policy names the secret and the log group of one function; inline it goes when the role goes',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::*]',
    path: 'schema/Migration/Role/DefaultPolicy/Resource',
    reason: 'Lambda makes the network interface of a function with its rights; the same policy denies them to its code',
  },
  {
    rule: 'NIST.800.53.R5-LambdaConcurrency',
    path: 'schema/Migration/Function/Resource',
    reason:
      'a lock in the database lets one migration at a time through, and an account with the quota that new ones have could not reserve any',
  },
  {
    rule: 'NIST.800.53.R5-LambdaDLQ',
    path: 'schema/Migration/Function/Resource',
    reason: 'CloudFormation calls it and waits for its answer: what fails stops the deployment, and is not lost',
  },
  {
    rule: 'NIST.800.53.R5-CloudWatchAlarmAction',
    path: 'monitoring/<Name>Alarms/NoWorkerWhileMessagesWait<Part>/Resource',
    reason: 'it is one of the two conditions of a composite alarm, which acts for both',
  },
];
