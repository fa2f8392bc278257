/**
 * Whether the database has a connection for every one that the fleets may open.
 *
 * Holds always: with every fleet at its maximum and a refresh under way in each, no worker is refused for want of a
 * connection, and a person still gets in.
 */
import { databaseClassMemoryGib } from './database-class-memory.ts';

/** What a worker's pool opens at the most, `CONNECTIONS_MAX` in workers/store/connection.ts; a test holds them equal. */
export const POOL_CONNECTIONS_MAX = 4;
/** An instance runs one unit, and the unit one process. */
export const PROCESSES_PER_INSTANCE = 1;
/**
 * Times its maximum that a fleet may be connected while its instances are replaced: the new ones are there, and those
 * they replace keep their connections for as long as they drain, when no healthy percentage counts them any more.
 */
export const REFRESH_OVERSHOOT = 2;
/** Of migrations, of people and of RDS's own agents. */
const OTHER_CONNECTIONS_MAX = 10;
/** What PostgreSQL and RDS keep for superusers. */
const KEPT_CONNECTIONS = 10;
export const RESERVED_CONNECTIONS = OTHER_CONNECTIONS_MAX + KEPT_CONNECTIONS;

/** RDS's default for PostgreSQL: LEAST({DBInstanceClassMemory/9531392}, 5000). */
const BYTES_PER_CONNECTION = 9_531_392;
const MAX_CONNECTIONS_CEILING = 5_000;
/**
 * Of the class's memory, what DBInstanceClassMemory is counted on to be: RDS takes off what the system and its own
 * processes need, and does not say how much. See decision 0029.
 */
const MEMORY_SHARE = 0.7;
const GIB = 1024 ** 3;

/** Fleets by their names. */
export type SizedFleets = Readonly<Record<string, { readonly maximum: number }>>;

/** The connections that an instance class is counted on to serve; undefined when its memory is not known. */
export function servedConnections(instanceClass: string): number | undefined {
  const memoryGib = databaseClassMemoryGib(instanceClass);
  if (memoryGib === undefined) return undefined;
  return Math.min(Math.floor((memoryGib * GIB * MEMORY_SHARE) / BYTES_PER_CONNECTION), MAX_CONNECTIONS_CEILING);
}

/** The connections of a fleet of at most `maximum` instances, while they are replaced. */
export function fleetConnections(maximum: number): number {
  return Math.ceil(maximum * REFRESH_OVERSHOOT) * PROCESSES_PER_INSTANCE * POOL_CONNECTIONS_MAX;
}

/** The most that are open while all goes as it should: of every fleet while it is replaced, and of those beside them. */
export function expectedConnections(fleets: SizedFleets): number {
  return Object.values(fleets).reduce((sum, { maximum }) => sum + fleetConnections(maximum), OTHER_CONNECTIONS_MAX);
}

/** What would have to be otherwise for `instanceClass` to serve `fleets`; undefined when it serves them. */
export function connectionProblem(instanceClass: string, fleets: SizedFleets): string | undefined {
  const served = servedConnections(instanceClass);
  if (served === undefined) {
    return 'a class whose memory stands in lib/constructs/database-class-memory.ts; add it there';
  }
  const needed = expectedConnections(fleets) + KEPT_CONNECTIONS;
  if (needed <= served) return undefined;
  const terms = Object.entries(fleets).map(
    ([name, { maximum }]) =>
      `${name} ${maximum} instances × ${REFRESH_OVERSHOOT} in a refresh × ${PROCESSES_PER_INSTANCE} process × ${POOL_CONNECTIONS_MAX} connections = ${fleetConnections(maximum)}`,
  );
  const instances = Math.max(0, Math.floor((served - RESERVED_CONNECTIONS) / fleetConnections(1)));
  return `a class that serves ${needed} connections (${terms.join(', ')}, in reserve ${RESERVED_CONNECTIONS}), or fleets with a maximum of ${instances} instances together; with ${databaseClassMemoryGib(instanceClass)} GiB it serves ${served}`;
}
