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
  readonly #poolOf = new WeakMap<pg.PoolClient, Connections>();
  #current: Connections;

  constructor(open: () => Connections) {
    this.#open = open;
    this.#current = open();
  }

  /** @throws what pg throws; the pool is renewed by then. */
  async connect(): Promise<pg.PoolClient> {
    const pool = this.#current;
    const client = await this.#renewing(pool, () => pool.connect());
    this.#poolOf.set(client, pool);
    return client;
  }

  /** One statement on a connection of its own choice. @throws what pg throws; the pool is renewed by then. */
  async query(statement: pg.QueryConfig): Promise<void> {
    const pool = this.#current;
    await this.#renewing(pool, () => pool.query(statement));
  }

  /** The database was away for whoever used this connection. */
  renew(client: pg.PoolClient): void {
    this.#replace(this.#poolOf.get(client));
  }

  /** Waits until every connection has been given back and is closed. */
  async end(): Promise<void> {
    await this.#current.end();
  }

  async #renewing<Result>(pool: Connections, use: () => Promise<Result>): Promise<Result> {
    try {
      return await use();
    } catch (error) {
      this.#replace(pool);
      throw error;
    }
  }

  /** A late failure on an old pool says nothing about the one that took its place. */
  #replace(failed: Connections | undefined): void {
    if (failed !== this.#current) return;
    this.#current = this.#open();
    // Half-open connections may not close for minutes: nobody waits for them, and how it ends changes nothing.
    failed.end().catch(() => {});
  }
}
