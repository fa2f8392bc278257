/** What becomes of a database that an earlier version has filled, and of workers beside a newer schema. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { writeOrders } from '../../../workers/orders/write-orders.ts';
import { migrate } from '../../../workers/store/migrate.ts';
import { order } from '../orders.ts';
import { postgresForTests } from '../postgres.ts';
import { migrationNames } from './migration-names.ts';
import { always, keyReused, makeWriter, message, stored, suppressed } from './work.ts';

const postgres = postgresForTests();
const MIGRATIONS_BEFORE = 3;
/** From the one to fences on. */
const later = migrationNames.slice(MIGRATIONS_BEFORE);

/** With the files that the workers run; `count` is how many of them. */
async function migrations(direction: 'up' | 'down', count: number): Promise<string[]> {
  const run = await runner({
    databaseUrl: postgres.url,
    dir: fileURLToPath(new URL('../../../workers/store/migrations', import.meta.url)),
    direction,
    count,
    migrationsTable: 'sluice_migrations',
    logger: { info: () => {}, warn: () => {}, error: () => {} },
  });
  return run.map(({ name }) => name);
}

/** As the version before fences left it: two keys, a reason, an order with its entry. */
async function databaseOfBefore(): Promise<void> {
  await postgres.empty();
  await migrations('up', MIGRATIONS_BEFORE);
  await postgres.pool.query(`
    insert into inbox (consumer, key, payload_hash)
      select 'work', id, sha256(convert_to('{"id":"' || id || '","value":"1"}', 'UTF8')) from unnest(array['a', 'b']) as id;
    insert into rejections (queue, message_id, reason, error_class) values ('work', 'm1', 'bad', 'InvalidMessage');
    insert into orders values ('o1', 'c1', 'France', now(), 'sale', 5.10);
    insert into order_lines values ('o1', 1, '85123A', null, 2, 2.55);
    insert into ledger_accounts values ('c1', 1, 5.10);
    insert into ledger_entries values ('c1', 1, 'o1', 1, 5.10, 5.10, now())`);
}

const counts = async () =>
  (
    await postgres.rows(`
      select (select count(*) from inbox), (select count(*) from rejections), (select count(*) from orders),
             (select count(*) from order_lines), (select count(*) from ledger_accounts), (select count(*) from ledger_entries)`)
  )[0];

describe('the migration to fences', () => {
  test('keeps every row', async () => {
    await databaseOfBefore();
    expect(await migrate(postgres.database)).toEqual(later);
    expect(await counts()).toEqual(['2', '1', '1', '1', '1', '1']);
    expect(await postgres.rows('select key, message_id from inbox order by key')).toEqual([
      ['a', null],
      ['b', null],
    ]);
  });

  test('leaves keys that were committed before it known, by what they stand for', async () => {
    await databaseOfBefore();
    await migrate(postgres.database);
    const { writer } = await makeWriter(postgres);
    const batch = [message('a', '1', 'g', 1), message('b', '2', 'g', 2), message('c', '1', 'g', 3)];
    expect(await writer.commit(batch, always)).toMatchObject([suppressed, keyReused, stored]);
    expect(await postgres.rows('select id from work')).toEqual([['c']]);
  });

  test('lets workers of the version before it go on until they are replaced', async () => {
    await databaseOfBefore();
    await migrate(postgres.database);
    await postgres.pool.query("insert into inbox (consumer, key, payload_hash) values ('work', 'old', 'hash')");
    expect((await counts())![0]).toBe('3');
  });

  test('can be taken back, and done again', async () => {
    await databaseOfBefore();
    await migrate(postgres.database);
    expect(await migrations('down', later.length)).toEqual(later.toReversed());
    expect(await counts()).toEqual(['2', '1', '1', '1', '1', '1']);
    expect(await migrate(postgres.database)).toEqual(later);
  });
});

describe('the example of expand and contract in docs/operations.md', () => {
  const guide = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
  const [section] = guide.split('\n## Expand and contract\n')[1]!.split('\n## ');
  const steps = [...section!.matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) => sql!);
  const run = async (step: string) => postgres.pool.query(step);

  /** As the workers of the version before the renaming do it: in the place of the column's new name they know the old. */
  async function writesAsBefore(orderId: string): Promise<void> {
    const worker = new pg.Client(postgres.workerUrl);
    await worker.connect();
    try {
      await writeOrders(worker, [order({ orderId })]);
    } finally {
      await worker.end();
    }
  }

  const writesAsAfter = (orderId: string) =>
    run(
      `insert into orders (order_id, country, kind, total, ordered_at) values ('${orderId}', 'France', 'sale', 1, now())`,
    );

  test('lets the workers of before go on until it contracts, and keeps what they wrote', async () => {
    expect(steps).toHaveLength(4);
    const [expand, fillIn, move, contract] = steps;
    await writesAsBefore('before');
    await run(expand!);
    await writesAsBefore('beside');
    // While old ones write, the new name cannot be demanded: what they wrote has to be filled in first.
    await expect(run(move!)).rejects.toThrow('orders_ordered_at');
    await run(fillIn!);
    await run(move!);
    await writesAsAfter('after');
    await run(contract!);
    await expect(writesAsBefore('too late')).rejects.toThrow('placed_at');
    expect(await postgres.rows('select order_id from orders where ordered_at is null')).toEqual([]);
    expect((await postgres.rows('select order_id from orders order by 1')).flat()).toEqual([
      'after',
      'before',
      'beside',
    ]);
  });
});
