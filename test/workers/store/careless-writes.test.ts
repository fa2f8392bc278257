/** Write functions that do what they must not: nothing may be lost by it, nor stored by half or twice. */
import { describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { Write } from '../../../workers/store/inbox-writer.ts';
import { postgresForTests } from '../postgres.ts';
import { always, makeWriter, message, stored, type Work, writeWork } from './work.ts';

const postgres = postgresForTests();
const ids = async () => (await postgres.rows('select id from work order by at')).flat();
const keys = async () => (await postgres.rows('select key from inbox order by key')).flat();
const writerThat = async (write: Write<Work>) => (await makeWriter(postgres, { write })).writer;

describe('a careless write', () => {
  test.each([
    { how: 'swallows an error', careless: (client: pg.ClientBase) => client.query('select 1 / 0').catch(() => {}) },
    {
      how: 'does not wait for a statement that fails',
      careless: async (client: pg.ClientBase) => void client.query('select 1 / 0'),
    },
    { how: 'ends the transaction itself', careless: (client: pg.ClientBase) => client.query('rollback') },
  ])('does not take for stored what a write that $how has lost', async ({ careless }) => {
    const writer = await writerThat(async (transaction, payloads) => {
      await writeWork(transaction, payloads);
      if (payloads.some(({ id }) => id === 'careless')) await careless(transaction);
    });
    const batch = ['a', 'careless', 'c'].map((id) => message(id));
    const reason = expect.stringContaining('nothing was committed');
    expect(await writer.commit(batch, always)).toEqual([stored, { name: 'retried', reason }, stored]);
    expect([await ids(), await keys()]).toEqual([
      ['a', 'c'],
      ['a', 'c'],
    ]);
  });

  test('finds the message whose write goes on after an error that it swallowed, and does not call the database away', async () => {
    const writer = await writerThat(async (transaction, payloads) => {
      for (const payload of payloads) {
        if (payload.id === 'careless') await transaction.query('select 1 / 0').catch(() => {});
        await writeWork(transaction, [payload]);
      }
    });
    const batch = ['a', 'careless', 'c'].map((id) => message(id));
    expect(await writer.commit(batch, always)).toMatchObject([stored, { name: 'retried' }, stored]);
    expect(await ids()).toEqual(['a', 'c']);
  });

  test('lets nothing of a write that has failed reach PostgreSQL behind the rollback', async () => {
    const writer = await writerThat(async (transaction, payloads) => {
      await Promise.all(
        payloads.map(async (payload) => {
          await writeWork(transaction, [payload]);
          if (payload.id === 'bad') throw new Error('embargoed');
          await writeWork(transaction, [{ ...payload, value: '2' }]);
        }),
      );
    });
    const batch = ['bad', 'a', 'b', 'c'].map((id) => message(id));
    const bad = { name: 'retried', reason: 'embargoed' };
    expect(await writer.commit(batch, always)).toEqual([bad, stored, stored, stored]);
    // Whatever is still on its way on the connection has arrived.
    expect(await writer.commit([message('d')], always)).toEqual([stored]);
    expect(await postgres.rows('select id, count(*)::integer from work group by id order by id')).toEqual([
      ['a', 2],
      ['b', 2],
      ['c', 2],
      ['d', 2],
    ]);
  });

  test('does not take for stored what was written by half when the write ended', async () => {
    const writer = await writerThat(async (transaction, payloads) => {
      const careless = async (payload: Work) => {
        await writeWork(transaction, [payload]);
        await writeWork(transaction, [payload]);
      };
      for (const payload of payloads) {
        if (payload.id === 'careless') void careless(payload);
        else await writeWork(transaction, [payload]);
      }
    });
    const batch = ['a', 'careless', 'c'].map((id) => message(id));
    expect(await writer.commit(batch, always)).toMatchObject([
      stored,
      { name: 'retried', reason: expect.stringContaining('did not wait') },
      stored,
    ]);
    expect([await ids(), await keys()]).toEqual([
      ['a', 'c'],
      ['a', 'c'],
    ]);
  });

  test.each([
    { how: 'begins again after an error', careless: ['rollback', 'begin'] },
    { how: 'commits in the middle', careless: ['commit'] },
    { how: 'commits in the middle, and begins again', careless: ['COMMIT', 'start transaction'] },
    { how: 'commits behind another statement', careless: ['select 1; commit; begin'] },
    { how: 'begins again behind another statement', careless: ['select 1; rollback; begin'] },
    { how: 'commits behind a comment', careless: ['-- done\n /* so /* it */ seems */ commit', '; begin'] },
  ])('loses nothing when a write $how', async ({ careless }) => {
    const writer = await writerThat(async (transaction, payloads) => {
      for (const { id } of payloads) {
        await writeWork(transaction, [{ id, value: id === 'bad' ? 'no number' : '1' }]);
        if (id === 'careless') for (const statement of careless) await transaction.query(statement);
      }
    });
    const batch = ['a', 'careless', 'bad', 'c'].map((id) => message(id));
    expect(await writer.commit(batch, always)).toMatchObject([
      stored,
      { name: 'retried', reason: expect.stringMatching(/nothing was committed|multiple commands/) },
      { name: 'rejected' },
      stored,
    ]);
    expect([await ids(), await keys()]).toEqual([
      ['a', 'c'],
      ['a', 'c'],
    ]);
  });

  test('lets a write go back to a savepoint of its own', async () => {
    const writer = await writerThat(async (transaction, payloads) => {
      await transaction.query('savepoint own');
      await transaction.query('select 1 / 0').catch(() => transaction.query('rollback to savepoint own'));
      await writeWork(transaction, payloads);
    });
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    expect(await ids()).toEqual(['a']);
  });

  test.each(['release', 'end', 'connect'])('loses nothing by calling %s on its connection', async (call) => {
    const writer = await writerThat(async (transaction, payloads) => {
      await writeWork(transaction, payloads);
      if (payloads.some(({ id }) => id === 'careless')) Reflect.get(transaction, call).call(transaction);
    });
    const batch = ['a', 'careless', 'c'].map((id) => message(id));
    const retried = { name: 'retried', reason: expect.stringContaining('nothing was committed') };
    expect(await writer.commit(batch, always)).toMatchObject([stored, retried, stored]);
    expect(await ids()).toEqual(['a', 'c']);
  });
});

test('a write may hand over its statements in any form that pg takes', async () => {
  const seen: unknown[] = [];
  const writer = await writerThat(async (transaction, payloads) => {
    const rows = async (query: Promise<pg.QueryResult>) => seen.push((await query).rows);
    await rows(transaction.query('select 1 as one'));
    await rows(transaction.query('select $1::integer as one', [1]));
    await rows(transaction.query({ text: 'select $1::integer as one', values: [1] }));
    await rows(transaction.query({ name: 'one', text: 'select $1::integer as one' }, [1]));
    await new Promise<void>((resolve) => {
      void transaction.query('select 1 as one', (_, result) => {
        seen.push(result.rows);
        resolve();
      });
    });
    await writeWork(transaction, payloads);
  });
  expect(await writer.commit([message('a')], always)).toEqual([stored]);
  expect(seen).toEqual(Array(5).fill([{ one: 1 }]));
});
