/** Dead letters are read whole, and are there for the next reader. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { credentialsFrom } from '../../local/credentials.ts';
import { startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { LOOPBACK, portOf } from '../../local/machine/ports.ts';
import { SqsControl } from '../../local/sqs-control.ts';
import { afterwards, makeRun } from './machine/machine.ts';
import { startWebServer } from './web-server.ts';

const REGION = 'us-east-1';
const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
const upTo = (count: number) => Array.from({ length: count }, (_, index) => String(index + 1));

function openControl(endpoint: string): SqsControl {
  const control = new SqsControl(endpoint, REGION, credentialsFrom({}));
  afterwards(() => control.close());
  return control;
}

async function startQueue(QueueName: string, Attributes: Record<string, string> = {}) {
  const sqs = await startEmbeddedSqs({ run: await makeRun() });
  afterwards(() => sqs.stop());
  const client = new SQSClient({ endpoint: sqs.endpoint, region: REGION, credentials });
  afterwards(() => client.destroy());
  const { QueueUrl: url } = await client.send(new CreateQueueCommand({ QueueName, Attributes }));
  const send = (MessageBody: string, MessageGroupId?: string) =>
    client.send(new SendMessageCommand({ QueueUrl: url, MessageBody, MessageGroupId }));
  return { url: url!, send, control: openControl(sqs.endpoint) };
}

const receiveSchema = z.object({ WaitTimeSeconds: z.int().default(0), MaxNumberOfMessages: z.int().default(1) });

/** A queue of many hosts at the worst: a short poll asks those that have nothing. */
async function startScatteredQueue(bodies: readonly string[]) {
  const md5 = (body: string) => createHash('md5').update(body).digest('hex');
  const left = bodies.map((body) => ({ MessageId: body, ReceiptHandle: body, Body: body, MD5OfBody: md5(body) }));
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += String(part);
    const { WaitTimeSeconds: waitSeconds, MaxNumberOfMessages: most } = receiveSchema.parse(JSON.parse(text));
    const isReceive = String(request.headers['x-amz-target']).endsWith('.ReceiveMessage');
    const messages = isReceive && waitSeconds > 0 ? left.splice(0, most) : [];
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(JSON.stringify(isReceive ? { Messages: messages } : { Successful: [], Failed: [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://${LOOPBACK}:${portOf(server)}`;
  return { url: `${endpoint}/000000000000/dead`, control: openControl(endpoint) };
}

describe('an HTTP server that is not SQS', () => {
  test.each([
    [200, '<h1>Welcome</h1>'],
    [404, '<h1>Not Found</h1>'],
    [404, '{"error":"not found"}'],
    [405, ''],
  ])('and answers %d %s is called so, in one sentence', async (status, body) => {
    const endpoint = await startWebServer(status, body);
    await expect(openControl(endpoint).check()).rejects.toThrow(
      `what answers at ${endpoint} is not an SQS server (HTTP status ${status}). Name one in AWS_ENDPOINT_URL, or unset it to use the embedded one.`,
    );
  });
});

describe('dead letters', () => {
  test('are read in several receives, and shown again', async () => {
    const { url, send, control } = await startQueue('dead');
    for (const body of upTo(23)) await send(body);
    for (const _ of ['once', 'again']) {
      const letters = await control.readDeadLetters(url, 23);
      expect(letters.map(({ body }) => Number(body)).sort((one, other) => one - other)).toEqual(upTo(23).map(Number));
    }
    expect(await control.depth(url)).toEqual({ visible: 23, inFlight: 0, delayed: 0 });
  });

  test('of a FIFO queue are the first of each group', async () => {
    const attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
    const { url, send, control } = await startQueue('dead.fifo', attributes);
    for (const body of upTo(12)) await send(body, 'a');
    await send('13', 'b');
    const bodies = (await control.readDeadLetters(url, 13)).map(({ body }) => body);
    expect(bodies).toContain('1');
    expect(bodies).toContain('13');
  });

  test('that a short poll does not see are read by a long one', async () => {
    const { url, control } = await startScatteredQueue(upTo(12));
    expect((await control.readDeadLetters(url, 12)).map(({ body }) => body)).toEqual(upTo(12));
  });

  test('where there are none are not waited for', async () => {
    const { url, control } = await startScatteredQueue([
      'a dead letter of somebody else, that a long poll would bring',
    ]);
    expect(await control.readDeadLetters(url, 0)).toEqual([]);
  });
});
