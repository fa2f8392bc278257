/**
 * The schema that this code needs: every migration beside it.
 *
 * Holds always: a schema that has more than these is good too, because it was made for a newer worker beside which this one
 * goes on; see docs/operations.md on expand and contract. Looking changes nothing and takes no lock.
 */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { RenewedPool } from './renewed-pool.ts';

/** What has run is a few rows: a database that takes longer to tell is away. */
const QUESTION_MS_MAX = 10_000;

/** How far a migration came. */
export type MigrationStep = 'connecting' | 'asking' | 'waiting for the lock' | 'running';

/** Says what to do in one sentence; the cause is what PostgreSQL or the library said. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  readonly step: MigrationStep;

  constructor(message: string, { step = 'running', cause }: { step?: MigrationStep; cause?: unknown } = {}) {
    super(message, { cause });
    this.step = step;
  }
}

/** Without it PostgreSQL says of every table of the schema that there is none. */
export class SchemaRightError extends Error {
  override readonly name = 'SchemaRightError';
}

/** The database is there, and its schema is older than this code. */
export class SchemaTooOldError extends Error {
  override readonly name = 'SchemaTooOldError';
}

/** @throws SchemaTooOldError that names what is missing; SchemaRightError; what pg throws, and the pool is renewed by then. */
export async function requireSchema(pool: RenewedPool): Promise<void> {
  const client = await pool.connect();
  let missing: string[];
  try {
    missing = await missingMigrations(client);
    client.release();
  } catch (error) {
    client.release(true);
    pool.renew(client);
    throw error;
  }
  if (missing.length === 0) return;
  throw new SchemaTooOldError(
    `its schema lacks ${missing.join(', ')}, which this worker needs; deploy the stack of the schema, or let npm start migrate it`,
  );
}

/** The names of the migrations that the database has not had, in their order. @throws SchemaRightError */
export async function missingMigrations(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ there: boolean; shut: boolean; role: string }>(
    question(`select to_regclass('sluice_migrations') is not null as there, current_user as role,
      exists (select from pg_namespace where nspname = 'public' and not has_schema_privilege(oid, 'usage')) as shut`),
  );
  if (rows[0]?.there !== true) {
    if (rows[0]?.shut === true) {
      throw new SchemaRightError(
        `the role ${rows[0].role} may not use the schema public; let its owner grant usage on schema public to it`,
      );
    }
    return migrationNames();
  }
  const { rows: run } = await client.query<{ name: string }>(question('select name from sluice_migrations'));
  const names = new Set(run.map(({ name }) => name));
  return migrationNames().filter((name) => !names.has(name));
}

export function migrationNames(): string[] {
  return readdirSync(migrationsFolder())
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.replace(/\.sql$/, ''))
    .sort();
}

/** pg takes the bound, its types do not name it. */
function question(text: string): pg.QueryConfig {
  const bounded = { text, query_timeout: QUESTION_MS_MAX };
  return bounded;
}

/** Beside this file in the repository, and beside the bundle on an instance. */
export function migrationsFolder(): string {
  const folder = fileURLToPath(new URL('./migrations', import.meta.url));
  if (!existsSync(folder)) {
    throw new Error(`the folder of migrations ${folder} is missing. Deploy the whole bundle, not its script alone.`);
  }
  return folder;
}
