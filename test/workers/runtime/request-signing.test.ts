import { createHmac, hash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { DeleteMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { portOf } from '../../../local/machine/ports.ts';
import { Sha256 } from '../../../workers/runtime/request-signing.ts';
import { openSqsClient } from '../../../workers/runtime/sqs-sockets.ts';
import { setEnvironment } from '../../environment.ts';
import { afterwards } from '../../local/machine/machine.ts';

const DEADLINE_MS = 5_000;
/** Within the last five minutes of credentials the SDK asks for new ones. */
const SOON_OVER_MS = 60_000;
/** By then the new ones have come. */
const CALLS_MAX = 50;

type Headers = IncomingMessage['headers'];

/** Answers every call, and keeps what was asked; credentials, of which none is like another and each ends soon, at /credentials. */
async function startServer() {
  const seen: Headers[] = [];
  let credentials = 0;
  const server = createServer((request, response) => {
    if (request.url === '/credentials') {
      credentials += 1;
      response.end(
        JSON.stringify({
          AccessKeyId: `key-${credentials}`,
          SecretAccessKey: `secret-${credentials}`,
          Token: `token-${credentials}`,
          Expiration: new Date(Date.now() + SOON_OVER_MS).toISOString(),
        }),
      );
      return;
    }
    seen.push(request.headers);
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${portOf(server)}`;
  const remove = new DeleteMessageBatchCommand({ QueueUrl: `${endpoint}/000000000000/work`, Entries: [] });
  return { endpoint, seen, remove };
}

function openClient() {
  const client = openSqsClient('eu-central-1', DEADLINE_MS);
  afterwards(() => client.destroy());
  return client;
}

/** The SDK's own, without the layers that would sign headers which ours does not have. */
function openPlainClient() {
  const client = new SQSClient({ region: 'eu-central-1', maxAttempts: 1 });
  client.middlewareStack.remove('getUserAgentMiddleware');
  client.middlewareStack.add((next) => next, {
    name: 'retryMiddleware',
    step: 'finalizeRequest',
    priority: 'high',
    override: true,
  });
  afterwards(() => client.destroy());
  return client;
}

describe('a digest', () => {
  const [bytes, more] = [Buffer.from('one'), Buffer.from(' and more')];

  test.each([
    ['of bytes', undefined, hash('sha256', 'one and more', 'buffer')],
    ['with a text as secret', 'secret', createHmac('sha256', 'secret').update('one and more').digest()],
    ['with bytes as secret', Buffer.from('key'), createHmac('sha256', 'key').update('one and more').digest()],
    [
      'with a buffer as secret',
      new Uint8Array([7, 8]).buffer,
      createHmac('sha256', '\x07\x08').update('one and more').digest(),
    ],
  ])('%s is what Node makes of it, and after a reset too', async (_, secret, expected) => {
    const digest = new Sha256(secret);
    for (const round of ['first', 'second']) {
      digest.update(bytes);
      digest.update(more);
      expect({ round, digest: Buffer.from(await digest.digest()) }).toEqual({ round, digest: expected });
      digest.reset();
    }
  });

  test('with other bytes as secret is another one, of the same kind', async () => {
    const secrets = [Buffer.from('key'), Buffer.from('kez'), Buffer.from('key')];
    const digests = await Promise.all(secrets.map((secret) => new Sha256(secret).digest()));
    expect(digests[0]).not.toEqual(digests[1]);
    expect(digests[0]).toEqual(digests[2]);
  });
});

test('a request carries the signature that the SDK makes by itself', async () => {
  const { endpoint, seen, remove } = await startServer();
  setEnvironment({
    AWS_ENDPOINT_URL_SQS: endpoint,
    AWS_ACCESS_KEY_ID: 'key',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_SESSION_TOKEN: 'token',
  });
  const client = openClient();
  const plain = openPlainClient();
  const signatures = async () => {
    seen.length = 0;
    await client.send(remove);
    await plain.send(remove);
    const [ours, theirs] = seen;
    return { ours, theirs };
  };
  // A signature is of its second.
  let { ours, theirs } = await signatures();
  while (ours?.['x-amz-date'] !== theirs?.['x-amz-date']) ({ ours, theirs } = await signatures());
  expect(ours?.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=key\/.*Signature=[0-9a-f]{64}$/);
  expect(ours?.authorization).toBe(theirs?.authorization);
});

test('credentials that end are replaced, though the signer stays', async () => {
  const { endpoint, seen, remove } = await startServer();
  setEnvironment({
    AWS_ENDPOINT_URL_SQS: endpoint,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/credentials`,
    AWS_ACCESS_KEY_ID: '',
    AWS_SECRET_ACCESS_KEY: '',
    AWS_SESSION_TOKEN: '',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  });
  const client = openClient();
  // The SDK fetches the next ones in the background, while it signs with those that are about to end.
  const keysSeen = () => new Set(seen.map(keyOf));
  for (let calls = 0; calls < CALLS_MAX && keysSeen().size < 2; calls += 1) await client.send(remove);
  expect(keysSeen().size).toBe(2);
  for (const headers of seen) expect(headers['x-amz-security-token']).toBe(keyOf(headers)?.replace('key', 'token'));
});

function keyOf({ authorization = '' }: Headers): string | undefined {
  return /Credential=(key-\d+)\//.exec(authorization)?.[1];
}
