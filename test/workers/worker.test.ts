/** Workers as what they are on an instance: processes, with nothing but their environment. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { bundleWorker } from '../../lib/constructs/worker-build.ts';
import { findFreePort } from '../../local/machine/ports.ts';
import { FaultyNetwork } from '../faults/faulty-network.ts';
import { startFaultyProxy } from '../faults/faulty-sqs.ts';
import { Receipts } from '../faults/receipts.ts';
import { afterwards, eventually, temporaryFolder } from '../local/machine/machine.ts';
import { holdTable } from './held-table.ts';
import { bodyOf, order } from './orders.ts';
import { postgresForTests } from './postgres.ts';
import { entry, type TestQueue, TestSqs, Worker } from './worker-process.ts';

const postgres = postgresForTests();
const sqs = new TestSqs();
const environmentFor = (queue: TestQueue, more?: NodeJS.ProcessEnv) => sqs.environmentFor(queue, postgres, more);

const orders = (count: number, more: object = {}) =>
  Array.from({ length: count }, (_, index) => bodyOf(order({ orderId: `o${index}`, ...more })));

const storedOrders = async () => Number((await postgres.rows('select count(*) from orders'))[0]![0]);

describe('a worker run alone', () => {
  test('from its bundle and the documented environment stores orders, rejects a bad one, and stops when told', async () => {
    const folder = await temporaryFolder();
    bundleWorker('workers/orders/main.ts', folder);
    const queue = await sqs.makeQueue();
    const line = order().lines[0]!;
    const bad = bodyOf(order({ orderId: 'bad', lines: [{ ...line, unitPrice: '-1' }] }));
    await sqs.send(queue.url, [...orders(25), bad]);
    const livenessFile = join(folder, 'alive');
    const worker = new Worker(join(folder, 'index.mjs'), environmentFor(queue, { LIVENESS_FILE: livenessFile }));
    await eventually('an empty queue', () => sqs.isEmpty(queue.url));
    expect(existsSync(livenessFile)).toBe(true);
    worker.kill('SIGTERM');
    expect(await worker.lastWords()).toEqual({
      status: 0,
      message: expect.stringMatching(
        /^orders stopped after \d\.\d s: everything settled(, (1 poll|[2-9] polls) cut off)?$/,
      ),
    });
    expect(await storedOrders()).toBe(25);
    await eventually('its counts', () => worker.count('stored') === 25 && worker.count('rejected') === 1);
    const { Messages } = await sqs.client.send(
      new ReceiveMessageCommand({ QueueUrl: queue.deadLetterUrl, MessageAttributeNames: ['All'] }),
    );
    expect(Messages).toMatchObject([
      { Body: bad, MessageAttributes: { RejectionReason: { StringValue: 'unitPrice is negative' } } },
    ]);
  });

  test('keeps each customer of the FIFO queue in order, and skips what it rejects', async () => {
    const queue = await sqs.makeQueue({ FifoQueue: 'true' });
    const bodies = Array.from({ length: 60 }, (_, index) =>
      bodyOf(order({ orderId: `o${index}`, customerId: `c${index % 3}`, filePosition: Math.floor(index / 3) + 1 })),
    );
    bodies[30] = 'not an order';
    await sqs.send(queue.url, bodies, (index) => `c${index % 3}`);
    const worker = new Worker(entry('ledger'), environmentFor(queue));
    await eventually('an empty queue', () => sqs.isEmpty(queue.url));
    const rows = await postgres.rows('select file_position from ledger_entries order by customer_id, entry_no');
    const positions = Array.from({ length: 20 }, (_, index) => index + 1);
    expect(rows.flat()).toEqual([...positions.filter((position) => position !== 11), ...positions, ...positions]);
    expect(await sqs.depth(queue.deadLetterUrl)).toMatchObject({ visible: 1 });
    // Told with the next metric line, which comes after the queue is empty.
    await eventually('its count', () => worker.count('rejected') === 1);
  });

  test('waits for a database that is away at the start, and then works', async () => {
    const queue = await sqs.makeQueue();
    await sqs.send(queue.url, orders(3));
    const port = await findFreePort();
    const away = new URL(postgres.workerUrl);
    const there = Number(away.port);
    away.port = String(port);
    const worker = new Worker(entry('orders'), environmentFor(queue, { DATABASE_URL: away.href }));
    await eventually('a warning', () => worker.said('cannot reach the database yet, trying again'));
    expect(await sqs.depth(queue.url)).toEqual({ visible: 3, inFlight: 0 });
    const network = await FaultyNetwork.before(there, port);
    afterwards(() => network.stop());
    await eventually('all stored', async () => (await storedOrders()) === 3);
  });

  test('whose schema is not there yet says what is missing, and works when it is', async () => {
    await postgres.pool.query("delete from sluice_migrations where name = '005_worker_role'");
    const worker = new Worker(entry('orders'), environmentFor(await sqs.makeQueue()));
    const lacks = 'its schema lacks 005_worker_role, which this worker needs';
    await eventually('a warning', () => worker.said(`cannot use the database yet, trying again: ${lacks}`));
    await postgres.pool.query("insert into sluice_migrations (name, run_on) values ('005_worker_role', now())");
    await eventually('a worker that is ready', () => worker.said('orders receives from'));
  });

  test('stops at once while it asks for the schema', async () => {
    const hold = await holdTable(postgres, 'sluice_migrations');
    const worker = new Worker(entry('orders'), environmentFor(await sqs.makeQueue()));
    await eventually('a worker that waits', hold.isWaitedFor);
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  });

  test('stops at once while it waits for a database', async () => {
    const away = `postgres://sluice@127.0.0.1:${await findFreePort()}/sluice`;
    const worker = new Worker(entry('orders'), environmentFor(await sqs.makeQueue(), { DATABASE_URL: away }));
    await eventually('a warning', () => worker.said('cannot reach the database yet'));
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  });
});

describe('a worker that is stopped in the middle', () => {
  test('by SIGTERM finishes or gives back everything it holds', async () => {
    const queue = await sqs.makeQueue();
    await sqs.send(queue.url, orders(800));
    // 25 s and more let polls end by themselves: there is a backlog, so that they end soon.
    const worker = new Worker(entry('orders'), environmentFor(queue, { DRAIN_SECONDS: '30' }));
    await eventually('work under way', async () => (await storedOrders()) > 0);
    worker.kill('SIGTERM');
    expect((await worker.lastWords()).message).toMatch(/: everything settled(, \d+ given back)?$/);
    const { visible, inFlight } = await sqs.depth(queue.url);
    expect(inFlight).toBe(0);
    expect(visible).toBeGreaterThan(0);
    expect((await storedOrders()) + visible).toBe(800);
  });

  test('by a second SIGTERM ends at once, whatever it holds', async () => {
    const queue = await sqs.makeQueue();
    const worker = new Worker(entry('orders'), environmentFor(queue));
    await eventually('a worker that is ready', () => worker.said('orders receives from'));
    const hold = await holdTable(postgres, 'inbox');
    await sqs.send(queue.url, orders(10));
    await eventually('a batch that cannot commit', hold.isWaitedFor);
    worker.kill('SIGTERM');
    await eventually('the drain', () => worker.said('SIGTERM: draining'));
    worker.kill('SIGTERM');
    expect(await worker.lastWords()).toEqual({ status: 130, message: 'SIGTERM again: stopping without draining' });
    expect(await storedOrders()).toBe(0);
  });

  test.each(['before the commit', 'after the commit and before the delete'])(
    'by SIGKILL %s leaves it to another, and all is stored once',
    async (moment) => {
      const queue = await sqs.makeQueue();
      const tap = await startTap();
      const first = new Worker(entry('orders'), { ...environmentFor(queue), ...tap.environment(queue) });
      await eventually('a worker that is ready', () => first.said('orders receives from'));
      const hold = moment === 'before the commit' ? await holdTable(postgres, 'inbox') : undefined;
      tap.swallowsDeletes = true;
      await sqs.send(queue.url, orders(30));
      if (hold === undefined) await eventually('all stored', async () => (await storedOrders()) === 30);
      else await eventually('a batch that cannot commit', hold.isWaitedFor);
      first.kill('SIGKILL');
      await first.exited;
      hold?.letGo();
      // In the place of waiting for a minute: what the dead worker held is shown again.
      const second = new Worker(entry('orders'), environmentFor(queue));
      await eventually('an empty queue', async () => {
        await tap.showAgain(queue.url);
        return sqs.isEmpty(queue.url);
      });
      expect(await postgres.rows('select count(*), count(distinct order_id) from orders')).toEqual([['30', '30']]);
      expect(await postgres.rows('select count(*) from order_lines')).toEqual([['30']]);
      await eventually('its counts', () => second.count('stored') + second.count('suppressed') === 30);
      expect(second.count('suppressed')).toBe(hold === undefined ? 30 : 0);
    },
  );
});

describe('a worker that cannot start says why in one sentence and exits with status 1', () => {
  const withPassword = (password: string) => postgres.workerUrl.replace(/:[^:@/]+@/, `:${password}@`);

  test.each<[string, () => Promise<NodeJS.ProcessEnv>, RegExp]>([
    ['a variable is missing', async () => ({ QUEUE_URL: undefined }), /^cannot start, .* wrong: QUEUE_URL is not set$/],
    [
      'the visibility timeout is 30 s',
      async () => ({ QUEUE_URL: (await sqs.makeQueue({ VisibilityTimeout: '30' })).url }),
      /^cannot start: the visibility timeout of http\S+ is 30 s; at least 60 s are needed, of which a receive may take 26 s\./,
    ],
    [
      'the queue has no dead-letter queue',
      async () => ({ QUEUE_URL: (await sqs.makeQueue({}, false)).url }),
      /^cannot start: http\S+ has no dead-letter queue; give it a RedrivePolicy/,
    ],
    [
      'the queue does not exist',
      async () => ({ QUEUE_URL: `${sqs.endpoint}/000000000000/nowhere` }),
      /^cannot use the queue http\S+\/nowhere: The specified queue does not exist\.? Check QUEUE_URL/,
    ],
    [
      'the password is wrong',
      async () => ({ DATABASE_URL: withPassword('wrong') }),
      /^cannot use the database: password authentication failed for user "sluice_worker"\. Check DATABASE_URL/,
    ],
    [
      'the database does not exist',
      async () => ({ DATABASE_URL: postgres.workerUrl.replace('/sluice?', '/nowhere?') }),
      /^cannot use the database: database "nowhere" does not exist\. Check DATABASE_URL/,
    ],
  ])('when %s', async (_, change, reason) => {
    const worker = new Worker(entry('orders'), environmentFor(await sqs.makeQueue(), await change()));
    expect(await worker.lastWords()).toEqual({ status: 1, message: expect.stringMatching(reason) });
  });

  test('and gives beside the sentence only what it was told itself, not the sentence and its reason once more', async () => {
    const change = { QUEUE_URL: `${sqs.endpoint}/000000000000/nowhere` };
    const worker = new Worker(entry('orders'), environmentFor(await sqs.makeQueue(), change));
    await worker.exited;
    const { err } = z.object({ err: z.object({ message: z.string() }) }).parse(JSON.parse(worker.lines.at(-1)!));
    expect(err.message).toBe('The specified queue does not exist.');
  });
});

/** A way to SQS that remembers the receipt handles that go by, and can keep deletes from getting through. */
async function startTap() {
  const receipts = new Receipts();
  const tap = {
    swallowsDeletes: false,
    showAgain: (queueUrl: string) => receipts.showAgain(sqs.client, queueUrl),
    /** The same queue, by way of here. */
    environment: ({ url }: TestQueue) => ({
      QUEUE_URL: url.replace(sqs.endpoint, proxy.endpoint),
      AWS_ENDPOINT_URL_SQS: proxy.endpoint,
    }),
  };
  const proxy = await startFaultyProxy(
    Number(new URL(sqs.endpoint).port),
    (_, operation) => (tap.swallowsDeletes && operation === 'DeleteMessageBatch' ? 'stall' : 'pass'),
    (request, answer) => receipts.saw(request, answer),
  );
  afterwards(() => proxy.stop());
  return tap;
}
