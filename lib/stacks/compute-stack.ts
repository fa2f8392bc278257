/** The worker fleets: one per queue, all writing to the one database. */
import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import type { PinnedImages } from '../constructs/fleet-image.ts';
import type { PostgresStore } from '../constructs/postgres-store.ts';
import { WorkerFleet } from '../constructs/worker-fleet.ts';
import { WorkerLog } from '../constructs/worker-log.ts';
import type { StageSettings, WatchingSettings } from '../settings.ts';
import { constructId, perWorkload, type WorkloadName, workerEntry, workloadNames } from '../workloads.ts';
import type { MessagingStack } from './messaging-stack.ts';
import type { NetworkStack } from './network-stack.ts';

export interface ComputeStackProps extends StackProps {
  /** Name of the stage. */
  readonly stage: string;

  /** One object per fleet. */
  readonly fleets: StageSettings['fleets'];

  /** How long the workers' lines are kept. */
  readonly logRetentionDays: WatchingSettings['workerLogRetentionDays'];

  /** Images that the instances boot from, by region; none for the newest. */
  readonly images: PinnedImages;

  /** Network that the instances are in. */
  readonly network: NetworkStack;

  /** Queues that the fleets work off. */
  readonly messaging: MessagingStack;

  /** Database that the fleets write to. */
  readonly store: PostgresStore;
}

export class ComputeStack extends Stack {
  readonly workerFleets: Readonly<Record<WorkloadName, WorkerFleet>>;

  constructor(scope: Construct, id: string, props: ComputeStackProps) {
    super(scope, id, props);
    const logKey = new kms.Key(this, 'LogKey', {
      description: `Log lines of the workers of sluice-${props.stage}`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const workerFleet = (name: WorkloadName) => {
      const id = `${constructId(name)}Fleet`;
      const fleet = props.fleets[name];
      return new WorkerFleet(this, id, {
        fleetName: name,
        stage: props.stage,
        entry: workerEntry(name),
        workQueue: props.messaging.workQueues[name],
        store: props.store,
        vpc: props.network.vpc,
        vpcSubnets: props.network.workerSubnets,
        egress: props.network.egress,
        instanceType: new ec2.InstanceType(fleet.instanceType),
        minimum: fleet.minimum,
        maximum: fleet.maximum,
        acceptableLatency: Duration.seconds(fleet.acceptableLatencySeconds),
        messagesPerSecondPerInstance: fleet.messagesPerSecondPerInstance,
        rootVolumeGib: fleet.rootVolumeGib,
        drainTimeout: Duration.seconds(fleet.drainSeconds),
        terminationHookTimeout: Duration.seconds(fleet.terminationHookSeconds),
        spotInstanceTypes: fleet.spotInstanceTypes.map((type) => new ec2.InstanceType(type)),
        onDemandBase: fleet.onDemandBase,
        images: props.images,
        logLevel: fleet.logLevel,
        log: new WorkerLog(this, `${id}Log`, {
          logGroupName: `/sluice/${props.stage}/${name}`,
          encryptionKey: logKey,
          retention: props.logRetentionDays,
        }),
      });
    };
    this.workerFleets = perWorkload(workerFleet);
    for (const name of workloadNames) this.#output(`${constructId(name)}FleetGroupName`, this.workerFleets[name]);
  }

  #output(id: string, fleet: WorkerFleet): void {
    new CfnOutput(this, id, {
      description: 'Auto Scaling group of the fleet',
      value: fleet.autoScalingGroup.autoScalingGroupName,
    });
  }
}
