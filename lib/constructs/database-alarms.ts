/** What a person is told about the database before the workers have to wait for it. */
import { Duration, type Size } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as rds from 'aws-cdk-lib/aws-rds';
import { Construct } from 'constructs';
import type { AlarmRegistry } from './alarm-registry.ts';

/** Part of the alarms' names. */
const SUBJECT = 'database';
const PERIOD = Duration.minutes(5);
/** A quarter of an hour. */
const PERIODS_BEFORE_TOLD = 3;
const BUSY_PERCENT = 80;
/** RDS grows the storage when a tenth is free; half of that means that it did not. */
const FREE_STORAGE_SHARE = 0.05;

export interface DatabaseAlarmsProps {
  readonly registry: AlarmRegistry;

  /** What is watched. */
  readonly instance: rds.IDatabaseInstance;

  /** Storage that the database started with. */
  readonly allocatedStorage: Size;

  /** Connections that all workers and whoever else is expected may open; one more is told. */
  readonly connectionsMax: number;
}

export class DatabaseAlarms extends Construct {
  constructor(scope: Construct, id: string, props: DatabaseAlarmsProps) {
    super(scope, id);
    const { registry, instance, allocatedStorage, connectionsMax } = props;
    registry.watch(this, 'database-processor-is-busy', SUBJECT, {
      metric: instance.metricCPUUtilization({ period: PERIOD, statistic: cloudwatch.Stats.AVERAGE }),
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: BUSY_PERCENT,
      evaluationPeriods: PERIODS_BEFORE_TOLD,
    });
    registry.watch(this, 'database-storage-runs-out', SUBJECT, {
      metric: instance.metricFreeStorageSpace({ period: PERIOD, statistic: cloudwatch.Stats.MINIMUM }),
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: allocatedStorage.toBytes() * FREE_STORAGE_SHARE,
      evaluationPeriods: PERIODS_BEFORE_TOLD,
    });
    registry.watch(this, 'database-connections-run-out', SUBJECT, {
      metric: instance.metricDatabaseConnections({ period: PERIOD, statistic: cloudwatch.Stats.MAXIMUM }),
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: connectionsMax,
      evaluationPeriods: PERIODS_BEFORE_TOLD,
    });
  }
}
