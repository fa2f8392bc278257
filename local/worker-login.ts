/**
 * How workers log in to the embedded PostgreSQL: as the role that they have in the cloud, so that every local run shows
 * whether the migrations let them do what they do, and nothing more.
 *
 * In the cloud the role has no password and IAM vouches for it. Here is no IAM: the owner, who made the role by migrating,
 * gives it a password that nobody is told but the workers.
 */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';

/** As the migrations name it, and lib/constructs/postgres-store.ts. */
const WORKER_ROLE = 'sluice_worker';

/**
 * @param pool of the owner, who has migrated
 * @param url of the owner
 * @returns the URL of the workers
 */
export async function letWorkersIn(pool: pg.Pool, url: string): Promise<string> {
  // Letters, digits, - and _: nothing in it needs to be quoted.
  const password = randomBytes(12).toString('base64url');
  await pool.query(`alter role ${WORKER_ROLE} password '${password}'`);
  const workers = new URL(url);
  workers.username = WORKER_ROLE;
  workers.password = password;
  return workers.href;
}
