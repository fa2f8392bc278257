/** One real PostgreSQL per test file, empty of rows before each test. */
import { afterAll, beforeAll, beforeEach } from '@jest/globals';
import pg from 'pg';
import type { EmbeddedPostgres } from '../../local/machine/embedded-postgres.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { letWorkersIn } from '../../local/worker-login.ts';
import type { Database } from '../../workers/store/connection.ts';
import { migrate } from '../../workers/store/migrate.ts';
import { FaultyNetwork } from '../faults/faulty-network.ts';
import { afterwards } from '../local/machine/machine.ts';
import { startMadePostgres } from '../local/machine/made-postgres.ts';

export interface TestPostgres {
  /** As the owner of the tables. */
  readonly url: string;
  /** As the role of the workers, which may do what they do. */
  readonly workerUrl: string;
  readonly run: RunFolder;
  readonly database: Database;
  /** For the test's own questions; not bounded as a worker's is. */
  readonly pool: pg.Pool;
  /** The rows, each as a list of its columns. */
  rows(sql: string, values?: unknown[]): Promise<unknown[][]>;
  /** Takes away all tables; the next test finds them again. */
  empty(): Promise<void>;
}

/** Of a file: starts with it, and goes with it. */
export function postgresForTests(): TestPostgres {
  let run: RunFolder;
  let server: EmbeddedPostgres;
  let pool: pg.Pool;
  let workerUrl: string | undefined;
  const postgres: TestPostgres = {
    get url() {
      return server.url;
    },
    get workerUrl() {
      if (workerUrl === undefined) throw new Error('the role is made by the migrations, before the first test');
      return workerUrl;
    },
    get run() {
      return run;
    },
    get database() {
      return { name: 'url' as const, url: server.url };
    },
    get pool() {
      return pool;
    },
    rows: async (sql, values = []) => (await pool.query<unknown[]>({ text: sql, rowMode: 'array', values })).rows,
    empty: async () => {
      await pool.query('drop schema if exists public cascade; create schema public');
    },
  };
  beforeAll(async () => {
    run = createRunFolder();
    server = await startMadePostgres({ run });
    pool = new pg.Pool({ connectionString: server.url, max: 3 });
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
  });
  beforeEach(async () => {
    await postgres.empty();
    await migrate(postgres.database);
    workerUrl ??= await letWorkersIn(pool, server.url);
  });
  afterAll(async () => {
    await pool.end();
    await server.stop();
    await run.close();
  });
  return postgres;
}

/** A network before it, for one test. */
export async function networkTo({ url }: TestPostgres): Promise<FaultyNetwork> {
  const network = await FaultyNetwork.before(Number(new URL(url).port));
  afterwards(() => network.stop());
  return network;
}
