/**
 * Why the database was not migrated, in one sentence: what happened, to what, and what to do.
 *
 * Holds always: the cause is what pg or the library said, so that `mends` can judge it.
 */
import pg from 'pg';
import { MigrationError, type MigrationStep, SchemaRightError } from './schema.ts';

/** SQLSTATE */
const REFUSED_LOGIN_CLASS = '28';
const NO_SUCH_DATABASE = '3D000';
const PERMISSION_DENIED = '42501';
/** A schema, table, function or other object of that name is there. */
const DUPLICATE_STATES = ['42P06', '42P07', '42723', '42710'];
/** The library's words. */
const OUT_OF_ORDER = /^Not run migration .* is preceding already run migration/;
const NO_TABLE_OF_ITS_OWN = /^Unable to ensure migrations table/;

const ANOTHER_DATABASE = 'Name an empty database that this user owns, or one that Sluice has migrated';

export function cannotReach(client: pg.Client, cause: unknown): MigrationError {
  const what = `the database ${client.database} at ${client.host}:${client.port}`;
  const user = `user ${client.user}`;
  return new MigrationError(`cannot reach ${what} as ${user}: ${saidBy(cause)}. ${wayIn(cause)}.`, {
    step: 'connecting',
    cause,
  });
}

function wayIn(cause: unknown): string {
  if (!(cause instanceof pg.DatabaseError)) return 'Look whether it runs, and whether the way to it is open';
  if (cause.code?.startsWith(REFUSED_LOGIN_CLASS) === true) return 'Check the user and the password';
  if (cause.code === NO_SUCH_DATABASE) return 'Create it, or name another';
  return 'Try again when it takes connections';
}

interface Failure {
  readonly step: MigrationStep;
  /** Which was under way. */
  readonly file: string | undefined;
  /** No migration had run before. */
  readonly isFirst: boolean;
  readonly cause: unknown;
}

export function cannotMigrate(client: pg.Client, failure: Failure): MigrationError {
  const { step, file, cause } = failure;
  const what = `the database ${client.database} as user ${client.user}`;
  const where = file === undefined ? '' : `in ${file}.sql, `;
  return new MigrationError(`cannot migrate ${what}: ${where}${saidBy(cause)}. ${remedy(failure)}.`, { step, cause });
}

function remedy({ step, file, isFirst, cause }: Failure): string {
  if (cause instanceof SchemaRightError) return ANOTHER_DATABASE;
  if (step === 'waiting for the lock') return 'Another process migrates it: wait for its end, or end it';
  const message = cause instanceof Error ? cause.message : '';
  if (OUT_OF_ORDER.test(message) || NO_TABLE_OF_ITS_OWN.test(message)) return ANOTHER_DATABASE;
  if (!(cause instanceof pg.DatabaseError)) return 'Try again when the database answers and the files are whole';
  const state = cause.code ?? '';
  if (state === PERMISSION_DENIED || (isFirst && DUPLICATE_STATES.includes(state))) return ANOTHER_DATABASE;
  if (file === undefined) return 'Try again when the database answers';
  return `Correct ${file}.sql, unless it was deployed before: then mend what it meets, or add another, and leave it as it is`;
}

/** The library puts a stack into its message; the sentence is its first line. Of several addresses pg says each. */
function saidBy(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors.map(saidBy).join(', ');
  const message = cause instanceof Error ? cause.message || cause.name : String(cause);
  const [line = ''] = message.trim().split('\n');
  return line.replace(/\.$/, '');
}
