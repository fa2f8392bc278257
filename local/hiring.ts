/** The fleets of the template as processes of this machine, each with the queue that it works off. */
import { queueUrl, type Servers, type System } from './assembly/system.ts';
import type { Credentials } from './credentials.ts';
import { LocalFleet } from './fleet.ts';
import type { RunFolder } from './machine/run-folder.ts';
import type { WorkQueue } from './monitor.ts';

/** Less than the workers need to let idle polls end by themselves: a person who pressed Ctrl-C is waiting. */
const DRAIN_SECONDS = 15;
/**
 * Enough for idle polls to end by themselves. A server other than the embedded one may not see that a poll was cut off,
 * and would hand it messages, which the next run then misses for a visibility timeout.
 */
const DRAIN_SECONDS_ON_OTHER_SQS = 30;
const METRICS_INTERVAL_SECONDS = 1;

export interface HiringOptions {
  readonly run: RunFolder;
  readonly system: System;
  readonly servers: Servers;
  /** Whether the SQS server is the one that the run brings along. */
  readonly embeddedSqs: boolean;
  readonly databaseUrl: string;
  readonly credentials: Credentials;
  /** Of the person who started the run. */
  readonly environment: NodeJS.ProcessEnv;
  /** Workers per fleet. @default each fleet's minimum, at least 1 */
  readonly workers: number | undefined;
  readonly onEvent: (event: string) => void;
  readonly onFailure: (error: Error) => void;
}

/**
 * One fleet per launch template; none is started yet. Which works on which queue is what the template says: its QUEUE_URL.
 *
 * @throws Error when a fleet names a queue that is not in the assembly.
 */
export function hireFleets(options: HiringOptions): WorkQueue[] {
  const { run, system, servers, workers, onEvent, onFailure } = options;
  return system.fleets.map((description) => {
    const { QUEUE_URL: url, DEAD_LETTER_QUEUE_URL: deadLetterUrl } = description.environment;
    const queue = system.queues.find(({ name }) => queueUrl(servers, name) === url);
    if (queue === undefined || url === undefined || deadLetterUrl === undefined) {
      throw new Error(
        `the fleet ${description.name} names no queue of the assembly in QUEUE_URL and DEAD_LETTER_QUEUE_URL`,
      );
    }
    const fleet = new LocalFleet({
      run,
      fleet: description,
      workers: workers ?? Math.max(1, description.minimum),
      environment: { ...description.environment, ...machineEnvironment(options) },
      drainSeconds: drainSeconds(options),
      onEvent,
      onFailure,
    });
    return { name: description.name, queueName: queue.name, url, deadLetterUrl, fleet };
  });
}

/** What a worker needs here on top of what the template gives it. */
function machineEnvironment(options: HiringOptions): NodeJS.ProcessEnv {
  const { environment, credentials, servers, databaseUrl } = options;
  const { PATH, HOME, TZ, NODE_EXTRA_CA_CERTS } = environment;
  const own = Object.entries({ PATH, HOME, TZ, NODE_EXTRA_CA_CERTS }).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(own),
    ...credentials.environment,
    AWS_ENDPOINT_URL_SQS: servers.sqsEndpoint,
    DATABASE_URL: databaseUrl,
    DRAIN_SECONDS: String(drainSeconds(options)),
    METRICS_INTERVAL_SECONDS: String(METRICS_INTERVAL_SECONDS),
  };
}

function drainSeconds({ embeddedSqs }: HiringOptions): number {
  return embeddedSqs ? DRAIN_SECONDS : DRAIN_SECONDS_ON_OTHER_SQS;
}
