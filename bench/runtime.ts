/**
 * All that the bench touches of the workers: a worker that stores, and the runtime's own parts put together as
 * workers/worker.ts does. When the runtime changes, this file does, and no other here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { pino } from 'pino';
import { z } from 'zod';
import { consumerFor, type WorkerDefinition } from '../workers/consumer-for.ts';
import { Consumer } from '../workers/runtime/consumer.ts';
import { SqsQueue } from '../workers/runtime/queue-client.ts';
import { realSurroundings } from '../workers/runtime/surroundings.ts';
import { Telemetry } from '../workers/runtime/telemetry.ts';
import { openPool } from '../workers/store/connection.ts';
import { BENCH_SCHEMA, BENCH_VERSION, type BenchPayload, payloadSchema } from './message.ts';

export { migrate } from '../workers/store/migrate.ts';
export { runWorker } from '../workers/worker.ts';

/** Names the worker, the queue and the consumer in the inbox. */
const NAME = 'bench';
/** More than the bench ever waits for a worker to stop. */
const DRAIN_SECONDS = 5;
/** As often as the local run asks for them, sixty times as often as an instance. */
const METRICS_INTERVAL_MS = 1_000;

export const CREATE_TABLE = 'create table if not exists bench_rows (key text primary key, text text not null)';
export const EMPTY_TABLES = 'truncate bench_rows, inbox';
export const INSERT_KEY = 'insert into inbox (consumer, key, payload_hash, message_id) values ($1, $2, $3, $4)';
export const INSERT_ROW = 'insert into bench_rows (key, text) values ($1, $2)';

/** Stores every message as one row, a batch in one statement. */
export const storingWorker: WorkerDefinition<BenchPayload> = {
  name: NAME,
  message: { name: BENCH_SCHEMA, version: BENCH_VERSION, payload: payloadSchema },
  key: ({ key }) => key,
  write: async (transaction, payloads) => {
    await transaction.query({
      name: 'insert-bench-rows',
      text: 'insert into bench_rows (key, text) select * from unnest($1::text[], $2::text[])',
      values: [payloads.map(({ key }) => key), payloads.map(({ text }) => text)],
    });
  },
};

/**
 * Takes messages and stores nothing, metrics on, payloads unread; until SIGTERM.
 *
 * @param handlingMs how long it pretends to write a batch.
 */
export async function consumeWithoutEffect(handlingMs: number): Promise<void> {
  const parts = await openParts(() => {});
  const consumer = new Consumer<unknown>({
    ...parts,
    schema: { name: BENCH_SCHEMA, version: BENCH_VERSION, payload: z.unknown() },
    handle: async (messages) => {
      if (handlingMs > 0) await sleep(handlingMs);
      return messages.map(() => ({ name: 'stored' }));
    },
    recordRejection: async ({ reason }) => {
      throw new Error(`a message of the bench was rejected: ${reason}`);
    },
    probe: async () => true,
  });
  await runUntilTold(consumer, parts.telemetry);
}

export interface StoringOptions {
  readonly definition: WorkerDefinition<BenchPayload>;
  readonly databaseUrl: string;
  readonly onDelete: () => void;
  /** Told once of every connection. */
  readonly onConnection: (client: pg.PoolClient) => void;
}

/** A worker whose every commit and delete can be seen; until SIGTERM. */
export async function consumeAndStore(options: StoringOptions): Promise<void> {
  const parts = await openParts(options.onDelete);
  const pool = openPool({ name: 'url', url: options.databaseUrl });
  const seen = new WeakSet<pg.PoolClient>();
  const connect = pool.connect.bind(pool);
  pool.connect = async () => {
    const client = await connect();
    if (!seen.has(client)) options.onConnection(client);
    seen.add(client);
    return client;
  };
  await runUntilTold(consumerFor(options.definition, { ...parts, pool }), parts.telemetry);
}

async function openParts(onDelete: () => void) {
  const output = pino.destination({ fd: 1, sync: true });
  const telemetry = new Telemetry(NAME, (line) => output.write(`${line}\n`), realSurroundings.monotonicMs);
  const queue = new SqsQueue({
    queueUrl: setting('QUEUE_URL'),
    deadLetterQueueUrl: setting('DEAD_LETTER_QUEUE_URL'),
    region: setting('AWS_REGION'),
    onRequest: (operation) => {
      if (operation === 'delete') onDelete();
      return telemetry.request(operation);
    },
    onDamaged: (error) => {
      throw error;
    },
  });
  const log = pino({ base: { worker: NAME } }, output);
  return { queue, facts: await queue.describe(), queueName: NAME, telemetry, log, surroundings: realSurroundings };
}

async function runUntilTold<Payload>(consumer: Consumer<Payload>, telemetry: Telemetry): Promise<void> {
  process.once('SIGTERM', () => consumer.stop(DRAIN_SECONDS));
  const flushing = setInterval(() => {
    telemetry.gauges = consumer.gauges;
    telemetry.flush(Date.now());
  }, METRICS_INTERVAL_MS);
  await consumer.run();
  clearInterval(flushing);
  process.exit();
}

/** @throws Error naming the variable that the bench did not set. */
export function setting(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set; the bench sets it, so run npm run bench`);
  return value;
}
