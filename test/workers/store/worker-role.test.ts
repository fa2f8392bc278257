/** The role that workers log in as may do what both of them do, and nothing else. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type LedgerOrder, writeEntries } from '../../../workers/ledger/write-entries.ts';
import { writeOrders } from '../../../workers/orders/write-orders.ts';
import type { Claim } from '../../../workers/outcome.ts';
import { mends } from '../../../workers/start-failure.ts';
import { openPool } from '../../../workers/store/connection.ts';
import { InboxWriter } from '../../../workers/store/inbox-writer.ts';
import { pruneSome } from '../../../workers/store/prune.ts';
import { acceptsWrites, recordRejection } from '../../../workers/store/rejections.ts';
import { requireSchema } from '../../../workers/store/schema.ts';
import { afterwards } from '../../local/machine/machine.ts';
import { order } from '../orders.ts';
import { postgresForTests } from '../postgres.ts';
import { stored, suppressed } from './work.ts';

const postgres = postgresForTests();

let worker: pg.Client;
beforeEach(async () => {
  worker = new pg.Client(postgres.workerUrl);
  await worker.connect();
  afterwards(() => worker.end());
});

function workerPool() {
  const pool = openPool({ name: 'url', url: postgres.workerUrl });
  afterwards(() => pool.end());
  return pool;
}

/** Leases that last. */
const always = (): Claim<LedgerOrder> => ({
  signal: new AbortController().signal,
  leftBehind: new Promise<never>(() => {}),
  lost: () => [],
});

const batch = (ids: readonly string[]) =>
  ids.map((orderId, index) => ({
    messageId: `m-${orderId}`,
    payload: { ...order({ orderId, customerId: 'c1' }), customerId: 'c1', filePosition: index + 1 },
    group: { id: 'c1', sequenceNumber: String(index + 1) },
  }));

describe('a worker', () => {
  test.each([
    ['orders', writeOrders],
    ['ledger', writeEntries],
  ])('stores what %s writes, and suppresses it when it comes again', async (consumer, write) => {
    const writer = new InboxWriter<LedgerOrder>({
      pool: workerPool(),
      consumer,
      fence: 'queue',
      key: ({ orderId }) => orderId,
      work: (each) => each,
      write,
    });
    expect(await writer.commit(batch(['o1', 'o2']), always)).toMatchObject([stored, stored]);
    expect(await writer.commit(batch(['o1', 'o2']), always)).toMatchObject([suppressed, suppressed]);
    // A customer that has a ledger already.
    expect(await writer.commit(batch(['o1', 'o2', 'o3']).slice(2), always)).toMatchObject([stored]);
    const table = consumer === 'orders' ? 'orders' : 'ledger_entries';
    expect(await postgres.rows(`select order_id from ${table} order by 1`)).toEqual([['o1'], ['o2'], ['o3']]);
  });

  test('writes reasons down, halts a group, and proves that the database writes', async () => {
    const pool = workerPool();
    const rejection = { queueName: 'queue', messageId: 'm1', reason: 'bad', errorClass: 'InvalidMessage' };
    await recordRejection(pool, 'queue', { ...rejection, haltsGroup: undefined });
    await recordRejection(pool, 'queue', { ...rejection, haltsGroup: 'c1' });
    await recordRejection(pool, 'queue', { ...rejection, haltsGroup: 'c1' });
    expect(await postgres.rows('select count(*) from rejections')).toEqual([['1']]);
    expect(await acceptsWrites(pool, 'orders')).toBe(true);
    expect(await acceptsWrites(pool, 'orders')).toBe(true);
  });

  test('finds a schema new enough that has more than it needs, and no other', async () => {
    const pool = workerPool();
    await postgres.pool.query("insert into sluice_migrations (name, run_on) values ('006_of_a_newer_worker', now())");
    await requireSchema(pool);
    await postgres.pool.query("delete from sluice_migrations where name in ('004_fences', '005_worker_role')");
    await expect(requireSchema(pool)).rejects.toThrow(
      'its schema lacks 004_fences, 005_worker_role, which this worker',
    );
    await postgres.empty();
    await postgres.pool.query('grant usage on schema public to sluice_worker');
    await expect(requireSchema(pool)).rejects.toThrow(
      'its schema lacks 001_inbox, 002_orders, 003_ledger, 004_fences,',
    );
  });

  test('is told which right it lacks, and not that everything else is missing, where it may not use the schema', async () => {
    await postgres.pool.query('revoke usage on schema public from sluice_worker');
    const error = await requireSchema(workerPool()).catch((failure: unknown) => failure);
    expect(String(error)).toContain('the role sluice_worker may not use the schema public');
    expect(mends(error)).toBe(false);
  });

  test('clears away what is old', async () => {
    await postgres.pool.query(`
      insert into inbox (consumer, key, payload_hash, stored_at) values ('orders', 'old', '', now() - interval '60 days');
      insert into rejections values ('queue', 'old', 'bad', 'InvalidMessage', now() - interval '60 days');
      insert into fences (queue, message_group, sequence, moved_at) values ('queue', 'old', 1, now() - interval '60 days')`);
    const pool = workerPool();
    expect(await pruneSome(pool)).toBe(3);
  });
});

describe('a worker is refused', () => {
  test.each([
    ['to make a table', 'create table mine ()', 'permission denied for schema public'],
    ['to make a temporary table', 'create temporary table mine ()', 'permission denied to create temporary tables'],
    ['to make a schema', 'create schema mine', 'permission denied for database'],
    ['to read orders', 'select * from orders', 'permission denied for table orders'],
    ['to change orders', 'update orders set total = 0', 'permission denied for table orders'],
    ['to delete orders', 'delete from orders', 'permission denied for table orders'],
    ['to empty orders', 'truncate orders', 'permission denied for table orders'],
    ['to drop orders', 'drop table orders', 'must be owner of table orders'],
    ['to change lines', 'update order_lines set quantity = 0', 'permission denied for table order_lines'],
    ['to delete entries', 'delete from ledger_entries', 'permission denied for table ledger_entries'],
    ['to delete accounts', 'delete from ledger_accounts', 'permission denied for table ledger_accounts'],
    ['to change what was written', "update inbox set payload_hash = ''", 'permission denied for table inbox'],
    ['to change a reason', "update rejections set reason = ''", 'permission denied for table rejections'],
    ['to lie about the schema', 'delete from sluice_migrations', 'permission denied for table sluice_migrations'],
    ['to give itself rights', "select grant_to_workers('delete', 'orders')", 'permission denied for function'],
    ['to make a role', 'create role other', 'permission denied to create role'],
    ['to become more', 'alter role sluice_worker createdb', 'permission denied to alter role'],
    ['to become the owner', 'set role sluice', 'permission denied to set role "sluice"'],
    ['to read the server’s files', "select pg_read_file('/etc/passwd')", 'permission denied for function'],
  ])('%s', async (_, statement, refusal) => {
    await expect(worker.query(statement)).rejects.toThrow(refusal);
  });
});

describe('grant_to_workers', () => {
  const grant = (privileges: string | null, table: string | null) =>
    postgres.pool.query('select grant_to_workers($1, $2)', [privileges, table]);

  test('lets workers do on a new table what it names, and nothing else', async () => {
    await postgres.pool.query('create table notes (id text primary key, text text, note_no integer)');
    await expect(worker.query('select * from notes')).rejects.toThrow('permission denied for table notes');
    await grant('select (id, note_no), insert, update (text)', 'notes');
    await worker.query("insert into notes values ('n1', 'first', 1)");
    expect((await worker.query('select id, note_no from notes')).rows).toEqual([{ id: 'n1', note_no: 1 }]);
    await worker.query("update notes set text = 'second'");
    await expect(worker.query('select text from notes')).rejects.toThrow('permission denied');
    await expect(worker.query('update notes set note_no = 2')).rejects.toThrow('permission denied');
    await expect(worker.query('delete from notes')).rejects.toThrow('permission denied');
  });

  test.each([
    [null, 'orders', 'the privileges are null; allowed: select, insert'],
    ['', 'orders', "the privileges are ''; allowed"],
    ['all', 'orders', "the privileges are 'all'"],
    ['select,insert', 'orders', "the privileges are 'select,insert'"],
    ['truncate', 'orders', "the privileges are 'truncate'"],
    ['select on table orders to public; --', 'orders', 'the privileges are'],
    ['select (total) on orders to public; drop table orders; --', 'orders', 'the privileges are'],
    ['select\n, delete', 'orders', 'the privileges are'],
    ['select', 'nowhere', "the schema public has no table 'nowhere'"],
    ['select', 'orders; drop table orders', 'has no table'],
    ['select', null, 'has no table null'],
  ])('refuses %p on %p', async (privileges, table, refusal) => {
    await expect(grant(privileges, table)).rejects.toThrow(refusal);
  });
});
