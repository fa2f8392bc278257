/** Workers as what they are on an instance: processes, with nothing but their environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Agent, createServer as createHttpServer, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bundleWorker } from '../../lib/constructs/worker-bundle.ts';
import { type EmbeddedSqs, startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { findFreePort } from '../../local/machine/ports.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { afterwards, eventually, temporaryFolder } from '../local/machine/machine.ts';
import { bodyOf, order } from './orders.ts';
import { postgresForTests } from './postgres.ts';
import { TcpProxy } from './tcp-proxy.ts';

const postgres = postgresForTests();
const entry = (worker: string) => fileURLToPath(new URL(`../../workers/${worker}/main.ts`, import.meta.url));
let run: RunFolder;
let sqs: EmbeddedSqs;
let client: SQSClient;
let queues = 0;

beforeAll(async () => {
  run = createRunFolder();
  sqs = await startEmbeddedSqs({ run });
  const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  client = new SQSClient({ endpoint: sqs.endpoint, region: 'eu-central-1', credentials });
});

afterAll(async () => {
  client.destroy();
  await sqs.stop();
  await run.close();
});

async function makeQueue(attributes: Record<string, string> = {}, deadLetters = true) {
  queues += 1;
  const suffix = attributes.FifoQueue ? '.fifo' : '';
  const create = async (QueueName: string, Attributes: Record<string, string>) =>
    (await client.send(new CreateQueueCommand({ QueueName: `${QueueName}${suffix}`, Attributes }))).QueueUrl!;
  const kind: Record<string, string> = attributes.FifoQueue ? { FifoQueue: 'true' } : {};
  const deadLetterUrl = await create(`work-${queues}-dlq`, kind);
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ['QueueArn'] }),
  );
  const policy = { deadLetterTargetArn: Attributes!.QueueArn!, maxReceiveCount: '5' };
  const url = await create(`work-${queues}`, {
    VisibilityTimeout: '60',
    ...attributes,
    ...(deadLetters ? { RedrivePolicy: JSON.stringify(policy) } : {}),
  });
  return { url, deadLetterUrl };
}

async function send(QueueUrl: string, bodies: readonly string[], group?: (index: number) => string): Promise<void> {
  for (let start = 0; start < bodies.length; start += 10) {
    const Entries = bodies.slice(start, start + 10).map((MessageBody, index) => ({
      Id: String(index),
      MessageBody,
      ...(group && { MessageGroupId: group(start + index), MessageDeduplicationId: String(start + index) }),
    }));
    await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  }
}

async function depth(QueueUrl: string): Promise<{ visible: number; inFlight: number }> {
  const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  return {
    visible: Number(Attributes!.ApproximateNumberOfMessages),
    inFlight: Number(Attributes!.ApproximateNumberOfMessagesNotVisible),
  };
}

const isEmpty = async (url: string) => {
  const { visible, inFlight } = await depth(url);
  return visible + inFlight === 0;
};

class Worker {
  readonly lines: string[] = [];
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #process: ChildProcess;

  constructor(script: string, environment: NodeJS.ProcessEnv) {
    this.#process = spawn(process.execPath, [script], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process.stdout!.on('data', (text) => this.lines.push(...String(text).trimEnd().split('\n')));
    this.#process.stderr!.on('data', (text) => this.lines.push(`stderr: ${text}`));
    this.exited = new Promise((resolve) => {
      this.#process.on('close', (code, signal) => resolve(code ?? signal!));
    });
    afterwards(async () => {
      this.kill('SIGKILL');
      await this.exited;
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  said(words: string): boolean {
    return this.lines.some((line) => line.includes(words));
  }

  /** What its metric lines add up to. */
  count(name: string): number {
    return this.lines
      .filter((line) => line.startsWith('{"_aws"'))
      .reduce((sum, line) => sum + Number((JSON.parse(line) as Record<string, unknown>)[name] ?? 0), 0);
  }

  /** The last line, once it has ended. */
  async lastWords(): Promise<{ status: number | NodeJS.Signals; message: string }> {
    const status = await this.exited;
    const last = this.lines.at(-1) ?? '{}';
    return { status, message: String((JSON.parse(last) as Record<string, unknown>).msg) };
  }
}

/** All that a worker has to be told. */
const environmentFor = (
  queue: { url: string; deadLetterUrl: string },
  more: NodeJS.ProcessEnv = {},
): NodeJS.ProcessEnv => ({
  QUEUE_URL: queue.url,
  DEAD_LETTER_QUEUE_URL: queue.deadLetterUrl,
  DATABASE_URL: postgres.url,
  AWS_REGION: 'eu-central-1',
  AWS_ENDPOINT_URL_SQS: sqs.endpoint,
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  METRICS_INTERVAL_SECONDS: '0.2',
  DRAIN_SECONDS: '10',
  ...more,
});

const orders = (count: number, more: object = {}) =>
  Array.from({ length: count }, (_, index) => bodyOf(order({ orderId: `o${index}`, ...more })));

const storedOrders = async () => Number((await postgres.rows('select count(*) from orders'))[0]![0]);

/** Whoever needs the table waits: for the inbox that is every commit, for the list of migrations every start. */
async function holdTable(table: 'inbox' | 'sluice_migrations') {
  const holder = await postgres.pool.connect();
  await holder.query(`begin; lock table ${table} in access exclusive mode`);
  let held = true;
  const letGo = () => {
    if (held) holder.release(true);
    held = false;
  };
  afterwards(letGo);
  return {
    letGo,
    isWaitedFor: async () => (await postgres.rows('select 1 from pg_locks where not granted')).length > 0,
  };
}

describe('a worker run alone', () => {
  test('from its bundle and the documented environment stores orders, rejects a bad one, and stops when told', async () => {
    const folder = await temporaryFolder();
    bundleWorker('workers/orders/main.ts', folder);
    const queue = await makeQueue();
    const line = order().lines[0]!;
    const bad = bodyOf(order({ orderId: 'bad', lines: [{ ...line, unitPrice: '-1' }] }));
    await send(queue.url, [...orders(25), bad]);
    const livenessFile = join(folder, 'alive');
    const worker = new Worker(join(folder, 'index.mjs'), environmentFor(queue, { LIVENESS_FILE: livenessFile }));
    await eventually('an empty queue', () => isEmpty(queue.url));
    expect(existsSync(livenessFile)).toBe(true);
    worker.kill('SIGTERM');
    expect(await worker.lastWords()).toEqual({
      status: 0,
      message: expect.stringMatching(/^orders stopped after \d\.\d s: everything settled(, \d polls cut off)?$/),
    });
    expect(await storedOrders()).toBe(25);
    await eventually('its counts', () => worker.count('stored') === 25 && worker.count('rejected') === 1);
    const { Messages } = await client.send(
      new ReceiveMessageCommand({ QueueUrl: queue.deadLetterUrl, MessageAttributeNames: ['All'] }),
    );
    expect(Messages).toMatchObject([
      { Body: bad, MessageAttributes: { RejectionReason: { StringValue: 'unitPrice is negative' } } },
    ]);
  });

  test('keeps each customer of the FIFO queue in order, and skips what it rejects', async () => {
    const queue = await makeQueue({ FifoQueue: 'true' });
    const bodies = Array.from({ length: 60 }, (_, index) =>
      bodyOf(order({ orderId: `o${index}`, customerId: `c${index % 3}`, filePosition: Math.floor(index / 3) + 1 })),
    );
    bodies[30] = 'not an order';
    await send(queue.url, bodies, (index) => `c${index % 3}`);
    const worker = new Worker(entry('ledger'), environmentFor(queue));
    await eventually('an empty queue', () => isEmpty(queue.url));
    const rows = await postgres.rows('select file_position from ledger_entries order by customer_id, entry_no');
    const positions = Array.from({ length: 20 }, (_, index) => index + 1);
    expect(rows.flat()).toEqual([...positions.filter((position) => position !== 11), ...positions, ...positions]);
    expect(await depth(queue.deadLetterUrl)).toMatchObject({ visible: 1 });
    // Told with the next metric line, which comes after the queue is empty.
    await eventually('its count', () => worker.count('rejected') === 1);
  });

  test('waits for a database that is away at the start, and then works', async () => {
    const queue = await makeQueue();
    await send(queue.url, orders(3));
    const port = await findFreePort();
    const away = new URL(postgres.url);
    const there = Number(away.port);
    away.port = String(port);
    const worker = new Worker(entry('orders'), environmentFor(queue, { DATABASE_URL: away.href }));
    await eventually('a warning', () => worker.said('cannot reach the database yet, trying again'));
    expect(await depth(queue.url)).toEqual({ visible: 3, inFlight: 0 });
    await TcpProxy.before(there, port);
    await eventually('all stored', async () => (await storedOrders()) === 3);
  });

  test('stops at once while another migrates', async () => {
    const hold = await holdTable('sluice_migrations');
    const worker = new Worker(entry('orders'), environmentFor(await makeQueue()));
    await eventually('a worker that waits', hold.isWaitedFor);
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  });

  test('stops at once while it waits for a database', async () => {
    const away = `postgres://sluice@127.0.0.1:${await findFreePort()}/sluice`;
    const worker = new Worker(entry('orders'), environmentFor(await makeQueue(), { DATABASE_URL: away }));
    await eventually('a warning', () => worker.said('cannot reach the database yet'));
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  });
});

describe('a worker that is stopped in the middle', () => {
  test('by SIGTERM finishes or gives back everything it holds', async () => {
    const queue = await makeQueue();
    await send(queue.url, orders(800));
    // 25 s and more let polls end by themselves: there is a backlog, so that they end soon.
    const worker = new Worker(entry('orders'), environmentFor(queue, { DRAIN_SECONDS: '30' }));
    await eventually('work under way', async () => (await storedOrders()) > 0);
    worker.kill('SIGTERM');
    expect((await worker.lastWords()).message).toMatch(/: everything settled(, \d+ given back)?$/);
    const { visible, inFlight } = await depth(queue.url);
    expect(inFlight).toBe(0);
    expect(visible).toBeGreaterThan(0);
    expect((await storedOrders()) + visible).toBe(800);
  });

  test('by a second SIGTERM ends at once, whatever it holds', async () => {
    const queue = await makeQueue();
    const worker = new Worker(entry('orders'), environmentFor(queue));
    await eventually('a worker that is ready', () => worker.said('orders receives from'));
    const hold = await holdTable('inbox');
    await send(queue.url, orders(10));
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
      const queue = await makeQueue();
      const tap = await startTap();
      const first = new Worker(entry('orders'), { ...environmentFor(queue), ...tap.environment(queue) });
      await eventually('a worker that is ready', () => first.said('orders receives from'));
      const hold = moment === 'before the commit' ? await holdTable('inbox') : undefined;
      tap.swallowsDeletes = true;
      await send(queue.url, orders(30));
      if (hold === undefined) await eventually('all stored', async () => (await storedOrders()) === 30);
      else await eventually('a batch that cannot commit', hold.isWaitedFor);
      first.kill('SIGKILL');
      await first.exited;
      hold?.letGo();
      // In the place of waiting for a minute: what the dead worker held is shown again.
      const second = new Worker(entry('orders'), environmentFor(queue));
      await eventually('an empty queue', async () => {
        await tap.showAgain(queue.url);
        return isEmpty(queue.url);
      });
      expect(await postgres.rows('select count(*), count(distinct order_id) from orders')).toEqual([['30', '30']]);
      expect(await postgres.rows('select count(*) from order_lines')).toEqual([['30']]);
      await eventually('its counts', () => second.count('stored') + second.count('suppressed') === 30);
      expect(second.count('suppressed')).toBe(hold === undefined ? 30 : 0);
    },
  );
});

describe('a worker that cannot start says why in one sentence and exits with status 1', () => {
  const withPassword = (password: string) => postgres.url.replace(/:[^:@/]+@/, `:${password}@`);

  test.each<[string, () => Promise<NodeJS.ProcessEnv>, RegExp]>([
    ['a variable is missing', async () => ({ QUEUE_URL: undefined }), /^cannot start, .* wrong: QUEUE_URL is not set$/],
    [
      'the visibility timeout is 30 s',
      async () => ({ QUEUE_URL: (await makeQueue({ VisibilityTimeout: '30' })).url }),
      /^cannot start: the visibility timeout of http\S+ is 30 s; at least 60 s, three receive deadlines, are needed$/,
    ],
    [
      'the queue has no dead-letter queue',
      async () => ({ QUEUE_URL: (await makeQueue({}, false)).url }),
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
      /^cannot use the database: password authentication failed for user "sluice"\. Check DATABASE_URL/,
    ],
    [
      'the database does not exist',
      async () => ({ DATABASE_URL: postgres.url.replace('/sluice?', '/nowhere?') }),
      /^cannot use the database: database "nowhere" does not exist\. Check DATABASE_URL/,
    ],
  ])('when %s', async (_, change, reason) => {
    const worker = new Worker(entry('orders'), environmentFor(await makeQueue(), await change()));
    expect(await worker.lastWords()).toEqual({ status: 1, message: expect.stringMatching(reason) });
  });
});

/** A way to SQS that remembers the receipt handles that go by, and can keep deletes from getting through. */
async function startTap() {
  const handles = new Set<string>();
  const agent = new Agent();
  const server = createHttpServer((incoming, outgoing) => {
    const isDelete = String(incoming.headers['x-amz-target']).endsWith('DeleteMessageBatch');
    if (tap.swallowsDeletes && isDelete) return;
    const { hostname, port } = new URL(sqs.endpoint);
    const onward = request(
      {
        hostname,
        port,
        path: incoming.url,
        method: incoming.method!,
        agent,
        headers: { ...incoming.headers, host: `${hostname}:${port}` },
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString();
          for (const [, handle] of text.matchAll(/"ReceiptHandle":"([^"]+)"/g)) handles.add(handle!);
          outgoing.writeHead(answer.statusCode!, answer.headers).end(text);
        });
      },
    );
    onward.on('error', () => outgoing.destroy());
    // A poll whose client has gone goes on, so that the handles are seen of what SQS still assigns to it.
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const tap = {
    swallowsDeletes: false,
    /** The same queue, by way of here. */
    environment: ({ url }: { url: string }) => {
      const host = `127.0.0.1:${port}`;
      return { QUEUE_URL: url.replace(new URL(sqs.endpoint).host, host), AWS_ENDPOINT_URL_SQS: `http://${host}` };
    },
    showAgain: async (QueueUrl: string) => {
      const all = [...handles];
      handles.clear();
      for (let start = 0; start < all.length; start += 10) {
        const Entries = all
          .slice(start, start + 10)
          .map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle, VisibilityTimeout: 0 }));
        await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
      }
    },
  };
  return tap;
}
