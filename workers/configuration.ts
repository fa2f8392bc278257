/**
 * What a worker is told by its environment, parsed once at the start. The README has the table.
 *
 * The names of PostgreSQL's own client library are taken where it has one.
 */
import assert from 'node:assert/strict';
import { z } from 'zod';
import type { InstanceSettings } from './instance/instance.ts';
import type { Database } from './store/connection.ts';
import { loginToken } from './store/login-token.ts';

/** The only mode that proves whom a token is sent to. */
const SSL_MODE = 'verify-full';

/** One of them is needed. */
const DATABASE_NAMES = ['DATABASE_URL', 'PGHOST'];

const environmentSchema = z.object({
  QUEUE_URL: z.url({ protocol: /^https?$/ }),
  DEAD_LETTER_QUEUE_URL: z.url({ protocol: /^https?$/ }),
  AWS_REGION: z.string().min(1).optional(),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  PGHOST: z.string().min(1).optional(),
  PGPORT: z.coerce.number().int().min(1).max(65_535).default(5432),
  PGDATABASE: z.string().min(1).default('sluice'),
  PGUSER: z.string().min(1).default('sluice_worker'),
  PGSSLMODE: z.string().min(1).default(SSL_MODE),
  PGSSLROOTCERT: z.string().min(1).optional(),
  STAGE: z.string().min(1).optional(),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** How long a stop may take. At least 25 lets idle long polls end by themselves. */
  DRAIN_SECONDS: z.coerce.number().int().min(1).max(3_600).default(60),
  LIVENESS_FILE: z.string().min(1).optional(),
  METRICS_INTERVAL_SECONDS: z.coerce.number().min(0.1).max(60).default(60),
  AUTO_SCALING_GROUP_NAME: z.string().min(1).optional(),
  LAUNCH_HOOK_NAME: z.string().min(1).default('ready'),
  TERMINATION_HOOK_NAME: z.string().min(1).default('drain'),
  /** As the SDK names it, which asks there for the credentials of an instance. */
  AWS_EC2_METADATA_SERVICE_ENDPOINT: z.url({ protocol: /^http$/ }).default('http://169.254.169.254'),
  /** A Spot instance has two minutes from its notice: AWS advises to look every five seconds. */
  NOTICE_INTERVAL_SECONDS: z.coerce.number().min(0.05).max(30).default(5),
  HEARTBEAT_INTERVAL_SECONDS: z.coerce.number().min(0.05).max(60).default(30),
});

export interface WorkerConfiguration {
  readonly queueUrl: string;
  readonly deadLetterQueueUrl: string;
  readonly region: string | undefined;
  readonly database: Database;
  /** Named in every log line; undefined where nobody said. */
  readonly stage: string | undefined;
  readonly logLevel: string;
  readonly drainSeconds: number;
  readonly metricsIntervalSeconds: number;
  /** Touched every five seconds while the worker does its work; undefined for nowhere. */
  readonly livenessFile: string | undefined;
  /** Its place in an Auto Scaling group; undefined where there is none. */
  readonly instance: InstanceSettings | undefined;
}

/** @throws Error naming every variable that is missing or wrong. */
export function readConfiguration(environment: NodeJS.ProcessEnv): WorkerConfiguration {
  const parsed = environmentSchema.safeParse(environment);
  const faults = (parsed.error?.issues ?? []).map(({ path, message }) => {
    const name = path.join('.');
    return environment[name] === undefined ? `${name} is not set` : `${name}: ${message}`;
  });
  if (!DATABASE_NAMES.some((name) => environment[name] !== undefined)) {
    faults.push(`neither ${DATABASE_NAMES.join(' nor ')} is set`);
  }
  if (!parsed.success || faults.length > 0) {
    throw new Error(`cannot start, because the environment is incomplete or wrong: ${faults.join('; ')}`);
  }
  const values = parsed.data;
  return {
    queueUrl: values.QUEUE_URL,
    deadLetterQueueUrl: values.DEAD_LETTER_QUEUE_URL,
    region: values.AWS_REGION,
    database: readDatabase(values),
    stage: values.STAGE,
    logLevel: values.LOG_LEVEL,
    drainSeconds: values.DRAIN_SECONDS,
    metricsIntervalSeconds: values.METRICS_INTERVAL_SECONDS,
    livenessFile: values.LIVENESS_FILE,
    instance: readInstance(values),
  };
}

/** The name of the group says that there is one: what runs elsewhere is not told it, and asks for no metadata. */
function readInstance(values: z.infer<typeof environmentSchema>): InstanceSettings | undefined {
  if (values.AUTO_SCALING_GROUP_NAME === undefined) return undefined;
  return {
    groupName: values.AUTO_SCALING_GROUP_NAME,
    launchHookName: values.LAUNCH_HOOK_NAME,
    terminationHookName: values.TERMINATION_HOOK_NAME,
    metadataEndpoint: values.AWS_EC2_METADATA_SERVICE_ENDPOINT,
    noticeIntervalSeconds: values.NOTICE_INTERVAL_SECONDS,
    heartbeatIntervalSeconds: values.HEARTBEAT_INTERVAL_SECONDS,
  };
}

function readDatabase(values: z.infer<typeof environmentSchema>): Database {
  if (values.DATABASE_URL !== undefined) return { name: 'url', url: values.DATABASE_URL };
  assert(values.PGHOST !== undefined, 'the environment was looked through for it');
  if (values.PGSSLMODE !== SSL_MODE) {
    throw new Error(
      `cannot start: PGSSLMODE is ${values.PGSSLMODE}; with PGHOST only ${SSL_MODE} is allowed. Set it so, or use DATABASE_URL`,
    );
  }
  const { PGHOST: host, PGPORT: port, PGUSER: user, AWS_REGION: region } = values;
  return {
    name: 'host',
    host,
    port,
    database: values.PGDATABASE,
    user,
    password: loginToken({ host, port, user, region }),
    certificateFile: values.PGSSLROOTCERT,
  };
}
