/**
 * What differs between stages: one object per stage, checked before anything is built from it. settings.ts says what each
 * setting means and what is allowed.
 *
 * Holds always: nothing in lib/ reads the environment or the CDK context; what a stage varies is here and only
 * here. A new stage is one more object in `stages`; a new workload, in workloads.ts, has in every stage the settings that
 * are usual there until it is given its own, as `{ ...byKind(…), parcels: { … } }`.
 */
import {
  ACCEPTABLE_LATENCY_MIN_SECONDS,
  INSTANCE_RATE_DEFAULT_MESSAGES_PER_SECOND,
} from './constructs/backlog-target.ts';
import { MESSAGE_SIZE_MAX_BYTES } from './constructs/queue-limits.ts';
import {
  ConfigurationError,
  checkedConfiguration,
  type DatabaseSettings,
  type FleetSettings,
  ON_DEMAND_BASE_DEFAULT,
  type QueueSettings,
  type StageConfiguration,
  type StageSettings,
  type WatchingSettings,
} from './settings.ts';
import { byKind, perWorkload } from './workloads.ts';

const commonQueue = {
  deliveryDelaySeconds: 0,
  retentionDays: 4,
  deadLetterRetentionDays: 14,
  maxReceiveCount: 5,
  maximumMessageSizeBytes: MESSAGE_SIZE_MAX_BYTES,
  producerAccountIds: [],
  producerOrganizationIds: [],
};
const fifo = { highThroughput: true, contentBasedDeduplication: false };
const devQueue: QueueSettings = { ...commonQueue, visibilityTimeoutSeconds: 60, dataKeyReuseMinutes: 60 };
const prodQueue: QueueSettings = { ...commonQueue, visibilityTimeoutSeconds: 120, dataKeyReuseMinutes: 5 };

const commonScaling = {
  acceptableLatencySeconds: ACCEPTABLE_LATENCY_MIN_SECONDS,
  messagesPerSecondPerInstance: INSTANCE_RATE_DEFAULT_MESSAGES_PER_SECOND,
};
const commonLeaving = { terminationHookSeconds: 180, spotInstanceTypes: [], onDemandBase: ON_DEMAND_BASE_DEFAULT };
/** One that nobody has sized yet: it costs nothing while it is idle, and takes little of a small database. */
const smallDevFleet: FleetSettings = {
  instanceType: 't4g.micro',
  minimum: 0,
  maximum: 1,
  ...commonScaling,
  rootVolumeGib: 8,
  drainSeconds: 60,
  ...commonLeaving,
  logLevel: 'info',
};
const devFleet: FleetSettings = { ...smallDevFleet, maximum: 2 };
const prodFleet: FleetSettings = {
  instanceType: 'm7g.medium',
  minimum: 2,
  maximum: 10,
  ...commonScaling,
  rootVolumeGib: 8,
  drainSeconds: 60,
  ...commonLeaving,
  logLevel: 'info',
};

const commonWatching = { alarmEmails: [], runbook: 'docs/operations.md' };
const devWatching: WatchingSettings = { ...commonWatching, ageObjectiveSeconds: 1800, workerLogRetentionDays: 7 };
const prodWatching: WatchingSettings = { ...commonWatching, ageObjectiveSeconds: 600, workerLogRetentionDays: 90 };

const commonDatabase = {
  instanceNumber: 1,
  backupWindow: '02:00-03:00',
  maintenanceWindow: 'sun:03:30-sun:04:30',
  certificateAuthority: 'rds-ca-rsa2048-g1',
} satisfies Partial<DatabaseSettings>;
const devDatabase: DatabaseSettings = {
  ...commonDatabase,
  instanceClass: 'db.t4g.micro',
  allocatedStorageGib: 20,
  maxAllocatedStorageGib: 50,
  multiAz: false,
  backupRetentionDays: 1,
  insightsMode: 'standard',
  monitoringIntervalSeconds: 0,
  logRetentionDays: 7,
  deletionProtection: false,
  removalPolicy: 'destroy',
};
const prodDatabase: DatabaseSettings = {
  ...commonDatabase,
  instanceClass: 'db.m7g.large',
  allocatedStorageGib: 100,
  maxAllocatedStorageGib: 500,
  multiAz: true,
  backupRetentionDays: 14,
  insightsMode: 'advanced',
  monitoringIntervalSeconds: 60,
  logRetentionDays: 90,
  deletionProtection: true,
  removalPolicy: 'snapshot',
};

const stages = {
  dev: {
    queues: byKind(devQueue, { ...devQueue, ...fifo }),
    fleets: { ...perWorkload(() => smallDevFleet), orders: devFleet, ledger: devFleet },
    database: devDatabase,
    network: {
      cidr: '10.60.0.0/16',
      availabilityZones: 2,
      flowLogRetentionDays: 1,
      egress: 'endpoints',
      endpointZones: 1,
    },
    watching: devWatching,
    queueRemovalPolicy: 'destroy',
    terminationProtection: false,
  },
  prod: {
    queues: byKind(prodQueue, { ...prodQueue, ...fifo }),
    fleets: perWorkload(() => prodFleet),
    database: prodDatabase,
    network: {
      cidr: '10.60.0.0/16',
      availabilityZones: 2,
      flowLogRetentionDays: 90,
      egress: 'endpoints',
      endpointZones: 2,
    },
    watching: prodWatching,
    queueRemovalPolicy: 'retain',
    terminationProtection: true,
  },
} satisfies Record<string, StageSettings>;

export type Stage = keyof typeof stages;
export const stageNames = Object.keys(stages) as readonly Stage[];
export const DEFAULT_STAGE: Stage = 'dev';

/**
 * The checked configuration of a stage.
 *
 * @throws ConfigurationError when there is no such stage, or when its object is not valid.
 */
export function configurationOf(stage: string): StageConfiguration {
  const named = stageNames.find((name) => name === stage);
  if (named === undefined) {
    throw new ConfigurationError(`stage ${JSON.stringify(stage)} is unknown; allowed: ${stageNames.join(', ')}`);
  }
  return checkedConfiguration(named, stages[named]);
}
