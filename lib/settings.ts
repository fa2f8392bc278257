/**
 * What a stage can vary: every setting, what is allowed for it, and what has to fit together.
 *
 * Holds always: a range has its reason beside it, here or where its constant is; an object knows all of its settings, so
 * that one that is spelt wrong is an error; units stand last in the names.
 */
import { isIPv4 } from 'node:net';
import { z } from 'zod';
import {
  ACCEPTABLE_LATENCY_MAX_SECONDS,
  ACCEPTABLE_LATENCY_MIN_SECONDS,
  backlogPerInstanceMessages,
  INSTANCE_RATE_MAX_MESSAGES_PER_SECOND,
  INSTANCE_RATE_MIN_MESSAGES_PER_SECOND,
} from './constructs/backlog-target.ts';
import { connectionProblem } from './constructs/connection-budget.ts';
import {
  BACKUP_WINDOW_ALLOWED,
  CERTIFICATE_AUTHORITIES,
  INSIGHTS_MODES,
  isBackupWindow,
  isMaintenanceWindow,
  MAINTENANCE_WINDOW_ALLOWED,
  MONITORING_INTERVALS_SECONDS,
  windowsMeet,
} from './constructs/database-limits.ts';
import { GRAVITON_TYPE_ALLOWED, isGravitonType, memoryProblem } from './constructs/instance-types.ts';
import { HOOK_MAX_SECONDS, LEAVE_MARGIN_SECONDS, SPOT_DRAIN_MAX_SECONDS } from './constructs/leave-limits.ts';
import {
  ACCOUNT_ID,
  ACCOUNT_ID_ALLOWED,
  DELIVERY_DELAY_MAX_SECONDS,
  MESSAGE_SIZE_MAX_BYTES,
  MESSAGE_SIZE_MIN_BYTES,
  ORGANIZATION_ID,
  ORGANIZATION_ID_ALLOWED,
  PRODUCERS_MAX,
  RECEIVES_MAX,
  RECEIVES_MIN,
  RETENTION_MAX_DAYS,
  VISIBILITY_TIMEOUT_MAX_SECONDS,
  VISIBILITY_TIMEOUT_MIN_SECONDS,
} from './constructs/queue-limits.ts';
import {
  byKind,
  isWorkloadName,
  perWorkload,
  WORKLOAD_NAME_ALLOWED,
  type WorkloadName,
  workloadNames,
} from './workloads.ts';

/** A setting, a stage or a combination of settings that is not allowed; its message is for a person. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** An idle long poll ends by itself within 20 s; EC2 kills a stopping instance after some minutes, whatever it does. */
const DRAIN_MIN_SECONDS = 25;
const DRAIN_MAX_SECONDS = 900;
/** Of the 40 that Auto Scaling takes, far more than differ in what they are good for. */
const SPOT_TYPES_MAX = 20;
/** As many as anybody restores in a stage's life; two digits keep the name of the instance within the 63 of RDS. */
const INSTANCE_NUMBER_MAX = 99;
/** As RDS names its own, `rds:sluice-prod-2026-11-27-02-05`, as people name theirs, and as other accounts share them. */
const SNAPSHOT = /^(arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:snapshot:)?(rds:)?[A-Za-z](-?[A-Za-z0-9])*$/;
const SNAPSHOT_ALLOWED = 'the name or the ARN of a snapshot of RDS, such as sluice-prod-before-the-fault';
/** One instance that EC2 does not take back, so that work goes on when it takes all others. */
export const ON_DEMAND_BASE_DEFAULT = 1;
/** RDS refuses a storage ceiling closer than this to what it starts with. */
const STORAGE_CEILING_RATIO = 1.1;
/** What CloudWatch Logs keeps, for no other number of days: up to ten years. */
const LOG_RETENTIONS_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653] as const;
/** RFC 1918; no wider than a VPC may be, no narrower than its six subnets need. */
const PRIVATE_RANGE = /^(10\.\d+|172\.(1[6-9]|2\d|3[01])|192\.168)\.\d+\.\d+\/(1[6-9]|2[0-2])$/;
const PRIVATE_RANGE_ALLOWED = 'a private IPv4 range with a prefix of /16 to /22, such as 10.60.0.0/16';

// An error text of a schema is what is allowed; `problemIn` puts stage, field and value in front of it.

function whole(minimum: number, maximum: number) {
  const allowed = minimum === maximum ? String(minimum) : `${minimum} to ${maximum}`;
  return z.int(`a whole number, ${allowed}`).min(minimum, allowed).max(maximum, allowed);
}

function rate(minimum: number, maximum: number) {
  const allowed = `${minimum} to ${maximum}`;
  return z.number(`a number, ${allowed}`).min(minimum, allowed).max(maximum, allowed);
}

function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, `one of ${values.join(', ')}`);
}

function logRetentionDays() {
  return z.literal([...LOG_RETENTIONS_DAYS], `one of ${LOG_RETENTIONS_DAYS.join(', ')}`);
}

function text(pattern: RegExp, allowed: string) {
  return z.string(allowed).regex(pattern, allowed);
}

function instanceType() {
  return z.string(GRAVITON_TYPE_ALLOWED).superRefine((type, context) => {
    const message = isGravitonType(type) ? memoryProblem(type) : GRAVITON_TYPE_ALLOWED;
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
}

const flag = () => z.boolean('true or false');

function listOf<Item extends z.ZodType<string>>(item: Item, maximum: number, allowed = `a list of at most ${maximum}`) {
  return z
    .array(item, allowed)
    .max(maximum, `a list of at most ${maximum}`)
    .refine((items) => new Set(items).size === items.length, 'each of them once');
}

/** An object that knows all its settings: one that it does not know is a mistake, most often of spelling. */
function settings<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, `settings ${Object.keys(shape).join(', ')}`);
}

const queueShape = {
  /** How long a received message stays hidden from other consumers; 60 to 43200, dev 60, prod 120. */
  visibilityTimeoutSeconds: whole(VISIBILITY_TIMEOUT_MIN_SECONDS, VISIBILITY_TIMEOUT_MAX_SECONDS),
  /** How long every message waits before it can be received; 0 to 900 and well below `ageObjectiveSeconds`, default 0. */
  deliveryDelaySeconds: whole(0, DELIVERY_DELAY_MAX_SECONDS),
  /** How long a message waits for a worker before SQS drops it; 1 to 14, default 4. */
  retentionDays: whole(1, RETENTION_MAX_DAYS),
  /** How long a dead letter waits for a person; `retentionDays` to 14, default 14. */
  deadLetterRetentionDays: whole(1, RETENTION_MAX_DAYS),
  /** How often a message is received before it becomes a dead letter; 4 to 1000, default 5. */
  maxReceiveCount: whole(RECEIVES_MIN, RECEIVES_MAX),
  /** The largest message that the queue takes; 1024 to 1048576, default 1048576. */
  maximumMessageSizeBytes: whole(MESSAGE_SIZE_MIN_BYTES, MESSAGE_SIZE_MAX_BYTES),
  /** How long SQS uses a data key before it asks KMS for another; 1 to 1440, dev 60 (cheaper), prod 5 (a key withdrawn works sooner). */
  dataKeyReuseMinutes: whole(1, 1440),
  /** Other accounts that may send here; at most 40, default none. */
  producerAccountIds: listOf(text(ACCOUNT_ID, ACCOUNT_ID_ALLOWED), PRODUCERS_MAX),
  /** Organizations whose accounts may send here; at most 40, default none. */
  producerOrganizationIds: listOf(text(ORGANIZATION_ID, ORGANIZATION_ID_ALLOWED), PRODUCERS_MAX),
};

const fifoQueueShape = {
  ...queueShape,
  /** Whether throughput and duplicates are counted by message group, SQS's high-throughput mode; default true. */
  highThroughput: flag(),
  /** Whether the hash of the body stands for a deduplication id that is missing; default false. */
  contentBasedDeduplication: flag(),
};

/** A dead letter on a standard queue keeps its age: a shorter retention would drop it as it arrives. */
function checkRetention(
  queue: { readonly retentionDays: number; readonly deadLetterRetentionDays: number },
  context: z.core.$RefinementCtx,
): void {
  if (queue.deadLetterRetentionDays >= queue.retentionDays) return;
  context.addIssue({
    code: 'custom',
    path: ['deadLetterRetentionDays'],
    message: `${queue.retentionDays} (retentionDays) to ${RETENTION_MAX_DAYS}`,
  });
}

const queueSettings = settings(queueShape).superRefine(checkRetention);
const fifoQueueSettings = settings(fifoQueueShape).superRefine(checkRetention);

/** A worker that is still draining when its group or EC2 has waited long enough is cut off. */
function checkDrain(
  fleet: {
    readonly drainSeconds: number;
    readonly terminationHookSeconds: number;
    readonly spotInstanceTypes: readonly string[];
  },
  context: z.core.$RefinementCtx,
): void {
  const max = fleet.terminationHookSeconds - LEAVE_MARGIN_SECONDS;
  const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['drainSeconds'], message });
  if (fleet.drainSeconds > max) {
    refuse(`${DRAIN_MIN_SECONDS} to ${max} (terminationHookSeconds less ${LEAVE_MARGIN_SECONDS})`);
  } else if (fleet.spotInstanceTypes.length > 0 && fleet.drainSeconds > SPOT_DRAIN_MAX_SECONDS) {
    refuse(`${DRAIN_MIN_SECONDS} to ${SPOT_DRAIN_MAX_SECONDS} (what a Spot notice of two minutes leaves)`);
  }
}

/** What does nothing is a mistake: a type that is there already, or a number that only Spot gives a meaning. */
function checkPurchase(
  fleet: {
    readonly instanceType: string;
    readonly spotInstanceTypes: readonly string[];
    readonly onDemandBase: number;
  },
  context: z.core.$RefinementCtx,
): void {
  const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
  if (fleet.spotInstanceTypes.includes(fleet.instanceType)) {
    refuse('spotInstanceTypes', `types other than instanceType, ${fleet.instanceType}`);
  }
  if (fleet.spotInstanceTypes.length === 0 && fleet.onDemandBase !== ON_DEMAND_BASE_DEFAULT) {
    refuse(
      'onDemandBase',
      `${ON_DEMAND_BASE_DEFAULT}, unless there are spotInstanceTypes: without them all instances are on demand`,
    );
  }
}

const fleetSettings = settings({
  /** The EC2 instance type, Graviton because the image is arm64, at least micro; dev t4g.micro, prod m7g.medium. */
  instanceType: instanceType(),
  /**
   * The fewest instances, also when nothing is to do; 0 to 100, dev 0 (costs nothing while nothing comes), prod 2.
   *
   * With 0 the fleet starts at the first visible message; SQS reports that up to 15 minutes late on a queue that
   * nobody has used for six hours.
   */
  minimum: whole(0, 100),
  /** The most instances that a backlog can ask for; `minimum` to 100 and what the database serves, dev 2, prod 10. */
  maximum: whole(1, 100),
  /**
   * How long a message may wait before the fleet grows; 60 to 43200, default 60.
   *
   * Take it from what those who send expect, and measure what they get: `dwellSeconds` of the workers' metric lines is
   * the wait from the sending to the commit. What is shorter than the minute that CloudWatch counts and the minutes that
   * an instance starts is kept by `minimum`, not by growing.
   */
  acceptableLatencySeconds: whole(ACCEPTABLE_LATENCY_MIN_SECONDS, ACCEPTABLE_LATENCY_MAX_SECONDS),
  /**
   * The messages that one instance works off in a second; 0.001 to 100000, default 2683.
   *
   * To measure it, let a backlog form that lasts for some minutes, keep the fleet's size, and divide the sum of the
   * queue's `NumberOfMessagesDeleted` in such a minute by 60 and by the instances. The default is half of the 5,367 that
   * two workers of docs/performance.md committed, one row and one key a message, on two cores of an AMD EPYC with
   * PostgreSQL beside them: a real write on a small instance does less, and a figure too high lets messages wait longer.
   */
  messagesPerSecondPerInstance: rate(INSTANCE_RATE_MIN_MESSAGES_PER_SECOND, INSTANCE_RATE_MAX_MESSAGES_PER_SECOND),
  /** The size of the encrypted root volume; 8 to 100, default 8. */
  rootVolumeGib: whole(8, 100),
  /** How long a worker that is told to stop may take for what it holds; 25 to 900, default 60. */
  drainSeconds: whole(DRAIN_MIN_SECONDS, DRAIN_MAX_SECONDS),
  /**
   * How long the group waits for the word of a worker that leaves; 85 to 7200, at least 60 more than `drainSeconds`,
   * default 180. After that the instance goes whatever its worker does.
   */
  terminationHookSeconds: whole(DRAIN_MIN_SECONDS + LEAVE_MARGIN_SECONDS, HOOK_MAX_SECONDS),
  /**
   * Further Graviton types that instances may have as Spot, each once; at most 20, none for a fleet that is all on demand,
   * default none.
   */
  spotInstanceTypes: listOf(instanceType(), SPOT_TYPES_MAX),
  /** How many instances stay on demand before others are Spot; 0 to 100 where `spotInstanceTypes` has any, default 1. */
  onDemandBase: whole(0, 100),
  /** The least severe line that a worker logs: debug, info, warn or error; default info. */
  logLevel: oneOf(['debug', 'info', 'warn', 'error']),
}).superRefine((fleet, context) => {
  checkDrain(fleet, context);
  checkPurchase(fleet, context);
  if (fleet.minimum > fleet.maximum) {
    context.addIssue({ code: 'custom', path: ['minimum'], message: `0 to ${fleet.maximum} (maximum)` });
  }
  if (backlogPerInstanceMessages(fleet.acceptableLatencySeconds, fleet.messagesPerSecondPerInstance) < 1) {
    context.addIssue({
      code: 'custom',
      path: ['acceptableLatencySeconds'],
      message: `at least one message's time, ${Math.ceil(1 / fleet.messagesPerSecondPerInstance)} at messagesPerSecondPerInstance ${fleet.messagesPerSecondPerInstance}`,
    });
  }
});

const databaseSettings = settings({
  /**
   * Which database of the stage this is, one after the other: 1 is called sluice-<stage>, 2 sluice-<stage>-2; 1 to 99, above
   * 1 with a `snapshotIdentifier` alone, default 1. Another number replaces the database.
   */
  instanceNumber: whole(1, INSTANCE_NUMBER_MAX),
  /**
   * The snapshot that the database begins with, by its name or ARN; it stays here as long as that database does. Default
   * none: an empty database.
   */
  snapshotIdentifier: text(SNAPSHOT, SNAPSHOT_ALLOWED).optional(),
  /** The class of the instance, Graviton; dev db.t4g.micro, prod db.m7g.large. */
  instanceClass: text(/^db\.[a-z]+\d+g[a-z]*\.[a-z0-9]+$/, 'a Graviton instance class such as db.t4g.micro'),
  /** The storage that the database starts with; 20 to 65536, dev 20, prod 100. */
  allocatedStorageGib: whole(20, 65_536),
  /** The size up to which RDS grows the storage by itself, at least a tenth above the start; 22 to 65536, dev 50, prod 500. */
  maxAllocatedStorageGib: whole(22, 65_536),
  /** Whether a standby in a second availability zone takes over when the first fails; dev false, prod true. */
  multiAz: flag(),
  /** How many days of point-in-time recovery are kept; 1 to 35, dev 1, prod 14. */
  backupRetentionDays: whole(1, 35),
  /** When RDS takes its daily backup, UTC; at least 30 minutes, default 02:00-03:00. */
  backupWindow: z.string(BACKUP_WINDOW_ALLOWED).refine(isBackupWindow, BACKUP_WINDOW_ALLOWED),
  /** When RDS may restart it for a minor version, UTC; 30 minutes to a day, not while it takes its backup, default sun:03:30-sun:04:30. */
  maintenanceWindow: z.string(MAINTENANCE_WINDOW_ALLOWED).refine(isMaintenanceWindow, MAINTENANCE_WINDOW_ALLOWED),
  /** What Database Insights keeps: standard 7 days for nothing, advanced 15 months for a price by the processor; dev standard, prod advanced. */
  insightsMode: oneOf(INSIGHTS_MODES),
  /** How often RDS writes down what the machine and its processes do: 0 (never), 1, 5, 10, 15, 30 or 60; dev 0, prod 60. */
  monitoringIntervalSeconds: z.literal(
    [...MONITORING_INTERVALS_SECONDS],
    `one of ${MONITORING_INTERVALS_SECONDS.join(', ')}`,
  ),
  /** Who signs the server's certificate: rds-ca-rsa2048-g1, rds-ca-rsa4096-g1 or rds-ca-ecc384-g1; default rds-ca-rsa2048-g1. */
  certificateAuthority: oneOf(CERTIFICATE_AUTHORITIES),
  /** How long the lines of PostgreSQL and of the migration step are kept, in the days that CloudWatch Logs knows; dev 7, prod 90. */
  logRetentionDays: logRetentionDays(),
  /** Whether RDS refuses to delete the database; dev false, prod true. */
  deletionProtection: flag(),
  /** What becomes of the database when its stack is deleted; dev destroy, prod snapshot. */
  removalPolicy: oneOf(['destroy', 'snapshot', 'retain']),
}).superRefine((database, context) => {
  if (database.instanceNumber > 1 && database.snapshotIdentifier === undefined) {
    context.addIssue({
      code: 'custom',
      path: ['snapshotIdentifier'],
      message: `the snapshot that database ${database.instanceNumber} (instanceNumber) began with; without it an empty one would take its place`,
    });
  }
  const ceilingMin = Math.ceil(database.allocatedStorageGib * STORAGE_CEILING_RATIO);
  if (database.maxAllocatedStorageGib < ceilingMin) {
    context.addIssue({
      code: 'custom',
      path: ['maxAllocatedStorageGib'],
      message: `${ceilingMin} (a tenth above allocatedStorageGib) to 65536`,
    });
  }
  if (windowsMeet(database.backupWindow, database.maintenanceWindow)) {
    context.addIssue({
      code: 'custom',
      path: ['maintenanceWindow'],
      message: `hours that do not meet the backupWindow, ${database.backupWindow}`,
    });
  }
});

/** What is allowed instead of a range whose address is none, or lies within it, which EC2 would silently move. */
function rangeProblem(cidr: string): string | undefined {
  const [address = '', prefix] = cidr.split('/');
  if (!isIPv4(address)) return PRIVATE_RANGE_ALLOWED;
  const parts = address.split('.').map(Number);
  const hostBits = 32 - Number(prefix);
  const beginning = parts.map((part, index) => part & ~((2 ** hostBits - 1) >>> (8 * (3 - index)))).join('.');
  return beginning === address ? undefined : `${beginning}/${prefix}, which is where that range begins`;
}

const networkShape = {
  /** The addresses of the VPC; a private range with a prefix of /16 to /22, default 10.60.0.0/16. */
  cidr: text(PRIVATE_RANGE, PRIVATE_RANGE_ALLOWED).superRefine((cidr, context) => {
    const message = rangeProblem(cidr);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  }),
  /** How many availability zones the subnets span; 2, the most that a template without an account can name. */
  availabilityZones: whole(2, 2),
  /** How long it is kept what went through the network, in the days that CloudWatch Logs knows; dev 1, prod 90. */
  flowLogRetentionDays: logRetentionDays(),
};

/** The way to AWS's services: docs/network.md compares what either costs. */
const networkSettings = z.discriminatedUnion(
  'egress',
  [
    settings({
      ...networkShape,
      /** Through endpoints in the network, which has no other way out; dev and prod. */
      egress: z.literal('endpoints'),
      /** In how many zones every endpoint is; 1 to 2, dev 1 (cheaper), prod 2 (a zone that fails takes none with it). */
      endpointZones: whole(1, 2),
    }),
    settings({
      ...networkShape,
      /** Through NAT gateways, by which anything that speaks HTTPS can be reached. */
      egress: z.literal('nat'),
      /** How many NAT gateways carry what the workers send; 1 to 2, one for each zone at most. */
      natGateways: whole(1, 2),
    }),
  ],
  'one of endpoints, nat',
);

/** CloudWatch looks at the age once a minute; who is told a day later might as well look in the morning. */
const AGE_OBJECTIVE_MIN_SECONDS = 60;
const AGE_OBJECTIVE_MAX_SECONDS = 86_400;
const DAY_IN_SECONDS = 86_400;
/** The mail programs of a team; a larger circle subscribes to the topic by itself. */
const ALARM_EMAILS_MAX = 10;

const watchingSettings = settings({
  /** How long a message may wait at the worst before a person is told; 60 to 86400, dev 1800, prod 600. */
  ageObjectiveSeconds: whole(AGE_OBJECTIVE_MIN_SECONDS, AGE_OBJECTIVE_MAX_SECONDS),
  /** How long the workers' lines are kept, in the days that CloudWatch Logs knows; dev 7, prod 90. */
  workerLogRetentionDays: logRetentionDays(),
  /** Who gets a mail of every alarm; at most 10 addresses, default none. */
  alarmEmails: listOf(z.email('an e-mail address'), ALARM_EMAILS_MAX, 'a list of e-mail addresses'),
  /** Where docs/operations.md is read, without an anchor; it stands in every alarm. */
  runbook: text(/^[^\s#"'\\]{1,200}$/, 'an address or a path without an anchor, such as docs/operations.md'),
});

const stageSettings = settings({
  /** The work queue of each workload, with its dead-letter queue. */
  queues: settings(byKind(queueSettings, fifoQueueSettings)),
  /** The worker fleet of each workload. */
  fleets: settings(perWorkload(() => fleetSettings)),
  /** The PostgreSQL database that all fleets write to. */
  database: databaseSettings,
  /** The VPC that fleets and database live in. */
  network: networkSettings,
  /** What is told to whom. */
  watching: watchingSettings,
  /** What becomes of the queues and their key when the stack is deleted; dev destroy, prod retain. */
  queueRemovalPolicy: oneOf(['destroy', 'retain']),
  /** Whether CloudFormation refuses to delete the stacks that hold what cannot be made again, database and queues; dev false, prod true. */
  terminationProtection: flag(),
}).superRefine(({ queues, fleets, database, watching }, context) => {
  const tooSmall = connectionProblem(database.instanceClass, fleets);
  if (tooSmall !== undefined) {
    context.addIssue({ code: 'custom', path: ['database', 'instanceClass'], message: tooSmall });
  }
  const objective = objectiveProblem(watching, queues, fleets);
  if (objective !== undefined) {
    context.addIssue({ code: 'custom', path: ['watching', 'ageObjectiveSeconds'], message: objective });
    return;
  }
  for (const name of workloadNames) {
    const { acceptableLatencySeconds } = fleets[name];
    // What is held back for longer is late however fast it is worked off.
    const max = watching.ageObjectiveSeconds - acceptableLatencySeconds - 1;
    if (queues[name].deliveryDelaySeconds <= max) continue;
    context.addIssue({
      code: 'custom',
      path: ['queues', name, 'deliveryDelaySeconds'],
      message: `0 to ${max} (ageObjectiveSeconds, ${watching.ageObjectiveSeconds}, less acceptableLatencySeconds, ${acceptableLatencySeconds})`,
    });
  }
});

/** An age that is reached in good order would call people for nothing, and one that is never reached would call nobody. */
function objectiveProblem(
  { ageObjectiveSeconds }: { readonly ageObjectiveSeconds: number },
  queues: Readonly<Record<WorkloadName, { readonly retentionDays: number }>>,
  fleets: Readonly<Record<WorkloadName, { readonly acceptableLatencySeconds: number }>>,
): string | undefined {
  const [slowest] = workloadNames.toSorted(
    (one, other) => fleets[other].acceptableLatencySeconds - fleets[one].acceptableLatencySeconds,
  );
  const [shortest] = workloadNames.toSorted((one, other) => queues[one].retentionDays - queues[other].retentionDays);
  if (slowest === undefined || shortest === undefined) return undefined;
  const { acceptableLatencySeconds } = fleets[slowest];
  const { retentionDays } = queues[shortest];
  const min = Math.max(AGE_OBJECTIVE_MIN_SECONDS, acceptableLatencySeconds + 1);
  const max = Math.min(AGE_OBJECTIVE_MAX_SECONDS, retentionDays * DAY_IN_SECONDS - 1);
  if (ageObjectiveSeconds < min) {
    return `${min} to ${max}, above acceptableLatencySeconds of fleets.${slowest}, ${acceptableLatencySeconds}`;
  }
  if (ageObjectiveSeconds > max) {
    return `${min} to ${max}, below retentionDays of queues.${shortest}, ${retentionDays}`;
  }
  return undefined;
}

export type QueueSettings = z.infer<typeof queueSettings>;
export type FifoQueueSettings = z.infer<typeof fifoQueueSettings>;
export type FleetSettings = z.infer<typeof fleetSettings>;
export type DatabaseSettings = z.infer<typeof databaseSettings>;
export type NetworkSettings = z.infer<typeof networkSettings>;
export type WatchingSettings = z.infer<typeof watchingSettings>;
export type StageSettings = z.infer<typeof stageSettings>;

/** Everything that the stacks of one stage are built from. */
export interface StageConfiguration extends StageSettings {
  /** The name of the stage; part of the name of every stack and every queue. */
  readonly stage: string;
}

/**
 * A candidate, checked: every field within its range, no unknown field, fields that fit each other.
 *
 * @throws ConfigurationError with one line per problem: stage, field, value and what is allowed.
 */
export function checkedConfiguration(stage: string, candidate: unknown): StageConfiguration {
  // Stage and workload are parts of physical names: `sluice-<stage>-ledger-dlq.fifo` has to stay within 80 characters.
  for (const name of workloadNames.filter((each) => !isWorkloadName(each))) {
    throw new ConfigurationError(
      `workload name ${JSON.stringify(name)} cannot be used; allowed: ${WORKLOAD_NAME_ALLOWED}`,
    );
  }
  if (!/^[a-z][a-z0-9]{0,19}$/.test(stage)) {
    throw new ConfigurationError(
      `stage name ${JSON.stringify(stage)} cannot be used; allowed: 1 to 20 lower-case letters and digits, a letter first`,
    );
  }
  const result = stageSettings.safeParse(candidate);
  if (!result.success) {
    throw new ConfigurationError(
      result.error.issues.map((issue) => `stage ${stage}: ${problemIn(candidate, issue)}`).join('\n'),
    );
  }
  return { stage, ...result.data };
}

function problemIn(candidate: unknown, issue: z.core.$ZodIssue): string {
  const field = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys.map((key) => (field === '' ? key : `${field}.${key}`)).join(', ');
    return `${unknown} is not a setting; allowed: ${issue.message.replace(/^settings /, '')}`;
  }
  const value = valueAt(candidate, issue.path);
  const found = value === undefined ? 'missing' : JSON.stringify(value);
  return `${field === '' ? 'the configuration' : field} is ${found}; allowed: ${issue.message}`;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}
