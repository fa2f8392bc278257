/**
 * Brings the database to the schema that this code needs: plain SQL files, in the order of their numbers, all or none,
 * under a lock, so that whoever comes second waits for the first. Only who owns the database can: the migration step of a
 * deployment, and the local run. A worker never does, see schema.ts.
 */
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { connectionFor, type Database } from './connection.ts';
import { MigrationError, migrationsFolder, missingMigrations } from './schema.ts';

const CONNECT_MS_MAX = 5_000;
/** A migration may rewrite a table, and the ones that wait for its lock wait as long. */
const MIGRATION_MS_MAX = 600_000;
/** On a half-open connection nobody answers a farewell, and the kernel would wait for it for a quarter of an hour. */
const FAREWELL_MS_MAX = 2_000;

/** A migration that whoever ran it does not wait for any more ends within this, and its locks with it. */
const ABANDONED_MS_MAX = 15_000;

/**
 * @param signal ends it: its connection is closed, and what was not committed is not
 * @returns the names of the migrations that were run now.
 */
export async function migrate(database: Database, signal?: AbortSignal): Promise<string[]> {
  const client = new pg.Client({
    ...connectionFor(database),
    application_name: 'sluice-migration',
    connectionTimeoutMillis: CONNECT_MS_MAX,
    statement_timeout: MIGRATION_MS_MAX,
    lock_timeout: MIGRATION_MS_MAX,
    query_timeout: MIGRATION_MS_MAX,
    idle_in_transaction_session_timeout: ABANDONED_MS_MAX,
    keepAlive: true,
  });
  // A connection that breaks is told by the query under way or the next; without a listener it would end the process.
  client.on('error', () => {});
  await client.connect();
  const end = () => client.connection.stream.destroy();
  signal?.addEventListener('abort', end, { once: true });
  try {
    signal?.throwIfAborted();
    if ((await missingMigrations(client)).length === 0) return [];
    await noticeAbandonment(client);
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
    signal?.removeEventListener('abort', end);
    await ended(client);
  }
}

/** Otherwise the server finds out at the end of a statement, whose locks everybody would wait for until then. */
async function noticeAbandonment(client: pg.Client): Promise<void> {
  // Not every system that PostgreSQL runs on can look, which is no reason not to migrate.
  await client.query(`set client_connection_check_interval = ${ABANDONED_MS_MAX}`).catch(() => {});
}

async function ended(client: pg.Client): Promise<void> {
  const waited = Promise.withResolvers<void>();
  const timer = setTimeout(waited.resolve, FAREWELL_MS_MAX);
  await Promise.race([client.end(), waited.promise]);
  clearTimeout(timer);
  client.connection.stream.destroy();
}
