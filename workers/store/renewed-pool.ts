/**
 * A pool of connections that is replaced when the database was away.
 *
 * After a failover, connections that nobody has used since are half open: each would cost whoever takes it a whole query
 * timeout. So the first sign of an outage ends the pool, and everything after it takes connections of a new one, which
 * also look the database's name up again.
 *
 * Holds always: a query goes to one pool and never to two; connections of an old pool are closed when their users give
 * them back. Only the store uses it.
 */
import type pg from 'pg';

/** What the store uses of pg's pool; a simulator puts its own in its place. */
export type Connections = Pick<pg.Pool, 'connect' | 'query' | 'end'>;

export class RenewedPool {
  readonly #open: () => Connections;
  #current: Connections;

  constructor(open: () => Connections) {
    this.#open = open;
    this.#current = open();
  }

  connect(): Promise<pg.PoolClient> {
    return this.#current.connect();
  }

  /** One statement on a connection of its own choice. */
  async query(statement: pg.QueryConfig): Promise<void> {
    await this.#current.query(statement);
  }

  renew(): void {
    const old = this.#current;
    this.#current = this.#open();
    // Half-open connections may not close for minutes: nobody waits for them, and how it ends changes nothing.
    old.end().catch(() => {});
  }

  /** Waits until every connection has been given back and is closed. */
  async end(): Promise<void> {
    await this.#current.end();
  }
}
