import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type FauxqsServer, startFauxqs } from 'fauxqs';
import { readOrders, surveyRetailFile } from '../../producer/retail-file.ts';
import {
  createProducerClient,
  type Deadlines,
  SendError,
  sendBatchWith,
  sendOrders,
} from '../../producer/send-orders.ts';
import { setEnvironment } from '../environment.ts';
import { type FaultyProxy, type ProxyFate, startFaultyProxy } from '../faults/faulty-sqs.ts';
import { csvOf, expectedOrders, row, temporaryFolder } from './retail-samples.ts';

const folder = temporaryFolder();
let server: FauxqsServer;
let queueUrls: { orders: string; ledger: string };
const toClose: { destroy(): void }[] = [];

beforeAll(async () => {
  server = await startFauxqs({ port: 0, logger: false });
});

afterAll(() => server.stop());

beforeEach(() => {
  queueUrls = {
    orders: server.createQueue('orders').queueUrl,
    ledger: server.createQueue('ledger.fifo', { attributes: { FifoQueue: 'true' } }).queueUrl,
  };
});

afterEach(() => {
  for (const closing of toClose.splice(0)) closing.destroy();
  server.deleteQueue('orders');
  server.deleteQueue('ledger.fifo');
});

// 400 invoices of 23 customers; every seventh has none.
const rows = Array.from({ length: 400 }, (_, index) => row(`${1000 + index}`, index % 7 === 0 ? '' : `${index % 23}`));

function clientOf(endpoint: string, deadlines?: Deadlines) {
  const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  const client = createProducerClient({ endpoint, region: 'us-east-1', credentials }, deadlines);
  toClose.push(client);
  return client;
}

async function proxyWith(fates: readonly ProxyFate[]): Promise<FaultyProxy> {
  const proxy = await startFaultyProxy(server.port, (request) => fates[request % fates.length]!);
  toClose.push({ destroy: () => proxy.stop() });
  return proxy;
}

async function send(endpoint: string, deadlines?: Deadlines) {
  const plan = await surveyRetailFile(await folder.write('orders.csv', csvOf(rows)));
  const sendBatch = sendBatchWith(clientOf(endpoint, deadlines));
  // Waits are short here because the failures are; their lengths are tested on a clock of the test's own.
  return sendOrders({
    orders: readOrders(plan),
    queueUrls,
    sendBatch,
    limits: { backoffFirstMs: 2, backoffMaxMs: 20 },
  });
}

function messagesIn(name: string) {
  return server.inspectQueue(name)!.messages.ready;
}

const expected = expectedOrders(rows);

function expectLedgerInOrder(): void {
  const sent = expected.filter(({ customerId }) => customerId !== null);
  const arrived = messagesIn('ledger.fifo').map(({ body, messageGroupId }) => ({ body, customerId: messageGroupId }));
  const bodies = ({ body }: { body: string }) => body;
  for (const [customerId, orders] of Map.groupBy(sent, ({ customerId }) => customerId)) {
    const ofCustomer = arrived.filter((message) => message.customerId === customerId);
    expect(ofCustomer.map(bodies)).toEqual(orders.map(bodies));
  }
  expect(arrived).toHaveLength(sent.length);
}

describe('a file sent to a server that speaks SQS', () => {
  test('arrives once on each queue, and on the ledger in the order of each customer', async () => {
    const summary = await send(`http://127.0.0.1:${server.port}`);
    expect(
      messagesIn('orders')
        .map(({ body }) => body)
        .toSorted(),
    ).toEqual(expected.map(({ body }) => body).toSorted());
    expectLedgerInOrder();
    expect(summary).toMatchObject({ orders: 400, messages: { orders: 400, ledger: 342 }, retriedEntries: 0 });
  });

  test('arrives where the environment says, whatever host that server puts into the URLs of its queues', async () => {
    setEnvironment({
      AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}`,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'none',
      AWS_SECRET_ACCESS_KEY: 'none',
    });
    const client = createProducerClient();
    toClose.push(client);
    const QueueUrl = 'http://sqs.us-east-1.invalid/000000000000/orders';
    const Entries = [{ Id: '1', MessageBody: 'an order' }];
    expect(await sendBatchWith(client)({ QueueUrl, Entries })).toMatchObject({ Successful: [{ Id: '1' }] });
  });

  test('arrives whole when answers are lost, entries refused and requests turned away', async () => {
    const proxy = await proxyWith(['pass', 'lose the answer', 'refuse the last entry', 'answer 503', 'pass']);
    const summary = await send(proxy.endpoint);
    const arrived = messagesIn('orders').map(({ body }) => body);
    expect([...new Set(arrived)].toSorted()).toEqual(expected.map(({ body }) => body).toSorted());
    expectLedgerInOrder();
    expect(summary).toMatchObject({ orders: 400, messages: { orders: 400, ledger: 342 }, interrupted: false });
    expect(summary.retriedEntries).toBeGreaterThan(0);
  });

  test('arrives although a request is never answered: the deadline ends it and it is sent again', async () => {
    const fates: ProxyFate[] = ['pass', 'stall', ...Array(200).fill('pass')];
    const summary = await send((await proxyWith(fates)).endpoint, { requestMs: 2000, connectionMs: 3000 });
    expect(summary).toMatchObject({ orders: 400, messages: { ledger: 342 } });
    expect(summary.retriedEntries).toBeGreaterThan(0);
    expectLedgerInOrder();
  });
});

describe('a send that the server refuses', () => {
  async function faultOf(sent: Promise<unknown>): Promise<string> {
    const error = await sent.catch((fault: unknown) => fault);
    if (!(error instanceof SendError)) throw new Error(`expected a SendError, got ${String(error)}`);
    return error.message;
  }

  test('names the queue that does not exist', async () => {
    server.deleteQueue('ledger.fifo');
    const message = await faultOf(send(`http://127.0.0.1:${server.port}`));
    expect(message).toContain(`to the queue ledger (${queueUrls.ledger}): it does not exist. Deploy it, or check`);
  });

  test('names the right that is missing', async () => {
    const message = await faultOf(send((await proxyWith(['answer 403'])).endpoint));
    expect(message).toMatch(/access is denied \(AccessDenied.*\)\. Allow sqs:SendMessage on the queue\. 0 messages/);
  });

  test('names the reason of the entry: here a FIFO queue in the place of the standard one', async () => {
    queueUrls = { orders: queueUrls.ledger, ledger: queueUrls.ledger };
    const message = await faultOf(send(`http://127.0.0.1:${server.port}`));
    expect(message).toMatch(
      /^cannot send order 1\d\d\d to the queue orders .* MessageGroupId\. \d+ messages were accepted/,
    );
  });
});
