/**
 * Where the lines of a fleet's workers go, their metrics among them: a log group that is encrypted and has an end, and the
 * right to write into that group and no other.
 *
 * The group has a name of one's own choosing: its key is for that name alone, and an agent that came first would otherwise
 * make the group, without a key and without an end.
 */
import { RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { letLogsEncrypt } from './log-encryption.ts';

export interface WorkerLogProps {
  /** Name of the log group, such as `/sluice/dev/orders`. */
  readonly logGroupName: string;

  /**
   * Key that encrypts the group; several groups may share one.
   *
   * @default a key of its own that rotates
   */
  readonly encryptionKey?: kms.Key;

  /**
   * How long lines are kept.
   *
   * @default one month
   */
  readonly retention?: logs.RetentionDays;
}

export class WorkerLog extends Construct {
  readonly logGroup: logs.LogGroup;
  readonly logGroupName: string;

  constructor(scope: Construct, id: string, props: WorkerLogProps) {
    super(scope, id);
    const { logGroupName, retention = logs.RetentionDays.ONE_MONTH } = props;
    const encryptionKey =
      props.encryptionKey ??
      new kms.Key(this, 'Key', {
        description: `Log lines in ${logGroupName}`,
        enableKeyRotation: true,
        removalPolicy: RemovalPolicy.DESTROY,
      });
    letLogsEncrypt(encryptionKey, logGroupName);
    this.logGroupName = logGroupName;
    this.logGroup = new logs.LogGroup(this, 'Group', {
      logGroupName,
      encryptionKey,
      retention,
      // A group that stayed would stand in the way of the next deployment under the same name.
      removalPolicy: RemovalPolicy.DESTROY,
    });
  }

  /** Lets `grantee` write into this group; neither read it, nor make another, nor change how long lines are kept. */
  grantWrite(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resourceArns: [this.logGroup.logGroupArn],
    });
  }
}
