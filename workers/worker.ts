/**
 * A worker as a process: joins the runtime (SQS) to the store (PostgreSQL) for one kind of message, and runs
 * until it is told to stop.
 *
 * A person who adds a worker writes a schema, a key and a write function, and calls `runWorker`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { readConfiguration, type WorkerConfiguration } from './configuration.ts';
import { consumerFor, type WorkerDefinition } from './consumer-for.ts';
import { Presence } from './presence.ts';
import type { DrainReport } from './runtime/consumer.ts';
import { checkFacts, SqsQueue } from './runtime/queue-client.ts';
import { realSurroundings } from './runtime/surroundings.ts';
import { Telemetry } from './runtime/telemetry.ts';
import { mends, START_SECONDS_MAX } from './start-failure.ts';
import { openPool } from './store/connection.ts';
import { proveWrite } from './store/rejections.ts';
import type { RenewedPool } from './store/renewed-pool.ts';
import { requireSchema, SchemaTooOldError } from './store/schema.ts';
import { Upkeep } from './upkeep.ts';

const START_PAUSE_MS = 1_000;
const EXIT_CODE_STOPPED = 0;
const EXIT_CODE_CANNOT_START = 1;

/** Runs until it is told to stop, then drains; a second signal ends the process at once. */
export async function runWorker<Payload>(definition: WorkerDefinition<Payload>): Promise<void> {
  const output = pino.destination({ fd: 1, sync: true });
  let log = pino({ name: definition.name, base: { worker: definition.name } }, output);
  try {
    const configuration = readConfiguration(process.env);
    const { logLevel: level, stage } = configuration;
    log = pino({ level, base: { worker: definition.name, stage } }, output);
    const writeLine = (line: string) => output.write(`${line}\n`);
    const telemetry = new Telemetry(definition.name, writeLine, realSurroundings.monotonicMs, stage);
    const presence = await Presence.of(configuration, process.env, log);
    await consume(definition, configuration, presence, telemetry, log);
    await presence.left();
    process.exit(EXIT_CODE_STOPPED);
  } catch (error) {
    // The sentence tells its cause in words; told with `err`, pino would append them once more.
    const err = error instanceof Error ? (error.cause ?? error) : error;
    log.fatal({ err }, error instanceof Error ? error.message : String(error));
    process.exit(EXIT_CODE_CANNOT_START);
  }
}

async function consume<Payload>(
  definition: WorkerDefinition<Payload>,
  configuration: WorkerConfiguration,
  presence: Presence,
  telemetry: Telemetry,
  log: Logger,
): Promise<void> {
  const { stop } = presence;
  const queue = new SqsQueue({
    queueUrl: configuration.queueUrl,
    deadLetterQueueUrl: configuration.deadLetterQueueUrl,
    region: configuration.region,
    onRequest: (operation) => telemetry.request(operation),
    onDamaged: (err) => log.warn({ err }, 'a message is left to come again'),
  });
  const pool = openPool(configuration.database);
  const facts = await reached(
    { what: `the queue ${configuration.queueUrl}`, settings: 'QUEUE_URL, AWS_REGION and the rights of this worker' },
    () => queue.describe(),
    stop,
    log,
  );
  if (facts === undefined) return;
  checkFacts(facts, configuration.queueUrl);
  const isReady = await reached(
    { what: 'the database', settings: 'DATABASE_URL, or PGHOST, PGDATABASE, PGUSER and the rights of this worker' },
    () => requireSchema(pool).then(() => true),
    stop,
    log,
  );
  if (isReady === undefined) return;
  if (!(await takesWrites(definition.name, pool, stop, log))) return;

  const consumer = consumerFor(definition, {
    queue,
    facts,
    queueName: queueName(configuration.queueUrl),
    pool,
    telemetry,
    log,
    surroundings: realSurroundings,
  });
  stop.addEventListener('abort', () => consumer.stop(presence.drainSeconds), { once: true });
  if (stop.aborted) consumer.stop(presence.drainSeconds);
  const { metricsIntervalSeconds, livenessFile } = configuration;
  const upkeep = new Upkeep({ consumer, telemetry, metricsIntervalSeconds, livenessFile, pool, log });
  presence.ready(() => consumer.isAlive);
  log.info(`${definition.name} receives from ${queueName(configuration.queueUrl)}`);
  const report = await consumer.run();
  upkeep.end();
  log.info({ ...report }, drained(definition.name, report));
}

/** False when told to stop meanwhile: a database that only answers is not one that a worker is ready for. */
async function takesWrites(name: string, pool: RenewedPool, stop: AbortSignal, log: Logger): Promise<boolean> {
  const isProved = await reached(
    { what: 'the database', settings: 'its tables, and what its user may write' },
    async () => {
      await proveWrite(pool, name);
      return true;
    },
    stop,
    log,
  );
  return isProved === true;
}

/**
 * Tries until it succeeds; undefined when told to stop meanwhile.
 *
 * @throws Error at once when trying again cannot help.
 */
async function reached<Result>(
  { what, settings }: { readonly what: string; readonly settings: string },
  attempt: () => Promise<Result>,
  stop: AbortSignal,
  log: Logger,
): Promise<Result | undefined> {
  const stopped = new Promise<undefined>((resolve) => {
    if (stop.aborted) resolve(undefined);
    else stop.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const giveUpAtMs = performance.now() + START_SECONDS_MAX * 1000;
  for (let attempts = 1; !stop.aborted; attempts += 1) {
    try {
      return await Promise.race([attempt(), stopped]);
    } catch (error) {
      const reason = error instanceof Error ? error.message || error.name : String(error);
      if (!mends(error)) {
        const sentence = reason.endsWith('.') ? reason : `${reason}.`;
        throw new Error(`cannot use ${what}: ${sentence} Check ${settings}.`, { cause: error });
      }
      const failed = error instanceof SchemaTooOldError ? `cannot use ${what}` : `cannot reach ${what}`;
      if (performance.now() > giveUpAtMs) {
        throw new Error(`${failed} for ${START_SECONDS_MAX} s: ${reason}`, { cause: error });
      }
      if (Math.log2(attempts) % 1 === 0) log.warn(`${failed} yet, trying again: ${reason}`);
      await Promise.race([sleep(START_PAUSE_MS), stopped]);
    }
  }
  return undefined;
}

function queueName(queueUrl: string): string {
  return new URL(queueUrl).pathname.split('/').at(-1) ?? queueUrl;
}

function drained(name: string, { seconds, returned, unsettled, pollsAborted }: DrainReport): string {
  const parts = [
    unsettled === 0 ? 'everything settled' : `${numberOf(unsettled, 'message')} left to come again`,
    ...(returned === 0 ? [] : [`${returned} given back`]),
    ...(pollsAborted === 0 ? [] : [`${numberOf(pollsAborted, 'poll')} cut off`]),
  ];
  return `${name} stopped after ${seconds.toFixed(1)} s: ${parts.join(', ')}`;
}

function numberOf(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? '' : 's'}`;
}
