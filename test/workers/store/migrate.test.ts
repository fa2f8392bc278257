import { describe, expect, test } from '@jest/globals';
import { migrate } from '../../../workers/store/migrate.ts';
import { postgresForTests } from '../postgres.ts';

const postgres = postgresForTests();
const all = ['001_inbox', '002_orders', '003_ledger', '004_fences'];
const run = () => migrate(postgres.database, undefined);
const tables = async () =>
  (await postgres.rows("select tablename from pg_tables where schemaname = 'public' order by 1")).flat();

describe('migrating', () => {
  test('an empty database makes all tables; again, it has nothing to do', async () => {
    await postgres.empty();
    expect(await run()).toEqual(all);
    expect(await tables()).toEqual([
      'fences',
      'inbox',
      'ledger_accounts',
      'ledger_entries',
      'order_lines',
      'orders',
      'probes',
      'rejections',
      'sluice_migrations',
    ]);
    expect(await run()).toEqual([]);
  });

  test('by several workers at once is done by one of them', async () => {
    await postgres.empty();
    const done = await Promise.all([run(), run(), run()]);
    expect(done.flat()).toEqual(all);
  });

  test('makes all tables or none', async () => {
    await postgres.empty();
    await postgres.pool.query('create table ledger_entries ()');
    await expect(run()).rejects.toThrow('"ledger_entries" already exists');
    expect(await tables()).toEqual(['ledger_entries', 'sluice_migrations']);
    expect(await postgres.rows('select name from sluice_migrations')).toEqual([]);
  });

  test('leaves a newer schema alone, so that an old worker goes on while a deploy is under way', async () => {
    await postgres.pool.query("insert into sluice_migrations (name, run_on) values ('005_of_a_newer_worker', now())");
    expect(await run()).toEqual([]);
  });
});
