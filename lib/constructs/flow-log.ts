/** What goes through a network and what is refused there, as lines in an encrypted log group that has an end. */
import { ArnFormat, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { letLogsEncrypt } from './log-encryption.ts';

export interface FlowLogProps {
  /** Network that is watched. */
  readonly vpc: ec2.IVpc;

  /** Name of the log group, such as `/sluice/dev/network`. */
  readonly logGroupName: string;

  /** How long lines are kept. */
  readonly retention: logs.RetentionDays;
}

export class FlowLog extends Construct {
  readonly logGroup: logs.LogGroup;

  constructor(scope: Construct, id: string, props: FlowLogProps) {
    super(scope, id);
    const encryptionKey = new kms.Key(this, 'Key', {
      description: `Log lines in ${props.logGroupName}`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    letLogsEncrypt(encryptionKey, props.logGroupName);
    this.logGroup = new logs.LogGroup(this, 'Group', {
      logGroupName: props.logGroupName,
      encryptionKey,
      retention: props.retention,
      // A group that stayed would stand in the way of the next deployment under the same name.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new ec2.FlowLog(this, 'FlowLog', {
      resourceType: ec2.FlowLogResourceType.fromVpc(props.vpc),
      // Lines gathered for ten minutes are the fewest, and every line costs.
      maxAggregationInterval: ec2.FlowLogMaxAggregationInterval.TEN_MINUTES,
      trafficType: ec2.FlowLogTrafficType.ALL,
      destination: ec2.FlowLogDestination.toCloudWatchLogs(this.logGroup, this.#role(props)),
    });
  }

  /** For flow logs of this account and region; the CDK grants it what it does in the group, and nothing elsewhere. */
  #role(props: FlowLogProps): iam.Role {
    const stack = Stack.of(this);
    const flowLogs = stack.formatArn({
      service: 'ec2',
      resource: 'vpc-flow-log',
      resourceName: '*',
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
    return new iam.Role(this, 'Role', {
      description: `Writes flow logs into ${props.logGroupName}`,
      assumedBy: new iam.ServicePrincipal('vpc-flow-logs.amazonaws.com', {
        conditions: {
          StringEquals: { 'aws:SourceAccount': stack.account },
          ArnLike: { 'aws:SourceArn': flowLogs },
        },
      }),
    });
  }
}
