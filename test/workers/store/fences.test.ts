/** The order of each group, whoever wakes up late: the fences in the inbox's transaction. */
import { describe, expect, test } from '@jest/globals';
import { recordRejection } from '../../../workers/store/rejections.ts';
import { eventually } from '../../local/machine/machine.ts';
import { postgresForTests } from '../postgres.ts';
import {
  always,
  countedAlways,
  losing,
  makeWriter,
  message,
  slowRows,
  stored,
  suppressed,
  workWriter,
  writeWork,
} from './work.ts';

const postgres = postgresForTests();
const ids = async () => (await postgres.rows('select id from work order by at')).flat();
const keys = async () => (await postgres.rows('select key from inbox order by key')).flat();
const fences = async () =>
  await postgres.rows('select queue, message_group, sequence::text, halted_by from fences order by 1, 2');
const outOfOrder = { name: 'rejected', errorClass: 'OutOfOrder' };
const groupHalted = { name: 'rejected', errorClass: 'GroupHalted' };

describe('a worker that wakes up late', () => {
  test('has no effect when a later message of the group was committed', async () => {
    const { writer } = await makeWriter(postgres);
    expect(await writer.commit([message('second', '1', 'a', 2)], always)).toEqual([stored]);
    expect(await writer.commit([message('first', '1', 'a', 1)], always)).toMatchObject([outOfOrder]);
    expect([await ids(), await keys()]).toEqual([['second'], ['second']]);
    expect(await fences()).toEqual([['work@1', 'a', '2', null]]);
  });

  test('is told that its message is done when that was committed, and is behind the fence', async () => {
    const { writer } = await makeWriter(postgres);
    const [first, second] = [message('first', '1', 'a', 1), message('second', '1', 'a', 2)];
    expect(await writer.commit([first], always)).toEqual([stored]);
    expect(await writer.commit([first, second], always)).toEqual([suppressed, stored]);
    expect(await writer.commit([first], always)).toEqual([suppressed]);
    expect(await writer.commit([first, second], always)).toEqual([suppressed, suppressed]);
    expect(await ids()).toEqual(['first', 'second']);
  });

  test('waits for the worker that has the group now, and is too late then', async () => {
    const writing = Promise.withResolvers<void>();
    const { writer } = await makeWriter(postgres, {
      write: async (transaction, payloads) => {
        if (payloads[0]?.id === 'second') await writing.promise;
        await writeWork(transaction, payloads);
      },
    });
    const now = writer.commit([message('second', '1', 'a', 2)], always);
    await eventually(
      'the second under way',
      async () =>
        (await postgres.rows("select from pg_stat_activity where state = 'idle in transaction'")).length === 1,
    );
    const late = writer.commit([message('first', '1', 'a', 1)], always);
    await eventually(
      'the late one waiting',
      async () => (await postgres.rows('select from pg_locks where not granted')).length === 1,
    );
    writing.resolve();
    expect([await now, await late]).toMatchObject([[stored], [outOfOrder]]);
    expect(await ids()).toEqual(['second']);
  });
});

describe('a fence', () => {
  test('lets a message pass that was sent again: its sequence number is a new one', async () => {
    const { writer } = await makeWriter(postgres);
    await writer.commit([message('second', '1', 'a', 2)], always);
    expect(await writer.commit([message('first', '1', 'a', 1)], always)).toMatchObject([outOfOrder]);
    expect(await writer.commit([message('first', '1', 'a', 3)], always)).toEqual([stored]);
    expect(await ids()).toEqual(['second', 'first']);
  });

  test('moves to the last of a batch, and not with a batch that was not committed', async () => {
    const { writer } = await makeWriter(postgres);
    const batch = [1, 2, 3].map((sequence) => message(`m${sequence}`, '1', 'a', sequence));
    expect(
      await writer.commit(
        batch,
        losing(() => true),
      ),
    ).toEqual([{ name: 'lost' }, { name: 'lost' }, { name: 'lost' }]);
    expect(await fences()).toEqual([]);
    expect(await writer.commit(batch, always)).toEqual([stored, stored, stored]);
    expect(await fences()).toEqual([['work@1', 'a', '3', null]]);
  });

  test('of one group is none of another, nor of a queue that was made anew, whose numbers begin anew', async () => {
    const { pool, writer } = await makeWriter(postgres);
    expect(await writer.commit([message('a9', '1', 'a', 9)], always)).toEqual([stored]);
    expect(await writer.commit([message('b1', '1', 'b', 1)], always)).toEqual([stored]);
    const anew = workWriter(pool, { fence: 'work@2' });
    expect(await anew.commit([message('a1', '1', 'a', 1)], always)).toEqual([stored]);
    expect(await fences()).toEqual([
      ['work@1', 'a', '9', null],
      ['work@1', 'b', '1', null],
      ['work@2', 'a', '1', null],
    ]);
  });

  test('is passed by the next message when the one before it was rejected', async () => {
    const { writer } = await makeWriter(postgres);
    const batch = ['1', 'x', '1', 'x', '1'].map((value, index) => message(`m${index}`, value, 'a', index + 1));
    const outcomes = await writer.commit(batch, always);
    expect(outcomes.map(({ name }) => name)).toEqual(['stored', 'rejected', 'stored', 'rejected', 'stored']);
    expect(await ids()).toEqual(['m0', 'm2', 'm4']);
  });

  test('counts as SQS does, beyond what 64 bits can hold', async () => {
    const { writer } = await makeWriter(postgres);
    const before = 18_849_496_460_467_696_128n;
    expect(await writer.commit([message('later', '1', 'a', before + 1n)], always)).toEqual([stored]);
    expect(await writer.commit([message('before', '1', 'a', before)], always)).toMatchObject([outOfOrder]);
    // More digits, although it comes first as text.
    expect(await writer.commit([message('longer', '1', 'a', before * 10n)], always)).toEqual([stored]);
  });

  test('is not there for a standard queue, nor where a server gives no sequence numbers', async () => {
    const { writer } = await makeWriter(postgres);
    expect(await writer.commit([message('a'), message('b', '1', 'group')], always)).toEqual([stored, stored]);
    expect(await fences()).toEqual([]);
  });

  test('of many groups does not deadlock two workers that bring them in other orders', async () => {
    const one = await makeWriter(postgres);
    const other = await makeWriter(postgres);
    await slowRows(postgres, 'fences');
    const { claims, attempts } = countedAlways();
    const batch = Array.from({ length: 30 }, (_, group) => message(`k${group}`, '1', `g${group}`, 1));
    const both = [one.writer.commit(batch, claims), other.writer.commit(batch.toReversed(), claims)];
    const outcomes = (await Promise.all(both)).flat().map(({ name }) => name);
    expect(outcomes.filter((name) => name === 'stored')).toHaveLength(30);
    expect(outcomes.filter((name) => name === 'suppressed')).toHaveLength(30);
    expect(attempts()).toBe(2);
  });
});

describe('a halted group', () => {
  async function halt(by = message('bad', 'x', 'a', 1)) {
    const made = await makeWriter(postgres);
    await recordRejection(made.pool, 'work@1', {
      queueName: 'work',
      messageId: by.messageId,
      reason: 'bad',
      errorClass: 'RefusedByDatabase',
      haltsGroup: 'a',
    });
    return { ...made, by };
  }

  test('is stored nothing of, and its messages name the one that halted it; other groups go on', async () => {
    const { writer, by } = await halt();
    const outcomes = await writer.commit([message('a2', '1', 'a', 2), message('b1', '1', 'b', 1)], always);
    expect(outcomes).toMatchObject([
      { ...groupHalted, reason: `its group is halted by message ${by.messageId}` },
      stored,
    ]);
    expect(await ids()).toEqual(['b1']);
  });

  test('goes on when a person says so, with what was rejected meanwhile too, sent again', async () => {
    const { writer } = await halt();
    expect(await writer.commit([message('a2', '1', 'a', 2)], always)).toMatchObject([groupHalted]);
    await postgres.pool.query("update fences set halted_by = null where message_group = 'a'");
    expect(await writer.commit([message('a3', '1', 'a', 3)], always)).toEqual([stored]);
    expect(await writer.commit([message('a2', '1', 'a', 4)], always)).toEqual([stored]);
  });

  test('still knows what was committed before', async () => {
    const before = message('a1', '1', 'a', 1);
    const { writer } = await makeWriter(postgres);
    expect(await writer.commit([before], always)).toEqual([stored]);
    await halt(message('bad', 'x', 'a', 2));
    expect(await writer.commit([before], always)).toEqual([suppressed]);
  });

  test('judges the message that halted it as before: its delete may not have been heard', async () => {
    const { writer, by } = await halt();
    expect(await writer.commit([by], always)).toMatchObject([{ name: 'rejected', errorClass: 'RefusedByDatabase' }]);
  });

  test('does not store the message that halted it behind what was sent later', async () => {
    const { writer } = await makeWriter(postgres);
    expect(await writer.commit([message('second', '1', 'a', 2)], always)).toEqual([stored]);
    const { by } = await halt(message('first', '1', 'a', 1));
    expect(await writer.commit([by], always)).toMatchObject([outOfOrder]);
    expect(await ids()).toEqual(['second']);
  });

  test('stays halted by the first message, whatever is rejected after it', async () => {
    const { by } = await halt();
    await halt(message('worse', 'x', 'a', 2));
    expect(await fences()).toEqual([['work@1', 'a', '-1', by.messageId]]);
  });
});
