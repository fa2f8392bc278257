/**
 * Brings the database to the schema that this code needs: plain SQL files, in the order of their numbers, all or none,
 * under a lock, so that whoever comes second waits for the first. Only who owns the database can: the migration step of a
 * deployment, and the local run. A worker never does, see schema.ts.
 */
import { PG_MIGRATE_LOCK_ID, runner } from 'node-pg-migrate';
import pg from 'pg';
import { connectionFor, type Database } from './connection.ts';
import { cannotMigrate, cannotReach } from './migration-failure.ts';
import { type MigrationStep, migrationNames, migrationsFolder, missingMigrations } from './schema.ts';

const CONNECT_MS_MAX = 5_000;
/** A migration may rewrite a table, and the ones that wait for its lock wait as long. */
const MIGRATION_MS_MAX = 600_000;
/** On a half-open connection nobody answers a farewell, and the kernel would wait for it for a quarter of an hour. */
const FAREWELL_MS_MAX = 2_000;

/** A migration that whoever ran it does not wait for any more ends within this, and its locks with it. */
const ABANDONED_MS_MAX = 15_000;
/** How the library says which file it runs. */
const FILE_UNDER_WAY = /^### MIGRATION (\S+) \(UP\) ###$/;

/**
 * @param signal ends it: its connection is closed, and what was not committed is not
 * @returns the names of the migrations that were run now.
 * @throws MigrationError
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
  try {
    await client.connect();
  } catch (cause) {
    throw cannotReach(client, cause);
  }
  const end = () => client.connection.stream.destroy();
  signal?.addEventListener('abort', end, { once: true });
  try {
    signal?.throwIfAborted();
    return await migrateOver(client);
  } finally {
    signal?.removeEventListener('abort', end);
    await ended(client);
  }
}

async function migrateOver(client: pg.Client): Promise<string[]> {
  let step: MigrationStep = 'asking';
  let file: string | undefined;
  let isFirst = false;
  try {
    const missing = await missingMigrations(client);
    if (missing.length === 0) return [];
    isFirst = missing.length === migrationNames().length;
    await noticeAbandonment(client);
    step = 'waiting for the lock';
    // The library's own lock, taken here to tell the wait for it from the work. It goes with the connection.
    await client.query(`select pg_advisory_lock(${PG_MIGRATE_LOCK_ID})`);
    step = 'running';
    // The library makes its table before its transaction begins, unless one is under way: its own is then this one.
    await client.query('begin');
    const run = await runner({
      dbClient: client,
      dir: migrationsFolder(),
      direction: 'up',
      migrationsTable: 'sluice_migrations',
      checkOrder: true,
      noLock: true,
      singleTransaction: true,
      logger: {
        info: (line) => {
          file = FILE_UNDER_WAY.exec(line)?.[1] ?? file;
        },
        warn: () => {},
        error: () => {},
      },
    });
    // With nothing to run it has ended none.
    await client.query('commit');
    return run.map(({ name }) => name);
  } catch (cause) {
    throw cannotMigrate(client, { step, file, isFirst, cause });
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
