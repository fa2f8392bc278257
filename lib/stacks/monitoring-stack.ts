/** What watches all the others: alarms, the topic that they tell, and a dashboard for each workload. */
import { CfnOutput, Duration, Size, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { AlarmRegistry } from '../constructs/alarm-registry.ts';
import { AlarmTopic } from '../constructs/alarm-topic.ts';
import { expectedConnections } from '../constructs/connection-budget.ts';
import { DatabaseAlarms } from '../constructs/database-alarms.ts';
import type { PostgresStore } from '../constructs/postgres-store.ts';
import { WorkloadAlarms } from '../constructs/workload-alarms.ts';
import { WorkloadDashboard } from '../constructs/workload-dashboard.ts';
import { WorkloadMetrics } from '../constructs/workload-metrics.ts';
import type { DatabaseSettings, StageSettings, WatchingSettings } from '../settings.ts';
import { constructId, type WorkloadName, workloadNames } from '../workloads.ts';
import type { ComputeStack } from './compute-stack.ts';
import type { MessagingStack } from './messaging-stack.ts';

export interface MonitoringStackProps extends StackProps {
  /** Name of the stage. */
  readonly stage: string;

  /** Objectives, and who is told. */
  readonly watching: WatchingSettings;

  /** What the database was made with. */
  readonly database: DatabaseSettings;

  /** How large the fleets may become. */
  readonly fleets: StageSettings['fleets'];

  /** Queues that are watched. */
  readonly messaging: MessagingStack;

  /** Fleets that are watched. */
  readonly compute: ComputeStack;

  /** Database that is watched. */
  readonly store: PostgresStore;
}

export class MonitoringStack extends Stack {
  readonly alarmTopic: AlarmTopic;

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, props);
    const { watching } = props;
    this.alarmTopic = new AlarmTopic(this, 'Alarms', {
      displayName: `sluice-${props.stage}`,
      emails: watching.alarmEmails,
    });
    const database = this.#registry(props);
    new DatabaseAlarms(this, 'Database', {
      registry: database,
      instance: props.store.instance,
      allocatedStorage: Size.gibibytes(props.database.allocatedStorageGib),
      connectionsMax: expectedConnections(props.fleets),
    });
    for (const name of workloadNames) this.#workload(props, name, database);

    new CfnOutput(this, 'AlarmTopicArn', {
      description: 'Subscribe to it whatever is to be told of alarms',
      value: this.alarmTopic.topic.topicArn,
    });
  }

  #workload(props: MonitoringStackProps, name: WorkloadName, database: AlarmRegistry): void {
    const { stage, messaging, compute } = props;
    const id = constructId(name);
    const { queue, deadLetterQueue } = messaging.workQueues[name];
    const { autoScalingGroupName } = compute.workerFleets[name].autoScalingGroup;
    const ageObjective = Duration.seconds(props.watching.ageObjectiveSeconds);
    const registry = this.#registry(props);
    const workload = new WorkloadMetrics({ stage, name, queue, deadLetterQueue, autoScalingGroupName });
    new WorkloadAlarms(this, `${id}Alarms`, { registry, workload, ageObjective });
    new WorkloadDashboard(this, `${id}Dashboard`, {
      dashboardName: `sluice-${stage}-${name}`,
      workload,
      ageObjective,
      alarms: [...registry.alarms, ...database.alarms],
    });
  }

  #registry({ stage, watching: { runbook } }: MonitoringStackProps): AlarmRegistry {
    return new AlarmRegistry({ namePrefix: `sluice-${stage}`, topic: this.alarmTopic.topic, runbook });
  }
}
