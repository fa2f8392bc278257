/**
 * Brings the database to the schema that this code needs: plain SQL files, in the order of their numbers,
 * all or none, under a lock, so that workers that start together wait for the first.
 */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { connectionFor, type Database } from './connection.ts';

const CONNECT_MS_MAX = 5_000;
/** A migration may rewrite a table, and the ones that wait for its lock wait as long. */
const MIGRATION_MS_MAX = 600_000;
/** What has run is a few rows: a database that takes longer to tell is away. */
const QUESTION_MS_MAX = 10_000;
/** On a half-open connection nobody answers a farewell, and the kernel would wait for it for a quarter of an hour. */
const FAREWELL_MS_MAX = 2_000;

/** Says what to do in one sentence; the cause is what PostgreSQL or the library said. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/** @returns the names of the migrations that were run now. */
export async function migrate(database: Database, region: string | undefined): Promise<string[]> {
  const client = new pg.Client({
    ...connectionFor(database, region),
    application_name: 'sluice-migration',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    statement_timeout: MIGRATION_MS_MAX,
    lock_timeout: MIGRATION_MS_MAX,
    query_timeout: MIGRATION_MS_MAX,
    keepAlive: true,
  });
  // A connection that breaks is told by the query under way or the next; without a listener it would end the process.
  client.on('error', () => {});
  await client.connect();
  try {
    if (await isCurrent(client)) return [];
    const run = await runner({
      dbClient: client,
      dir: migrationsFolder(),
      direction: 'up',
      migrationsTable: 'sluice_migrations',
      checkOrder: true,
      advisoryLockMode: 'wait',
      singleTransaction: true,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
    });
    return run.map(({ name }) => name);
  } catch (error) {
    const where = `database ${client.database} as user ${client.user}`;
    // The library puts a stack into its message; the sentence is its first line.
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new MigrationError(
      `cannot migrate the ${where}: ${reason}. Name an empty database that this user owns, or one that Sluice has migrated.`,
      { cause: error },
    );
  } finally {
    await ended(client);
  }
}

async function ended(client: pg.Client): Promise<void> {
  const waited = Promise.withResolvers<void>();
  const timer = setTimeout(waited.resolve, FAREWELL_MS_MAX);
  await Promise.race([client.end(), waited.promise]);
  clearTimeout(timer);
  client.connection.stream.destroy();
}

/** A schema that is there already needs no owner's rights, and no wait for the lock. */
async function isCurrent(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>(
    question("select to_regclass('sluice_migrations') is not null as there"),
  );
  if (rows[0]?.there !== true) return false;
  const { rows: run } = await client.query<{ name: string }>(question('select name from sluice_migrations'));
  const names = new Set(run.map(({ name }) => name));
  return readdirSync(migrationsFolder())
    .filter((file) => file.endsWith('.sql'))
    .every((file) => names.has(file.replace(/\.sql$/, '')));
}

/** pg takes the bound, its types do not name it. */
function question(text: string): pg.QueryConfig {
  const bounded = { text, query_timeout: QUESTION_MS_MAX };
  return bounded;
}

/** Beside this file in the repository, and beside the bundle on an instance. */
function migrationsFolder(): string {
  const folder = fileURLToPath(new URL('./migrations', import.meta.url));
  if (!existsSync(folder)) {
    throw new Error(`cannot migrate: ${folder} is missing. Deploy the whole bundle, not its script alone.`);
  }
  return folder;
}
