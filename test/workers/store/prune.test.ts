import { describe, expect, test } from '@jest/globals';
import { openPool } from '../../../workers/store/connection.ts';
import { pruneSome } from '../../../workers/store/prune.ts';
import { afterwards } from '../../local/machine/machine.ts';
import { postgresForTests } from '../postgres.ts';
import { always, makeWriter, message, stored } from './work.ts';

const postgres = postgresForTests();

function workersPool() {
  const pool = openPool(postgres.database);
  afterwards(() => pool.end());
  return pool;
}

/** So many keys that were committed so long ago. */
const addKeys = (days: number, count = 1, consumer = 'work') =>
  postgres.pool.query(
    `insert into inbox (consumer, key, payload_hash, stored_at)
     select $1, concat($2::integer, '-', number), '', now() - make_interval(days => $2)
     from generate_series(1, $3) as number`,
    [consumer, days, count],
  );
const keys = async () => (await postgres.rows('select key from inbox order by stored_at')).flat();

describe('clearing away', () => {
  test('takes keys, reasons and fences that are older than 42 days, and nothing that is younger', async () => {
    for (const days of [60, 43, 41, 0]) await addKeys(days);
    for (const days of [43, 41]) {
      await postgres.rows(
        "insert into rejections select 'work', $1::text, 'bad', 'InvalidMessage', now() - make_interval(days => $1::text::integer)",
        [days],
      );
      await postgres.rows(
        "insert into fences (queue, message_group, sequence, moved_at) select 'work@1', $1::text, 1, now() - make_interval(days => $1::text::integer)",
        [days],
      );
    }
    expect(await pruneSome(workersPool())).toBe(4);
    expect(await keys()).toEqual(['41-1', '0-1']);
    expect(await postgres.rows('select message_id from rejections')).toEqual([['41']]);
    expect(await postgres.rows('select message_group from fences')).toEqual([['41']]);
  });

  test('takes a thousand rows of a table at a time, the oldest first', async () => {
    await addKeys(50, 1_000);
    await addKeys(60, 500);
    const pool = workersPool();
    expect(await pruneSome(pool)).toBe(1_000);
    expect(await postgres.rows("select count(*) from inbox where key like '60-%'")).toEqual([['0']]);
    expect(await pruneSome(pool)).toBe(500);
    expect(await pruneSome(pool)).toBe(0);
  });

  test('leaves a halted group halted, however long it waits for a person', async () => {
    await postgres.rows(
      "insert into fences (queue, message_group, sequence, halted_by, moved_at) values ('work@1', 'a', 1, 'm1', now() - interval '1 year')",
    );
    expect(await pruneSome(workersPool())).toBe(0);
  });

  test('passes over rows that another worker is clearing away, and does not wait for it', async () => {
    await addKeys(60, 3);
    const other = await postgres.pool.connect();
    afterwards(() => other.release(true));
    await other.query("begin; delete from inbox where key = '60-2'");
    expect(await pruneSome(workersPool())).toBe(2);
    await other.query('rollback');
    expect(await keys()).toEqual(['60-2']);
  });

  test('by two workers at once takes two thousand: neither waits, and neither takes what the other has', async () => {
    await addKeys(60, 3_000);
    expect(await Promise.all([pruneSome(workersPool()), pruneSome(workersPool())])).toEqual([1_000, 1_000]);
    expect(await keys()).toHaveLength(1_000);
  });

  test('neither waits for a worker that is committing nor keeps one from it', async () => {
    await addKeys(60, 3);
    const pruned: number[] = [];
    const pool = workersPool();
    const { writer } = await makeWriter(postgres, {
      // In the middle of a transaction that has written its key.
      write: async () => {
        pruned.push(await pruneSome(pool));
      },
    });
    expect(await writer.commit([message('new')], always)).toEqual([stored]);
    const clearing = await postgres.pool.connect();
    afterwards(() => clearing.release(true));
    await addKeys(60, 3);
    await clearing.query("begin; delete from inbox where key like '60-%'");
    expect(await writer.commit([message('newer')], always)).toEqual([stored]);
    expect(pruned).toEqual([3, 0]);
    await clearing.query('rollback');
  });

  test('says why when it cannot, and leaves no connection in a bad state behind', async () => {
    const pool = workersPool();
    await postgres.pool.query('alter table rejections rename to renamed');
    await expect(pruneSome(pool)).rejects.toThrow('rejections');
    await postgres.pool.query('alter table renamed rename to rejections');
    expect(await pruneSome(pool)).toBe(0);
  });

  test('finds what is old by an index', async () => {
    await addKeys(0, 5_000);
    await postgres.pool.query('analyze inbox');
    const plan = await postgres.rows(
      "explain select ctid from inbox where stored_at < now() - interval '42 days' order by stored_at limit 1000",
    );
    expect(plan.flat().join('\n')).toContain('using inbox_stored_at');
  });
});
