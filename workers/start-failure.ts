/**
 * Whether trying again can help a worker that cannot reach what it needs at its start, and for how long.
 *
 * What is starting, busy or out of reach mends; what is missing, forbidden or misspelt does not, and a worker that
 * kept trying would only hide the reason.
 */
import { DatabaseError } from 'pg';
import { z } from 'zod';
import { MigrationError, SchemaTooOldError } from './store/schema.ts';

/** A queue or a database that is away at the start is waited for this long before the process gives up. */
export const START_SECONDS_MAX = 300;

/**
 * SQLSTATE: connection (08), conflict (40), resources (53) and operator (57: starting, stopping); a lock that others
 * hold; a server that became read-only, since a failover is under way; a login that was refused without a look at the
 * password (28000), as RDS does with good tokens while what checks them is busy.
 */
const MENDING_CLASSES = ['08', '40', '53', '57'];
const MENDING_STATES = ['55P03', '25006', '28000'];
/** The system's words for a network or a server that is not there, or not there yet. */
const NETWORK_CODE = /^(E(CONN|HOST|NET|PIPE|TIMEDOUT|AI_AGAIN)|ENOTFOUND)/;
/** pg gives these no code. */
const PG_NETWORK_MESSAGE =
  /^(Connection terminated|timeout expired|Query read timeout|There was an error establishing)/;
/** An instance's role may be there a moment after its first process. */
const MENDING_NAMES = ['TimeoutError', 'CredentialsProviderError'];
const TOO_MANY_REQUESTS = 429;

/** What the AWS SDK throws for an answer, whatever the service. */
const awsErrorSchema = z.object({ $metadata: z.object({ httpStatusCode: z.number() }) });
const codeSchema = z.object({ code: z.string() });

export function mends(error: unknown): boolean {
  if (error instanceof MigrationError) return mends(error.cause);
  // The deployment that brings it may be under way.
  if (error instanceof SchemaTooOldError) return true;
  if (error instanceof DatabaseError) {
    const state = error.code ?? '';
    return MENDING_CLASSES.includes(state.slice(0, 2)) || MENDING_STATES.includes(state);
  }
  const answer = awsErrorSchema.safeParse(error);
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  if (answer.success) {
    const status = answer.data.$metadata.httpStatusCode;
    return status >= 500 || status === TOO_MANY_REQUESTS || /throttl/i.test(name);
  }
  const code = codeSchema.safeParse(error);
  if (code.success && NETWORK_CODE.test(code.data.code)) return true;
  return MENDING_NAMES.includes(name) || PG_NETWORK_MESSAGE.test(message);
}
