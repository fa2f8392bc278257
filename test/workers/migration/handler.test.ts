/** The migration step as Lambda runs it, on a real PostgreSQL. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate';
import { findFreePort } from '../../../local/machine/ports.ts';
import { FaultyNetwork } from '../../faults/faulty-network.ts';
import { afterwards, eventually } from '../../local/machine/machine.ts';
import { postgresForTests } from '../postgres.ts';
import { addMigration, type Call, cloudFormation, invoke as invokeWith } from './lambda.ts';

const postgres = postgresForTests();
const all = '001_inbox, 002_orders, 003_ledger, 004_fences, 005_worker_role';
beforeEach(() => postgres.empty());

const invoke = ({ environment, ...call }: Call) =>
  invokeWith({ ...call, environment: { DATABASE_URL: postgres.url, ...environment } });

const tables = async () =>
  (await postgres.rows("select tablename from pg_tables where schemaname = 'public' order by 1")).flat();

const identity = {
  StackId: 'arn:aws:cloudformation:eu-central-1:000000000000:stack/sluice-dev-schema/1',
  RequestId: 'request-1',
  LogicalResourceId: 'MigrationResource',
};

describe('the migration step', () => {
  test('migrates an empty database when it is created, and says what it ran', async () => {
    const { answers, calls, url } = await cloudFormation();
    expect(await invoke({ type: 'Create', responseUrl: url })).toMatchObject({ status: 0 });
    const PhysicalResourceId = 'sluice-schema';
    expect(answers).toEqual([{ Status: 'SUCCESS', Data: { Migrations: all }, ...identity, PhysicalResourceId }]);
    expect(calls.map(({ method, headers }) => [method, headers['content-type']])).toEqual([['PUT', undefined]]);
    expect(await tables()).toContain('inbox');
  });

  test('runs what was added when it is updated, and stays the same resource', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    addMigration('create table added ();');
    await invoke({ type: 'Update', responseUrl: url });
    await invoke({ type: 'Update', responseUrl: url });
    expect(answers.slice(1)).toMatchObject([
      { Status: 'SUCCESS', Data: { Migrations: '900_of_the_test' }, PhysicalResourceId: 'made-before' },
      { Status: 'SUCCESS', Data: { Migrations: '' }, PhysicalResourceId: 'made-before' },
    ]);
  });

  test('answers that it failed, with the reason in a sentence, and has changed nothing', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    const before = [await tables(), await postgres.rows('select name from sluice_migrations')];
    addMigration('create table half (); insert into nowhere values (1);');
    expect(await invoke({ type: 'Update', responseUrl: url })).toMatchObject({ status: 0 });
    expect(answers[1]).toMatchObject({ Status: 'FAILED', ...identity, PhysicalResourceId: 'made-before' });
    expect(answers[1]!.Reason).toMatch(
      /^cannot migrate the database sluice as user sluice: in 900_of_the_test\.sql, .*"nowhere" does not exist\. Correct 900_of_the_test\.sql/,
    );
    expect(answers[1]!.Reason).not.toContain('\n');
    expect([await tables(), await postgres.rows('select name from sluice_migrations')]).toEqual(before);
  });

  test('is done once when it is called twice at once', async () => {
    const { answers, url } = await cloudFormation();
    await Promise.all([invoke({ type: 'Create', responseUrl: url }), invoke({ type: 'Create', responseUrl: url })]);
    expect(answers.map(({ Status, Data }) => [Status, Data?.Migrations]).sort()).toEqual([
      ['SUCCESS', ''],
      ['SUCCESS', all],
    ]);
  });

  test('does nothing when it is deleted, and needs no database for it', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    const before = await tables();
    await invoke({ type: 'Delete', responseUrl: url, environment: { DATABASE_URL: undefined } });
    expect(answers[1]).toEqual({ Status: 'SUCCESS', Data: {}, ...identity, PhysicalResourceId: 'made-before' });
    expect(await tables()).toEqual(before);
  });

  test('ends what is not through in time, answers before its own end, and leaves no lock behind', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    addMigration('lock table inbox in access exclusive mode; select pg_sleep(600);');
    await invoke({ type: 'Update', responseUrl: url, remainingMs: 42_000 });
    expect(answers[1]).toMatchObject({
      Status: 'FAILED',
      Reason: expect.stringMatching(/^the migrations were not through after 2 s/),
    });
    const sessions = "select 1 from pg_stat_activity where application_name = 'sluice-migration'";
    await eventually('the end of its session', async () => (await postgres.rows(sessions)).length === 0);
    expect(await postgres.rows("select name from sluice_migrations where name like '900%'")).toEqual([]);
  });

  test('says that the database was not reached, and why, when its time is over by then', async () => {
    const { answers, url } = await cloudFormation();
    const environment = { DATABASE_URL: `postgres://sluice@127.0.0.1:${await findFreePort()}/sluice` };
    await invoke({ type: 'Create', responseUrl: url, environment, remainingMs: 41_000 });
    expect(answers[0]!.Reason).toMatch(/^the database was not reached within 1 s: cannot reach .* ECONNREFUSED/);
  });

  test('says that another process migrates when its time is over by then', async () => {
    const { answers, url } = await cloudFormation();
    const other = await postgres.pool.connect();
    afterwards(() => other.release(true));
    await other.query(`select pg_advisory_lock(${PG_MIGRATE_LOCK_ID})`);
    await invoke({ type: 'Create', responseUrl: url, remainingMs: 43_000 });
    expect(answers[0]!.Reason).toMatch(/^another process was still migrating the database after 3 s\./);
  });

  test('waits for a database that is about to be there', async () => {
    const { answers, url } = await cloudFormation();
    const port = await findFreePort();
    const away = new URL(postgres.url);
    const there = Number(away.port);
    away.port = String(port);
    const invoked = invoke({ type: 'Create', responseUrl: url, environment: { DATABASE_URL: away.href } });
    setTimeout(async () => {
      const network = await FaultyNetwork.before(there, port);
      afterwards(() => network.stop());
    }, 3_000);
    await invoked;
    expect(answers).toMatchObject([{ Status: 'SUCCESS', Data: { Migrations: all } }]);
  });

  test('answers that it failed when it is told no database', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url, environment: { DATABASE_URL: undefined } });
    expect(answers).toMatchObject([
      {
        Status: 'FAILED',
        Reason: expect.stringMatching(/^cannot migrate: the environment names no database; set PGHOST/),
      },
    ]);
  });
});

describe('the answer', () => {
  test('is put again when S3 did not take it', async () => {
    const { answers, calls, url } = await cloudFormation((call) => (call < 3 ? 503 : 200));
    await invoke({ type: 'Create', responseUrl: url });
    expect([answers.length, calls.length]).toEqual([1, 3]);
  });

  test('stays within what CloudFormation takes, however many migrations were run', async () => {
    const { answers, bytes, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    for (let number = 901; number <= 925; number += 1) addMigration('select 1;', `${number}_${'x'.repeat(200)}`);
    await invoke({ type: 'Update', responseUrl: url });
    expect(bytes[1]).toBeLessThanOrEqual(4_096);
    expect(answers[1]!.Data!.Migrations).toMatch(/^25 migrations, the last of them 9\d\d_x+, .*, 925_x+$/);
  });

  test('stays within what CloudFormation takes, whatever JSON makes of the reason', async () => {
    const { answers, bytes, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    // Each of these is six bytes of JSON, or four of UTF-8.
    addMigration(`do $$ begin raise exception '%', repeat(chr(1) || chr(128640), 2000); end $$;`);
    await invoke({ type: 'Update', responseUrl: url });
    expect(bytes[1]).toBeLessThanOrEqual(4_096);
    expect(answers[1]!.Reason).toMatch(/^cannot migrate the database .*…$/u);
  });
});
