import { getEventListeners } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { DeleteMessageBatchCommand, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { portOf } from '../../../local/machine/ports.ts';
import { openSqsClient, RenewedClient, type SqsCalls } from '../../../workers/runtime/sqs-sockets.ts';
import { setEnvironment } from '../../environment.ts';
import { afterwards } from '../../local/machine/machine.ts';

/** Longer than a first call takes on a busy machine. */
const DEADLINE_MS = 1_500;

/** Accepts connections, reads requests, and answers as the test says: at first not at all. */
async function startSilentServer() {
  const sockets: Socket[] = [];
  const state = { requests: 0, answers: 'never' as 'never' | 'whole' | 'byte by byte' };
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      if (!bytes.includes('POST ')) return;
      state.requests += 1;
      const { answers } = state;
      const bytesOf = (body: number) =>
        `HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: ${body}\r\n\r\n`;
      if (answers === 'whole') socket.write(`${bytesOf(2)}{}`);
      if (answers !== 'byte by byte') return;
      socket.write(bytesOf(1_000_000));
      const trickle = setInterval(() => socket.write(' '), 50);
      socket.on('close', () => clearInterval(trickle));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${portOf(server)}`;
  setEnvironment({
    AWS_ENDPOINT_URL_SQS: endpoint,
    AWS_ACCESS_KEY_ID: 'none',
    AWS_SECRET_ACCESS_KEY: 'none',
  });
  afterwards(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const remove = new DeleteMessageBatchCommand({ QueueUrl: `${endpoint}/000000000000/work`, Entries: [] });
  return { sockets, state, remove };
}

const open = (deadlineMs = DEADLINE_MS): SqsCalls => {
  const client = openSqsClient('eu-central-1', deadlineMs);
  afterwards(() => client.destroy());
  return client;
};

describe('a call to an SQS that accepts and never answers', () => {
  test('ends by its deadline', async () => {
    const { remove } = await startSilentServer();
    await expect(open().send(remove)).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  test('goes to the server that the environment names, whatever host stands in the URL of the queue', async () => {
    const { state } = await startSilentServer();
    state.answers = 'whole';
    const QueueUrl = 'http://sqs.eu-central-1.invalid/000000000000/work';
    await open().send(new DeleteMessageBatchCommand({ QueueUrl, Entries: [] }));
    expect(state.requests).toBe(1);
  });

  test('is not tried again by the SDK: one call is one request', async () => {
    const { state, remove } = await startSilentServer();
    await expect(open().send(remove)).rejects.toThrow();
    expect(state.requests).toBe(1);
  });

  test('ends at once when it is aborted', async () => {
    const { remove } = await startSilentServer();
    const abort = new AbortController();
    const call = open(60_000).send(remove, { abortSignal: abort.signal });
    abort.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await expect(open(60_000).send(remove, { abortSignal: abort.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });

  test('ends by its deadline although it waits for a free socket', async () => {
    const { state, remove } = await startSilentServer();
    const client = open();
    const calls = Array.from({ length: 40 }, () => client.send(remove).catch((error: Error) => error.name));
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['TimeoutError']));
    // Eight of them never got a socket.
    expect(state.requests).toBe(32);
  });

  test('ends by its deadline although the answer trickles in, which no timeout of the SDK covers', async () => {
    const { state, remove } = await startSilentServer();
    state.answers = 'byte by byte';
    await expect(open().send(remove)).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  test('uses the connection of the call before it', async () => {
    const { sockets, state, remove } = await startSilentServer();
    state.answers = 'whole';
    const client = open();
    await client.send(remove);
    await client.send(remove);
    expect(sockets).toHaveLength(1);
  });

  test('is followed by one on a new socket, although others were idle: they are half open too', async () => {
    const { sockets, state, remove } = await startSilentServer();
    const client = new RenewedClient(() => open());
    afterwards(() => client.destroy());
    state.answers = 'whole';
    await Promise.all([1, 2, 3, 4, 5].map(() => client.send(remove)));
    const before = sockets.length;
    expect(before).toBeGreaterThan(1);
    // From now on what goes there is swallowed.
    for (const socket of sockets) socket.removeAllListeners('data');
    await expect(client.send(remove)).rejects.toMatchObject({ name: 'TimeoutError' });
    await client.send(remove);
    expect(sockets).toHaveLength(before + 1);
  });

  test('leaves no listener on a signal that lives as long as the process', async () => {
    const { state, remove } = await startSilentServer();
    state.answers = 'whole';
    const { signal } = new AbortController();
    const client = open();
    for (let call = 0; call < 5; call += 1) await client.send(remove, { abortSignal: signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a client that is renewed', () => {
  /** Clients that answer as they are told, one call each. */
  function scriptedClients() {
    const opened: { calls: PromiseWithResolvers<object>[]; isDestroyed: boolean }[] = [];
    const client = new RenewedClient(() => {
      const own = { calls: [] as PromiseWithResolvers<object>[], isDestroyed: false };
      opened.push(own);
      return {
        send: (() => {
          const call = Promise.withResolvers<object>();
          own.calls.push(call);
          return call.promise;
        }) as unknown as SQSClient['send'],
        destroy: () => {
          own.isDestroyed = true;
        },
      };
    });
    return { client, opened };
  }
  const poll = new ReceiveMessageCommand({ QueueUrl: 'work' });
  const timeout = () => Object.assign(new Error('no answer'), { name: 'TimeoutError' });

  test('stays the same while calls are answered, and when one is refused or aborted', async () => {
    const { client, opened } = scriptedClients();
    const calls = [client.send(poll), client.send(poll), client.send(poll)];
    opened[0]!.calls[0]!.resolve({});
    opened[0]!.calls[1]!.reject(Object.assign(new Error('503'), { name: 'ServiceUnavailable' }));
    opened[0]!.calls[2]!.reject(Object.assign(new Error('aborted'), { name: 'AbortError' }));
    await Promise.allSettled(calls);
    expect(opened).toHaveLength(1);
  });

  test('is another one after a call met its deadline; the old one ends when its last call has', async () => {
    const { client, opened } = scriptedClients();
    const [late, stuck] = [client.send(poll), client.send(poll)];
    opened[0]!.calls[1]!.reject(timeout());
    await expect(stuck).rejects.toThrow('no answer');
    expect([opened.length, opened[0]!.isDestroyed]).toEqual([2, false]);
    // It was on its way on the old sockets, and is answered all the same.
    opened[0]!.calls[0]!.resolve({ Messages: [] });
    expect(await late).toEqual({ Messages: [] });
    expect(opened.map(({ isDestroyed }) => isDestroyed)).toEqual([true, false]);
  });

  test('is renewed once for several calls that met their deadline together', async () => {
    const { client, opened } = scriptedClients();
    const calls = [client.send(poll), client.send(poll), client.send(poll)];
    for (const call of opened[0]!.calls) call.reject(timeout());
    await Promise.allSettled(calls);
    expect(opened.map(({ isDestroyed }) => isDestroyed)).toEqual([true, false]);
  });
});
