import { describe, expect, jest, test } from '@jest/globals';
import { mends } from '../../../workers/start-failure.ts';
import { migrate } from '../../../workers/store/migrate.ts';
import { afterwards, eventually } from '../../local/machine/machine.ts';
import { networkTo, postgresForTests } from '../postgres.ts';
import { migrationNames } from './migration-names.ts';

const postgres = postgresForTests();
const all = migrationNames;
const run = () => migrate(postgres.database);
const tables = async () =>
  (await postgres.rows("select tablename from pg_tables where schemaname = 'public' order by 1")).flat();

describe('migrating', () => {
  test('an empty database makes all tables; again, it has nothing to do', async () => {
    await postgres.empty();
    expect(await run()).toEqual(all);
    const made = [
      'fences',
      'inbox',
      'ledger_accounts',
      'ledger_entries',
      'order_lines',
      'orders',
      'probes',
      'rejections',
      'sluice_migrations',
    ];
    expect(await tables()).toEqual(expect.arrayContaining(made));
    expect(await run()).toEqual([]);
  });

  test('by several at once is done by one of them', async () => {
    await postgres.empty();
    const done = await Promise.all([run(), run(), run()]);
    expect(done.flat()).toEqual(all);
  });

  test('makes all tables or none', async () => {
    await postgres.empty();
    await postgres.pool.query('create table ledger_entries ()');
    await expect(run()).rejects.toThrow(
      'in 003_ledger.sql, relation "ledger_entries" already exists. Name an empty database that this user owns',
    );
    // Nor one that says which migrations have run: the database is left as it was.
    expect(await tables()).toEqual(['ledger_entries']);
  });

  test('leaves a newer schema alone, so that an old worker goes on while a deploy is under way', async () => {
    await postgres.pool.query("insert into sluice_migrations (name, run_on) values ('999_of_a_newer_worker', now())");
    expect(await run()).toEqual([]);
  });
});

describe('a database that cannot be reached says so in a sentence:', () => {
  const urlWith = (change: (url: URL) => void) => {
    const url = new URL(postgres.url);
    change(url);
    return url.href;
  };
  const failureAt = (url: string) =>
    migrate({ name: 'url', url }).then(
      () => undefined,
      (error: unknown) => error,
    );

  test('nobody at its port, which mends', async () => {
    const error = await failureAt('postgres://me@127.0.0.1:1/x');
    expect(String(error)).toMatch(
      /cannot reach the database x at 127\.0\.0\.1:1 as user me: .*ECONNREFUSED.*\. Look whether it runs/,
    );
    expect(mends(error)).toBe(true);
  });

  test('a database that does not exist, which does not', async () => {
    const error = await failureAt(urlWith((url) => (url.pathname = '/nowhere')));
    expect(String(error)).toMatch(/cannot reach the database nowhere at .*"nowhere" does not exist\. Create it/);
    expect(mends(error)).toBe(false);
  });
});

describe('a database that goes away during the migration', () => {
  /** Everything but the bounds that a worker sets by a timer. */
  const REAL = ['setInterval', 'setImmediate', 'nextTick', 'queueMicrotask', 'Date', 'performance'] as const;

  test('is asked for 10 s what has run, and not for the 10 minutes that a migration may take', async () => {
    const other = await postgres.pool.connect();
    afterwards(() => other.release(true));
    await other.query('begin; lock table sluice_migrations');
    jest.useFakeTimers({ doNotFake: [...REAL] });
    afterwards(() => jest.useRealTimers());
    const failure = run().catch((error: unknown) => error);
    const waiting =
      "select from pg_stat_activity where application_name = 'sluice-migration' and wait_event_type = 'Lock'";
    await eventually('the question', async () => (await postgres.rows(waiting)).length === 1);
    jest.advanceTimersByTime(10_000);
    const error = await failure;
    expect(String(error)).toContain('Query read timeout');
    expect(mends(error)).toBe(true);
  });

  test('is left without an answer to the farewell', async () => {
    const network = await networkTo(postgres);
    network.silenceAfterAnswerTo('select name from sluice_migrations');
    expect(await migrate({ name: 'url', url: network.url(postgres.url) })).toEqual([]);
  });
});
