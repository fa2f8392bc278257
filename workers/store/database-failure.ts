/**
 * What a failed statement says about whom: the message, the moment, the database, or this program.
 *
 * SQLSTATE classes are those of the PostgreSQL manual, appendix A.
 */
import { inspect } from 'node:util';
import { DatabaseError } from 'pg';

export type DatabaseFailure =
  /** The values can never be stored: find the message and reject it. */
  | { readonly name: 'data'; readonly reason: string }
  /** Of the write function or its statement, on a connection that works: find the message, and give it back. */
  | { readonly name: 'fault'; readonly reason: string }
  /** Two transactions got into each other's way: the same again succeeds. */
  | { readonly name: 'conflict'; readonly reason: string }
  /** The database or the way to it is in no state to store anything: it says nothing about the messages. */
  | { readonly name: 'away'; readonly reason: string };

/** Data exceptions (22), integrity violations (23), a row that its view does not show (44). */
const DATA_CLASSES = ['22', '23', '44'];
/** A row or index entry that is larger than PostgreSQL can hold; a refusal that a trigger or function raises by itself. */
const DATA_STATES = ['54000', 'P0001'];
/**
 * Serialization failure and deadlock. A lock that is not to be had is none: a migration may hold it for minutes, and
 * messages given back meanwhile would be received until they are dead.
 */
const CONFLICT_STATES = ['40001', '40P01'];

/**
 * The state of the connection, the server, its catalog, its disk or another server behind it. A missing table too (42): a
 * deploy that is half done mends itself, and a rejection would not. All others, and those that a person's function raises,
 * are of the statement that ran, which other messages may not meet: two rows of one batch that an upsert would change
 * (21), a query that found no row (P0002), an expression that is too deep (54001).
 */
const AWAY_CLASSES = ['08', '0A', '26', '28', '2D', '3D', '3F', '42', '53', '55', '57', '58', '72', 'F0', 'HV', 'XX'];

/**
 * A server that only reads. The others of its class are the write function's: it went on after an error that it
 * swallowed (25P02), or without a transaction (25P01).
 */
const AWAY_STATES = ['25006'];

/** A syntax error is in no catalog, and no deploy mends it; a list that one message leaves empty may be its cause. */
const FAULT_STATES = ['42601'];

/** pg's own words when an answer did not come in time: a slow database, though its rollback may be answered. */
const CLIENT_TIMEOUT = 'Query read timeout';

/** @param connectionWorks whether the same connection answered after the failure. */
export function readFailure(error: unknown, connectionWorks: boolean): DatabaseFailure {
  const reason = reasonOf(error);
  const state = error instanceof DatabaseError ? error.code : undefined;
  const isFault = connectionWorks && reason !== CLIENT_TIMEOUT;
  if (state === undefined) return { name: isFault ? 'fault' : 'away', reason };
  if (DATA_CLASSES.includes(state.slice(0, 2)) || DATA_STATES.includes(state))
    return { name: 'data', reason: `${reason} (${state})` };
  if (CONFLICT_STATES.includes(state)) return { name: 'conflict', reason: `${reason} (${state})` };
  const saysAway = AWAY_CLASSES.includes(state.slice(0, 2)) || AWAY_STATES.includes(state);
  const isAway = !connectionWorks || (saysAway && !FAULT_STATES.includes(state));
  return { name: isAway ? 'away' : 'fault', reason: `${reason} (${state})` };
}

/** Whatever a write function throws: what is no error, or has no text for a message, must not take the worker along. */
function reasonOf(error: unknown): string {
  const thrown: unknown = error instanceof Error ? error.message : error;
  return typeof thrown === 'string' ? thrown : inspect(thrown);
}
