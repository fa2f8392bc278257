/**
 * Clears away what no message can come back for: old keys, reasons and fences.
 *
 * A key is kept for as long as its message can still arrive: the longest stay in the queue, the longest in the
 * dead-letter queue, and a second stay in the queue after somebody moved it back. What is older goes a thousand rows at
 * a time, each in a transaction of its own; rows that another worker is clearing are passed over, so that no table and
 * no worker ever waits.
 */
import type pg from 'pg';
import type { RenewedPool } from './renewed-pool.ts';

/** Three times the 14 days that SQS keeps a message at most. */
export const KEPT_DAYS = 42;
const ROWS_PER_DELETE = 1_000;

const TABLES = [
  { table: 'inbox', age: 'stored_at' },
  { table: 'rejections', age: 'rejected_at' },
  // A halted group waits for a person, however long.
  { table: 'fences', age: 'moved_at', only: 'halted_by is null' },
] as const;

/** @returns how many rows went; call it again as long as any did. */
export async function pruneSome(pool: RenewedPool): Promise<number> {
  const client = await pool.connect();
  try {
    let rows = 0;
    for (const each of TABLES) rows += await pruneTable(client, each);
    client.release();
    return rows;
  } catch (error) {
    client.release(true);
    throw error;
  }
}

async function pruneTable(client: pg.PoolClient, { table, age, ...rest }: (typeof TABLES)[number]): Promise<number> {
  const only = 'only' in rest ? `and ${rest.only}` : '';
  const { rowCount } = await client.query({
    name: `prune-${table}`,
    text: `delete from ${table} where ctid = any (array(
             select ctid from ${table} where ${age} < now() - make_interval(days => $1) ${only}
             order by ${age} limit ${ROWS_PER_DELETE} for update skip locked))`,
    values: [KEPT_DAYS],
  });
  return rowCount ?? 0;
}
