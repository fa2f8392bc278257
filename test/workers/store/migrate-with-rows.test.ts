/** What becomes of a database that an earlier version has filled. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { runner } from 'node-pg-migrate';
import { migrate } from '../../../workers/store/migrate.ts';
import { postgresForTests } from '../postgres.ts';
import { always, keyReused, makeWriter, message, stored, suppressed } from './work.ts';

const postgres = postgresForTests();

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
  await migrations('up', 3);
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
    expect(await migrate(postgres.database)).toEqual(['004_fences', '005_worker_role']);
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
    expect(await migrations('down', 2)).toEqual(['005_worker_role', '004_fences']);
    expect(await counts()).toEqual(['2', '1', '1', '1', '1', '1']);
    expect(await migrate(postgres.database)).toEqual(['004_fences', '005_worker_role']);
  });
});
