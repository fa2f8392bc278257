import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { Write } from '../../../workers/store/inbox-writer.ts';
import { acceptsWrites, recordRejection } from '../../../workers/store/rejections.ts';
import { afterwards, eventually } from '../../local/machine/machine.ts';
import { networkTo, postgresForTests } from '../postgres.ts';
import {
  always,
  countedAlways,
  keyReused,
  losing,
  makeWriter,
  message,
  slowRows,
  stored,
  suppressed,
  type Work,
  workWriter,
  writeWork,
} from './work.ts';

const postgres = postgresForTests();
const nowhere = 'postgres://sluice@127.0.0.1:1/sluice';
const ids = async () => (await postgres.rows('select id from work order by at')).flat();
const keys = async () => (await postgres.rows('select key from inbox order by key')).flat();
const writerThat = async (write: Write<Work>) => (await makeWriter(postgres, { write })).writer;
const lost = { name: 'lost' };
const writerAt = (url: string) => makeWriter(postgres, { url });

describe('the inbox', () => {
  test('gives each message its effect once, however often it is delivered', async () => {
    const { writer } = await makeWriter(postgres);
    const batch = ['a', 'b', 'c'].map((id) => message(id));
    expect(await writer.commit(batch, always)).toEqual([stored, stored, stored]);
    expect(await writer.commit([...batch, message('d')], always)).toEqual([suppressed, suppressed, suppressed, stored]);
    expect(await ids()).toEqual(['a', 'b', 'c', 'd']);
  });

  test('rejects alone the message that a trigger refuses, and stores the others', async () => {
    const writer = await writerThat(async (transaction, payloads) => {
      await writeWork(transaction, payloads);
      await transaction.query(
        "do $$ begin if exists (select from work where id = 'bad') then raise exception 'embargoed'; end if; end $$",
      );
    });
    const outcomes = await writer.commit(
      ['a', 'b', 'bad', 'c'].map((id) => message(id)),
      always,
    );
    expect(outcomes).toMatchObject([
      stored,
      stored,
      { name: 'rejected', errorClass: 'RefusedByDatabase', reason: 'embargoed (P0001)' },
      stored,
    ]);
  });

  test('holds messages while a lock is not to be had, as a migration holds one: they are not received again for it', async () => {
    const writer = await writerThat(async (transaction) => {
      await transaction.query("do $$ begin raise exception 'lock timeout' using errcode = '55P03'; end $$");
    });
    expect(await writer.commit([message('a')], always)).toMatchObject([{ name: 'held' }]);
  });

  test('takes the first of equals in one batch', async () => {
    const { writer } = await makeWriter(postgres);
    expect(await writer.commit([message('a'), message('b'), message('a')], always)).toEqual([
      stored,
      stored,
      suppressed,
    ]);
    expect(await ids()).toEqual(['a', 'b']);
  });

  test('rejects a key with another payload, in the same batch and later, and keeps what was first', async () => {
    const { writer } = await makeWriter(postgres);
    expect(await writer.commit([message('a', '1'), message('a', '2')], always)).toMatchObject([stored, keyReused]);
    expect(await writer.commit([message('a', '2'), message('a', '1'), message('b')], always)).toMatchObject([
      keyReused,
      suppressed,
      stored,
    ]);
    expect(await postgres.rows('select id, value from work order by id')).toEqual([
      ['a', '1'],
      ['b', '1'],
    ]);
  });

  test('keeps the keys of different workers apart', async () => {
    const { pool, writer } = await makeWriter(postgres);
    const other = workWriter(pool, { consumer: 'other' });
    expect(await writer.commit([message('a', '1')], always)).toEqual([stored]);
    expect(await other.commit([message('a', '2')], always)).toEqual([stored]);
    // Neither is compared with what the other stored under the same key.
    expect(await writer.commit([message('a', '1')], always)).toEqual([suppressed]);
    expect(await other.commit([message('a', '2')], always)).toEqual([suppressed]);
  });

  test('writes nothing when the lease was lost before the commit', async () => {
    const { writer } = await makeWriter(postgres);
    const one = message('a');
    expect(
      await writer.commit(
        [one],
        losing(() => true),
      ),
    ).toEqual([lost]);
    expect([await ids(), await keys()]).toEqual([[], []]);
    expect(await writer.commit([one], always)).toEqual([stored]);
  });

  test('stores the others when the lease of one was lost, but for those behind it in its group', async () => {
    const { writer } = await makeWriter(postgres);
    const [a1, b1, a2, b2] = [
      message('a1', '1', 'a'),
      message('b1', '1', 'b'),
      message('a2', '1', 'a'),
      message('b2', '1', 'b'),
    ];
    const outcomes = await writer.commit(
      [a1!, b1!, a2!, b2!],
      losing((each) => each === a1),
    );
    expect(outcomes.map(({ name }) => name)).toEqual(['lost', 'stored', 'retried', 'stored']);
    expect(await ids()).toEqual(['b1', 'b2']);
  });

  test('stores nothing behind a lease that was lost in the first half of a batch that is halved', async () => {
    const { writer } = await makeWriter(postgres);
    const [a1, bad, a2, b1] = [message('a1', '1', 'a'), message('bad', 'x'), message('a2', '1', 'a'), message('b1')];
    let attempts = 0;
    const outcomes = await writer.commit([a1!, bad!, a2!, b1!], (claimed) => {
      attempts += 1;
      return losing((each) => attempts > 1 && each === a1)(claimed);
    });
    expect(outcomes.map(({ name }) => name)).toEqual(['lost', 'rejected', 'retried', 'stored']);
    expect(await ids()).toEqual(['b1']);
  });

  test('tells the write that its lease was lost, whatever it throws then', async () => {
    const abort = new AbortController();
    const writer = await writerThat(async (_, __, signal) => {
      abort.abort();
      signal.throwIfAborted();
    });
    const isLost: typeof always = (claimed) => ({
      ...always(claimed),
      signal: abort.signal,
      lost: () => (abort.signal.aborted ? claimed : []),
    });
    expect(await writer.commit([message('a')], isLost)).toEqual([lost]);
    expect(await keys()).toEqual([]);
  });

  test('leaves behind a write that never ends, and its connection with it', async () => {
    const { pool, writer } = await makeWriter(postgres);
    const begun: pg.ClientBase[] = [];
    const hanging = workWriter(pool, {
      write: async (transaction, payloads) => {
        await writeWork(transaction, payloads);
        begun.push(transaction);
        await new Promise(() => {});
      },
    });
    const leaving = Promise.withResolvers<never>();
    const left: typeof always = (claimed) => ({ ...always(claimed), leftBehind: leaving.promise, lost: () => claimed });
    // As many as there are connections.
    const commits = ['a', 'b', 'c', 'd'].map((id) => hanging.commit([message(id)], left));
    await eventually('four writes', () => begun.length === 4);
    leaving.reject(new Error('too slow'));
    expect(await Promise.all(commits)).toEqual([[lost], [lost], [lost], [lost]]);
    await expect(begun[0]!.query('select 1')).rejects.toThrow('not queryable');
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    expect(await ids()).toEqual(['a']);
  });

  test('asks no more for the other half when the database is away by then', async () => {
    let attempts = 0;
    const writer = await writerThat(async (transaction) => {
      attempts += 1;
      await transaction.query(attempts === 1 ? 'select 1 / 0' : 'select * from not_made_yet');
    });
    const outcomes = await writer.commit(
      ['a', 'b', 'c', 'd'].map((id) => message(id)),
      always,
    );
    expect([outcomes.map(({ name }) => name), attempts]).toEqual([['held', 'held', 'held', 'held'], 2]);
  });

  test('suppresses a delivery of a message that was committed, although a later schema reads it in another way', async () => {
    const { writer } = await makeWriter(postgres);
    const before = message('a', '1');
    expect(await writer.commit([before], always)).toEqual([stored]);
    const after = { ...before, payload: { id: 'a', value: '1.0' } };
    expect(await writer.commit([after], always)).toEqual([suppressed]);
    expect(await writer.commit([message('a', '1.0')], always)).toMatchObject([keyReused]);
  });

  test('compares under one key only what the worker calls the work', async () => {
    const { pool } = await makeWriter(postgres);
    const writer = workWriter(pool, { work: ({ id }) => id });
    expect(await writer.commit([message('a', '1')], always)).toEqual([stored]);
    expect(await writer.commit([message('a', '2')], always)).toEqual([suppressed]);
  });

  test('tries again when a key that it met was cleared away before it could be read', async () => {
    const { pool, writer } = await makeWriter(postgres);
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    let removals = 0;
    const connect = pool.connect.bind(pool);
    pool.connect = async () => {
      const client = await connect();
      const query = client.query.bind(client) as (...asked: unknown[]) => Promise<unknown>;
      client.query = (async (...asked: [{ name?: string }]) => {
        if (asked[0].name === 'select-inbox-keys' && ++removals === 1) {
          await postgres.pool.query('delete from inbox');
        }
        return query(...asked);
      }) as typeof client.query;
      return client;
    };
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    expect(await ids()).toEqual(['a', 'a']);
  });

  test('stores once what two writers bring at the same time in other orders, without a deadlock', async () => {
    const one = await makeWriter(postgres);
    const other = await makeWriter(postgres);
    await slowRows(postgres, 'inbox');
    const { claims, attempts } = countedAlways();
    const batch = Array.from({ length: 30 }, (_, index) => message(`k${index}`));
    const both = [one.writer.commit(batch, claims), other.writer.commit(batch.toReversed(), claims)];
    const outcomes = (await Promise.all(both)).flat().map(({ name }) => name);
    expect(outcomes.filter((name) => name === 'stored')).toHaveLength(30);
    expect(outcomes.filter((name) => name === 'suppressed')).toHaveLength(30);
    expect(await ids()).toHaveLength(30);
    // Whoever loses a deadlock tries again.
    expect(attempts()).toBe(2);
  });

  test('does not depend on how transactions are isolated by default', async () => {
    const { pool } = await makeWriter(postgres);
    await postgres.pool.query("alter role sluice set default_transaction_isolation = 'serializable'");
    afterwards(() => postgres.pool.query('alter role sluice reset default_transaction_isolation'));
    const levels: unknown[] = [];
    const writer = workWriter(pool, {
      write: async (transaction) => {
        levels.push((await transaction.query('show transaction_isolation')).rows[0]);
      },
    });
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    expect(levels).toEqual([{ transaction_isolation: 'read committed' }]);
  });
});

describe('a batch with a bad message', () => {
  test.each([0, 4, 9])('loses only the one at place %i of ten', async (place) => {
    const { writer } = await makeWriter(postgres);
    const batch = Array.from({ length: 10 }, (_, index) => message(`m${index}`, index === place ? 'x' : '1'));
    const outcomes = await writer.commit(batch, always);
    expect(outcomes.map(({ name }) => name)).toEqual(
      batch.map((_, index) => (index === place ? 'rejected' : 'stored')),
    );
    expect(outcomes[place]).toEqual({
      name: 'rejected',
      reason: 'invalid input syntax for type numeric: "x" (22P02)',
      errorClass: 'RefusedByDatabase',
    });
    expect((await ids()).sort()).toEqual(batch.flatMap(({ payload }, index) => (index === place ? [] : [payload.id])));
    expect(await keys()).not.toContain(`m${place}`);
    const again = await writer.commit(
      batch.filter((_, index) => index !== place),
      always,
    );
    expect(new Set(again.map(({ name }) => name))).toEqual(new Set(['suppressed']));
  });

  test('rejects what violates a constraint (class 23)', async () => {
    const { writer } = await makeWriter(postgres);
    await postgres.pool.query('alter table work add check (value < 100)');
    expect(await writer.commit([message('a'), message('b', '100')], always)).toMatchObject([
      stored,
      { name: 'rejected', errorClass: 'RefusedByDatabase', reason: expect.stringContaining('(23514)') },
    ]);
  });

  test('keeps the order of each group across the halves', async () => {
    const { writer } = await makeWriter(postgres);
    const batch = ['1', '2', 'x', '4', '5', 'x', '7', '8'].map((value, index) =>
      message(`m${index}`, value, index % 2 === 0 ? 'even' : 'odd'),
    );
    await writer.commit(batch, always);
    expect(await ids()).toEqual(['m0', 'm1', 'm3', 'm4', 'm6', 'm7']);
  });

  test('commits nothing of a group behind a message that has to come again', async () => {
    let calls = 0;
    const writer = await writerThat(async (transaction, payloads) => {
      calls += 1;
      if (calls > 1 && payloads.some(({ id }) => id === 'a1')) {
        throw new Error('the write function cannot do this one');
      }
      await writeWork(transaction, payloads);
    });
    const batch = [message('a1', '1', 'a'), message('b1', 'x', 'b'), message('a2', '1', 'a'), message('b2', '1', 'b')];
    const outcomes = await writer.commit(batch, always);
    expect(outcomes.map(({ name }) => name)).toEqual(['retried', 'rejected', 'retried', 'stored']);
    expect(await ids()).toEqual(['b2']);
  });

  test('for which the write function throws gives back that one alone, and does not take the database for away', async () => {
    const writer = await writerThat(async (transaction, payloads) => {
      if (payloads.some(({ id }) => id === 'm3')) throw new TypeError('cannot read properties of undefined');
      await writeWork(transaction, payloads);
    });
    const batch = Array.from({ length: 6 }, (_, index) => message(`m${index}`));
    const outcomes = await writer.commit(batch, always);
    expect(outcomes.map(({ name }) => name)).toEqual(['stored', 'stored', 'stored', 'retried', 'stored', 'stored']);
    expect(outcomes[3]).toMatchObject({ reason: 'cannot read properties of undefined' });
  });
});

describe('a connection that is lost', () => {
  const pidOf = async (client: pg.ClientBase) =>
    (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;

  test('between two statements of a transaction holds the batch, which is stored by the next attempt', async () => {
    let kill = true;
    const writer = await writerThat(async (transaction, payloads) => {
      await writeWork(transaction, payloads);
      if (!kill) return;
      kill = false;
      await postgres.pool.query('select pg_terminate_backend($1)', [await pidOf(transaction)]);
      // Nothing of ours is under way when the connection breaks.
      await sleep(50);
    });
    const batch = [message('a'), message('b')];
    expect(await writer.commit(batch, always)).toMatchObject([{ name: 'held' }, { name: 'held' }]);
    expect([await ids(), await keys()]).toEqual([[], []]);
    expect(await writer.commit(batch, always)).toEqual([stored, stored]);
  });

  test('while the commit runs holds the batch, and the replay stores it once', async () => {
    const { writer } = await makeWriter(postgres);
    await postgres.pool.query(`
      create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(30); return null; end';
      create constraint trigger slow after insert on work deferrable initially deferred for each row execute function slow()`);
    const commit = writer.commit([message('a')], always);
    const committing = () =>
      postgres.rows("select pid from pg_stat_activity where query = 'commit' and state = 'active'");
    await eventually('a commit under way', async () => (await committing()).length === 1);
    await postgres.rows('select pg_terminate_backend($1)', [(await committing())[0]![0]]);
    expect(await commit).toMatchObject([{ name: 'held' }]);
    await postgres.pool.query('drop trigger slow on work');
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    expect(await ids()).toEqual(['a']);
  });

  test('with the answer to a commit under way holds the batch, and the replay suppresses it', async () => {
    const network = await networkTo(postgres);
    const { writer } = await writerAt(network.url(postgres.url));
    const one = message('a');
    network.loseNextAnswerTo('commit\0');
    expect(await writer.commit([one], always)).toMatchObject([{ name: 'held' }]);
    expect(await ids()).toEqual(['a']);
    expect(await writer.commit([one], always)).toEqual([suppressed]);
    expect(await ids()).toEqual(['a']);
  });

  test('or that cannot be opened holds the batch', async () => {
    const { writer } = await writerAt(nowhere);
    expect(await writer.commit([message('a')], always)).toMatchObject([{ name: 'held' }]);
  });
});

describe('what is the state of the database and not the message', () => {
  test('holds the batch: a table that a deploy has not made yet', async () => {
    const { writer } = await makeWriter(postgres);
    await postgres.pool.query('drop table work');
    expect(await writer.commit([message('a')], always)).toMatchObject([
      { name: 'held', reason: expect.stringContaining('(42P01)') },
    ]);
  });

  test('holds the batch on a server that is read-only, and the probe sees it', async () => {
    const { pool, writer } = await makeWriter(postgres);
    expect(await acceptsWrites(pool, 'work')).toBe(true);
    const readOnly = new URL(postgres.url);
    readOnly.searchParams.set('options', '-c default_transaction_read_only=on');
    const replica = await writerAt(readOnly.href);
    expect(await acceptsWrites(replica.pool, 'work')).toBe(false);
    expect(await replica.writer.commit([message('a')], always)).toMatchObject([
      { name: 'held', reason: expect.stringContaining('(25006)') },
    ]);
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
  });

  test('fails the probe and no more when it is away', async () => {
    const { pool } = await writerAt(nowhere);
    expect(await acceptsWrites(pool, 'work')).toBe(false);
  });

  test('is no reason to halve a batch: every half would fail too', async () => {
    let attempts = 0;
    const writer = await writerThat(async (transaction) => {
      attempts += 1;
      await transaction.query("do $$ begin raise exception 'disk full' using errcode = '53100'; end $$");
    });
    const batch = Array.from({ length: 8 }, (_, index) => message(`m${index}`));
    const outcomes = await writer.commit(batch, always);
    expect([attempts, new Set(outcomes.map(({ name }) => name))]).toEqual([1, new Set(['held'])]);
  });

  test('gives back what loses against others again and again', async () => {
    let attempts = 0;
    const writer = await writerThat(async (transaction) => {
      attempts += 1;
      await transaction.query("do $$ begin raise exception 'deadlock' using errcode = '40P01'; end $$");
    });
    expect(await writer.commit([message('a')], always)).toMatchObject([{ name: 'retried' }]);
    expect(attempts).toBe(3);
  });
});

test('a rejection that is recorded twice has one row, with the first reason', async () => {
  const { pool } = await makeWriter(postgres);
  const rejection = { queueName: 'orders', messageId: 'm1', errorClass: 'InvalidMessage', haltsGroup: undefined };
  await recordRejection(pool, 'orders@1', { ...rejection, reason: 'first' });
  await recordRejection(pool, 'orders@1', { ...rejection, reason: 'second' });
  expect(await postgres.rows('select queue, message_id, reason, error_class from rejections')).toEqual([
    ['orders', 'm1', 'first', 'InvalidMessage'],
  ]);
  expect(await postgres.rows('select * from fences')).toEqual([]);
});
