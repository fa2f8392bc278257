import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { startEmbeddedSqs } from '../../../local/machine/embedded-sqs.ts';
import { afterwards, isListening, makeRun } from './machine.ts';

async function startQueue(attributes: Record<string, string> = {}) {
  const sqs = await startEmbeddedSqs({ run: await makeRun() });
  afterwards(() => sqs.stop());
  const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  const client = new SQSClient({ endpoint: sqs.endpoint, region: 'eu-central-1', credentials });
  afterwards(() => client.destroy());
  const QueueName = attributes.FifoQueue ? 'work.fifo' : 'work';
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName, Attributes: attributes }));
  const receive = (WaitTimeSeconds: number, signal?: AbortSignal) =>
    client.send(
      new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds, MaxNumberOfMessages: 10 }),
      signal ? { abortSignal: signal } : {},
    );
  return { sqs, client, QueueUrl: QueueUrl!, receive };
}

describe('the embedded SQS server', () => {
  test('gives out queue URLs on the loopback address, and listens nowhere else', async () => {
    const { sqs, QueueUrl } = await startQueue();
    expect(QueueUrl).toBe(`${sqs.endpoint}/000000000000/work`);
    const elsewhere = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal);
    if (elsewhere) {
      const refusal = await new Promise((resolve) => {
        connect({ port: sqs.port, host: elsewhere.address })
          .once('connect', () => resolve('connected'))
          .once('error', (error) => resolve('code' in error && error.code));
      });
      expect(refusal).toBe('ECONNREFUSED');
    }
    await sqs.stop();
    expect(await isListening(sqs.port)).toBe(false);
  });

  test('says in one sentence that its port is in use', async () => {
    const run = await makeRun();
    const { port, stop } = await startEmbeddedSqs({ run });
    afterwards(stop);
    await expect(startEmbeddedSqs({ run, port })).rejects.toThrow(`port ${port} is in use, so the SQS server cannot`);
    expect(run.processes).toHaveLength(1);
  });

  test('does not stop on Ctrl-C, which is for its parent to act on', async () => {
    const run = await makeRun();
    const sqs = await startEmbeddedSqs({ run });
    process.kill(run.processes[0]!.pid, 'SIGINT');
    await sleep(50);
    expect(await isListening(sqs.port)).toBe(true);
    await sqs.stop();
    expect((await sqs.exited).signal).toBe('SIGTERM');
  });
});

describe('long polls', () => {
  test('that wait together: a message ends one of them, and the others go on waiting', async () => {
    const { client, QueueUrl, receive } = await startQueue();
    const ended: number[] = [];
    const polls = Array.from({ length: 4 }, async () => {
      const { Messages = [] } = await receive(2);
      ended.push(Messages.length);
    });
    // The polls have to be waiting before the message is there.
    await sleep(300);
    const Entries = ['1', '2', '3'].map((Id) => ({ Id, MessageBody: Id }));
    await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    await Promise.race(polls);
    await sleep(100);
    expect(ended).toEqual([3]);
    await Promise.all(polls);
    expect(ended).toEqual([3, 0, 0, 0]);
  });

  test('of a client that has gone take nothing', async () => {
    const { client, QueueUrl, receive } = await startQueue({ VisibilityTimeout: '600' });
    const gone = new AbortController();
    const poll = receive(20, gone.signal);
    await sleep(300);
    gone.abort();
    await expect(poll).rejects.toThrow('abort');
    await sleep(100);
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'work' }));
    expect((await receive(1)).Messages).toHaveLength(1);
  });

  test('on a FIFO queue see a message whose group has become free', async () => {
    const { client, QueueUrl, receive } = await startQueue({ FifoQueue: 'true', ContentBasedDeduplication: 'true' });
    const Entries = ['1', '2'].map((Id) => ({ Id, MessageBody: Id, MessageGroupId: 'customer' }));
    await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    const [first] = (await receive(0)).Messages!;
    const poll = receive(20);
    await sleep(100);
    const deleted = [{ Id: '1', ReceiptHandle: first!.ReceiptHandle! }];
    await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries: deleted }));
    expect((await poll).Messages?.map((message) => message.Body)).toEqual(['2']);
  });

  test('see a message whose visibility timeout has passed', async () => {
    const { client, QueueUrl, receive } = await startQueue({ VisibilityTimeout: '1' });
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'work' }));
    await receive(0);
    expect((await receive(20)).Messages).toHaveLength(1);
  });
});
