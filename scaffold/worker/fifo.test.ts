/** The sample-work worker: what its schema refuses, and the whole of it, from its FIFO queue to a real PostgreSQL. */
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
  test('stores the messages of each group once and in their order, and rejects what it cannot read', async () => {
    const queue = await sqs.makeQueue({ FifoQueue: 'true' });
    const payloads = Array.from({ length: 20 }, (_, index) => ({ id: String(index), note: `of group ${index % 2}` }));
    const bodies = [...payloads.map(bodyOf), bodyOf(payloads[0]), bodyOf({ id: 'bad' })];
    await sqs.send(queue.url, bodies, (index) => String(index % 2));
    const worker = new Worker(entry('sample-work'), sqs.environmentFor(queue, postgres));
    await eventually('an empty queue', () => sqs.isEmpty(queue.url));
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
    for (const note of ['of group 0', 'of group 1']) {
      const rows = await postgres.rows('select id from sample_work_entries where note = $1 order by entry_no', [note]);
      expect(rows).toEqual(payloads.filter((each) => each.note === note).map(({ id }) => [id]));
    }
    expect(await postgres.rows('select reason from rejections')).toEqual([[expect.stringMatching(/^note: /)]]);
  });
});
