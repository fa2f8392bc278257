/** The schema of the database: migrated when this stack is deployed, after the database is there and before a fleet changes. */
import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { MigrationStep } from '../constructs/migration-step.ts';
import type { PostgresStore } from '../constructs/postgres-store.ts';
import { WorkerLog } from '../constructs/worker-log.ts';
import type { DatabaseSettings } from '../settings.ts';
import type { NetworkStack } from './network-stack.ts';

export interface SchemaStackProps extends StackProps {
  /** Name of the stage; part of the names of the function and its log group. */
  readonly stage: string;

  /** How long the lines of the migration step are kept. */
  readonly logRetentionDays: DatabaseSettings['logRetentionDays'];

  /** Network that the migration step is in. */
  readonly network: NetworkStack;

  /** Database that is migrated. */
  readonly store: PostgresStore;
}

export class SchemaStack extends Stack {
  readonly migrationStep: MigrationStep;

  constructor(scope: Construct, id: string, props: SchemaStackProps) {
    super(scope, id, props);
    this.migrationStep = new MigrationStep(this, 'Migration', {
      functionName: `sluice-${props.stage}-migration`,
      store: props.store,
      vpc: props.network.vpc,
      vpcSubnets: props.network.workerSubnets,
      egress: props.network.egress,
      log: new WorkerLog(this, 'Log', {
        logGroupName: `/sluice/${props.stage}/migration`,
        retention: props.logRetentionDays,
      }),
    });
  }
}
