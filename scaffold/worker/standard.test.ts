/** The sample-work worker: what its schema refuses, and the whole of it, from its queue to a real PostgreSQL. */
import { describe, expect, test } from '@jest/globals';
import { eventually } from '../../test/local/machine/machine.ts';
import { postgresForTests } from '../../test/workers/postgres.ts';
import { entry, TestSqs, Worker } from '../../test/workers/worker-process.ts';
import { SAMPLE_WORK_SCHEMA, SAMPLE_WORK_VERSION, sampleWorkSchema } from './message.ts';

const postgres = postgresForTests();
const sqs = new TestSqs();
const bodyOf = (payload: unknown) =>
  JSON.stringify({ schema: SAMPLE_WORK_SCHEMA, version: SAMPLE_WORK_VERSION, payload });

describe('the schema of sample-work', () => {
  test('takes a message', () => {
    expect(sampleWorkSchema.safeParse({ id: '1', note: '' }).success).toBe(true);
  });

  test.each([
    ['no id', { note: 'lost' }],
    ['an empty id', { id: '', note: 'lost' }],
    ['a character that PostgreSQL cannot store', { id: '1', note: '\0' }],
  ])('refuses %s', (_, payload) => {
    expect(sampleWorkSchema.safeParse(payload).success).toBe(false);
  });
});

describe('the worker sample-work', () => {
  test('stores what is sent to its queue once, however often it is sent, and rejects what it cannot read', async () => {
    const queue = await sqs.makeQueue();
    const [one, two] = [bodyOf({ id: '1', note: 'first' }), bodyOf({ id: '2', note: "it's 'second'" })];
    await sqs.send(queue.url, [one, two, one, bodyOf({ id: '3' })]);
    const worker = new Worker(entry('sample-work'), sqs.environmentFor(queue, postgres));
    await eventually('an empty queue', () => sqs.isEmpty(queue.url));
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
    expect(await postgres.rows('select id, note from sample_work_entries order by id')).toEqual([
      ['1', 'first'],
      ['2', "it's 'second'"],
    ]);
    expect(await postgres.rows('select reason from rejections')).toEqual([[expect.stringMatching(/^note: /)]]);
  });
});
