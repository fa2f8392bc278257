/**
 * The migration step of a deployment: a Lambda function that CloudFormation calls as a custom resource, before any fleet
 * changes, whenever a migration was added.
 *
 *   create, update ──▶ migrate as the owner, under the lock ──▶ SUCCESS, with what was run
 *                         │ cannot, or not in time           ──▶ FAILED, with the reason: the deployment stops
 *   delete         ──▶ nothing                               ──▶ SUCCESS
 *
 * Holds always: every call is answered, in time for its own end; of migrations that failed nothing stays, and when time runs
 * out their connection is closed, so that no lock outlives the answer for long; a call that comes again finds nothing to do.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import { pino } from 'pino';
import { mends } from '../start-failure.ts';
import { migrate } from '../store/migrate.ts';
import { readMigrationConfiguration } from './configuration.ts';
import { type Answer, answer, eventSchema } from './event.ts';

/** What Lambda hands to a handler, as far as it is used. */
export interface Invocation {
  getRemainingTimeInMillis(): number;
}

/** Kept of the function's time for the answer. */
const ANSWER_MS = 40_000;
/** A database that was just made, or fails over, is back within this. */
const RETRY_MS_MAX = 120_000;
const RETRY_PAUSE_MS = 2_000;
/** SQLSTATE */
const INVALID_PASSWORD = '28P01';

const log = pino({ base: { step: 'migration' } }, pino.destination({ fd: 1, sync: true }));

export async function handler(call: unknown, invocation: Invocation): Promise<void> {
  const event = eventSchema.parse(call);
  const given = event.RequestType === 'Delete' ? nothingDone() : await migrated(invocation);
  log[given.Status === 'SUCCESS' ? 'info' : 'error']({ request: event.RequestType, ...given }, 'answering');
  await answer(event, given);
}

/** The tables stay: what becomes of them is the database's to say. */
function nothingDone(): Answer {
  return { Status: 'SUCCESS', migrations: undefined };
}

async function migrated(invocation: Invocation): Promise<Answer> {
  const leftMs = Math.max(0, invocation.getRemainingTimeInMillis() - ANSWER_MS);
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), leftMs);
  try {
    return { Status: 'SUCCESS', migrations: await migratedWhenReached(end.signal) };
  } catch (error) {
    log.error({ err: error }, 'cannot migrate');
    return { Status: 'FAILED', Reason: end.signal.aborted ? notThrough(leftMs) : reasonOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

function notThrough(leftMs: number): string {
  return `the migrations were not through after ${Math.round(leftMs / 1000)} s, and were ended. Find in the log group of this function what they waited for; make them smaller, or run the slow part by hand before.`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

async function migratedWhenReached(signal: AbortSignal): Promise<string[]> {
  const database = readMigrationConfiguration(process.env);
  const giveUpAtMs = performance.now() + RETRY_MS_MAX;
  for (;;) {
    try {
      return await migrate(database, signal);
    } catch (error) {
      if (signal.aborted || !isWorthAnother(error) || performance.now() > giveUpAtMs) throw error;
      log.warn({ err: error }, 'cannot migrate yet, trying again');
      await sleep(RETRY_PAUSE_MS);
    }
  }
}

/** A wrong password, too: that of the secret may have been rotated since it was read, and a token is asked for next. */
function isWorthAnother(error: unknown): boolean {
  return mends(error) || (error instanceof DatabaseError && error.code === INVALID_PASSWORD);
}
