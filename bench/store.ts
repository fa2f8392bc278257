/**
 * How many messages a second two workers commit into PostgreSQL: processes as on an instance, from the fake SQS into one
 * row and one inbox key each, on whatever cores there are, shared with the database and the fake SQS.
 *
 * What counts is the rows that are in the table.
 */
import pg from 'pg';
import { startEmbeddedPostgres } from '../local/machine/embedded-postgres.ts';
import { between } from './fake-sqs-counts.ts';
import { cpuSecondsOfFamily } from './machine.ts';
import { type CaseResult, number } from './result.ts';
import { CREATE_TABLE, EMPTY_TABLES, migrate } from './runtime.ts';
import type { FakeSqs, MeasuredProcess, Site } from './site.ts';
import { median } from './statistics.ts';
import { untilWarm } from './until-deleted.ts';

const WORKERS = 2;
/** Enough to let what was received be stored and deleted before the next run. */
const DRAIN_SECONDS = 5;

export interface StoreOptions {
  readonly runs: number;
  readonly seconds: number;
}

interface StoreRun {
  readonly messagesPerSecond: number;
  readonly requestsPerMessage: number;
  /** CPU seconds per second: shares of one core. `postgres` is null where there is no /proc. */
  readonly shares: {
    readonly workers: number;
    readonly postgres: number | null;
    readonly fakeSqs: number;
    readonly bench: number;
  };
}

export interface BenchDatabase {
  readonly url: string;
  readonly pool: pg.Pool;
  /** Such as `fsync on, synchronous_commit on`, as the server itself says. */
  readonly durability: string;
  readonly pid: number;
  close(): Promise<void>;
}

export async function openDatabase(site: Site): Promise<BenchDatabase> {
  const server = await startEmbeddedPostgres({ run: site.run });
  await migrate({ name: 'url', url: server.url });
  const pool = new pg.Pool({ connectionString: server.url, max: 1 });
  pool.on('error', () => {});
  await pool.query(CREATE_TABLE);
  const { rows } = await pool.query<{ name: string; setting: string }>(
    "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit') order by name",
  );
  return {
    url: server.url,
    pool,
    durability: rows.map(({ name, setting }) => `${name} ${setting}`).join(', '),
    pid: site.run.processes.find(({ name }) => name === 'postgres')?.pid ?? 0,
    close: async () => {
      await pool.end();
      await server.stop();
    },
  };
}

export async function store(site: Site, options: StoreOptions): Promise<CaseResult> {
  const database = await openDatabase(site);
  const sqs = await site.startFakeSqs('endless');
  const runs: StoreRun[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const what = `store: run ${run} of ${options.runs}`;
    await database.pool.query(EMPTY_TABLES);
    const workers = await Promise.all(
      Array.from({ length: WORKERS }, (_, index) => startWorker(site, sqs, database, index + 1)),
    );
    await untilWarm(site, { sqs, consumers: workers, what });
    site.progress.step(`${what}, measuring for ${options.seconds} s`);
    runs.push(await measure(site, options.seconds, sqs, database, workers));
    await Promise.all(workers.map((worker) => worker.stop()));
  }
  await sqs.stop();
  await database.close();
  return resultOf(runs, database);
}

function startWorker(site: Site, sqs: FakeSqs, database: BenchDatabase, index: number): Promise<MeasuredProcess> {
  return site.startConsumer(sqs, {
    name: `worker-${index}`,
    entry: 'storing-worker.ts',
    environment: {
      DATABASE_URL: database.url,
      METRICS_INTERVAL_SECONDS: '1',
      DRAIN_SECONDS: String(DRAIN_SECONDS),
    },
  });
}

async function measure(
  site: Site,
  seconds: number,
  sqs: FakeSqs,
  database: BenchDatabase,
  workers: readonly MeasuredProcess[],
): Promise<StoreRun> {
  const look = async () => {
    const { rows } = await database.pool.query<{ stored: number }>(
      'select count(*)::integer as stored from bench_rows',
    );
    const counts = await sqs.counts();
    const usages = await Promise.all(workers.map((worker) => worker.usage()));
    const { user, system } = process.cpuUsage();
    return {
      stored: rows[0]!.stored,
      counts,
      atMs: performance.now(),
      workers: usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      fakeSqs: (await sqs.usage()).cpuSeconds,
      postgres: cpuSecondsOfFamily(database.pid) ?? null,
      bench: (user + system) / 1e6,
    };
  };
  const before = await look();
  await site.sleep(seconds);
  const after = await look();
  const elapsedSeconds = (after.atMs - before.atMs) / 1000;
  const share = (name: 'workers' | 'fakeSqs' | 'bench') => (after[name] - before[name]) / elapsedSeconds;
  return {
    messagesPerSecond: (after.stored - before.stored) / elapsedSeconds,
    requestsPerMessage: between(before.counts, after.counts).requestsPerMessage,
    shares: {
      workers: share('workers'),
      fakeSqs: share('fakeSqs'),
      bench: share('bench'),
      postgres:
        after.postgres === null || before.postgres === null
          ? null
          : (after.postgres - before.postgres) / elapsedSeconds,
    },
  };
}

function resultOf(runs: readonly StoreRun[], database: BenchDatabase): CaseResult {
  const rates = runs.map(({ messagesPerSecond }) => messagesPerSecond);
  const rate = median(rates);
  const row = (who: string, name: keyof StoreRun['shares']) => {
    const known = runs.flatMap(({ shares }) => shares[name] ?? []);
    if (known.length === 0) return [who, 'not known here', ''];
    const share = median(known);
    return [who, number(share * 100), number((share / rate) * 1000, 3)];
  };
  return {
    name: 'store',
    conditions: [
      `${WORKERS} worker processes, one row and one inbox key a message; ${database.durability}.`,
      `Median of ${runs.length} runs, from ${number(Math.min(...rates))} to ${number(Math.max(...rates))} messages/s.`,
    ],
    figures: [
      {
        what: 'messages committed a second',
        seen: rate,
        decimals: 0,
        unit: '/s',
        target: { kind: 'at least', value: 5_000 },
      },
    ],
    details: [
      {
        title: 'Who used the cores, medians',
        head: ['', '% of a core', 'CPU s/1000 messages'],
        rows: [
          row('both workers', 'workers'),
          row('PostgreSQL', 'postgres'),
          row('fake SQS', 'fakeSqs'),
          row('this bench', 'bench'),
        ],
      },
    ],
    runs,
  };
}
