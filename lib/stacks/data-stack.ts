/** What must outlive everything else: the database. */
import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { KEPT } from '../constructs/kept.ts';
import { PostgresStore } from '../constructs/postgres-store.ts';
import type { DatabaseSettings } from '../settings.ts';
import type { NetworkStack } from './network-stack.ts';

export interface DataStackProps extends StackProps {
  /** Name of the stage; part of the name of the database. */
  readonly stage: string;

  /** Size, safety and life of the database. */
  readonly database: DatabaseSettings;

  /** Network that the database is in. */
  readonly network: NetworkStack;
}

const removalPolicies = {
  destroy: RemovalPolicy.DESTROY,
  snapshot: RemovalPolicy.SNAPSHOT,
  retain: KEPT,
} as const;

export class DataStack extends Stack {
  readonly store: PostgresStore;

  constructor(scope: Construct, id: string, props: DataStackProps) {
    super(scope, id, props);
    const { database, network } = props;
    this.store = new PostgresStore(this, 'Store', {
      // The first has no number, so that whoever never restores one never sees it.
      instanceIdentifier: `sluice-${props.stage}${database.instanceNumber === 1 ? '' : `-${database.instanceNumber}`}`,
      ...(database.snapshotIdentifier === undefined ? {} : { snapshotIdentifier: database.snapshotIdentifier }),
      vpc: network.vpc,
      vpcSubnets: network.databaseSubnets,
      instanceClass: database.instanceClass,
      allocatedStorageGib: database.allocatedStorageGib,
      maxAllocatedStorageGib: database.maxAllocatedStorageGib,
      multiAz: database.multiAz,
      backupRetention: Duration.days(database.backupRetentionDays),
      backupWindow: database.backupWindow,
      maintenanceWindow: database.maintenanceWindow,
      insightsMode: database.insightsMode,
      monitoringIntervalSeconds: database.monitoringIntervalSeconds,
      certificateAuthority: database.certificateAuthority,
      logRetention: database.logRetentionDays,
      deletionProtection: database.deletionProtection,
      removalPolicy: removalPolicies[database.removalPolicy],
    });

    new CfnOutput(this, 'DatabaseEndpoint', {
      description: 'Host name of the database, reachable from the worker subnets',
      value: this.store.instance.dbInstanceEndpointAddress,
    });
    new CfnOutput(this, 'DatabaseSecretArn', {
      description: 'Secret with the name and the password of the owner, for the migration step and for people',
      value: this.store.secretArn,
    });
  }
}
