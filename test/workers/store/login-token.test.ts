/** Logging in as workers do on AWS: with a token for a password, to a server that proves who it is. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { mends } from '../../../workers/start-failure.ts';
import { type Database, openPool } from '../../../workers/store/connection.ts';
import { loginToken } from '../../../workers/store/login-token.ts';
import { requireSchema } from '../../../workers/store/schema.ts';
import { setEnvironment } from '../../environment.ts';
import { Authority } from '../../faults/certificates.ts';
import { TlsFront } from '../../faults/tls-front.ts';
import { afterwards, temporaryFolder } from '../../local/machine/machine.ts';
import { postgresForTests } from '../postgres.ts';
import { entry, TestSqs, Worker } from '../worker-process.ts';

const postgres = postgresForTests();
const sqs = new TestSqs();
const authority = new Authority('Authority of the test');
const login = { host: 'localhost', user: 'sluice_worker', region: 'eu-central-1' };

beforeEach(() => setEnvironment({ AWS_ACCESS_KEY_ID: 'none', AWS_SECRET_ACCESS_KEY: 'none' }));

/** A server by the name of localhost, and what to tell a worker of it. */
async function tlsServer(certificate = authority.issue('localhost')) {
  const front = await TlsFront.before(Number(new URL(postgres.url).port), certificate);
  afterwards(() => front.stop());
  const certificateFile = join(await temporaryFolder(), 'authorities.pem');
  writeFileSync(certificateFile, authority.certificate);
  const database = {
    name: 'host',
    host: 'localhost',
    port: front.port,
    database: 'sluice',
    user: 'sluice_worker',
    password: loginToken({ ...login, port: front.port }),
    certificateFile,
  } as const;
  return { front, database, certificateFile };
}

/** What a worker does first; undefined when it could. */
async function failureOf(database: Database): Promise<unknown> {
  const pool = openPool(database);
  afterwards(() => pool.end());
  return requireSchema(pool).catch((error: unknown) => error);
}

/** Tokens are for a moment: in a moment that stays, they are the same. */
function stopTheClock(): void {
  const others = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
  ] as const;
  jest.useFakeTimers({
    now: Date.now(),
    doNotFake: [...others, 'nextTick', 'queueMicrotask', 'performance', 'hrtime'],
  });
  afterwards(() => jest.useRealTimers());
}

describe('a worker with a token', () => {
  test('is let in by a server whose authority it trusts and whose name is right', async () => {
    const { front, database } = await tlsServer();
    stopTheClock();
    const token = await loginToken({ ...login, port: front.port })();
    await postgres.pool.query(`alter role sluice_worker password '${token}'`);
    expect(await failureOf(database)).toBeUndefined();
    expect(front.trusted).toBe(1);
  });

  test('makes another for every connection, good for 15 minutes, for its user and host alone', async () => {
    jest.useFakeTimers({ now: Date.UTC(2026, 0, 1), doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    afterwards(() => jest.useRealTimers());
    const ask = loginToken({ ...login, port: 5432 });
    const first = new URL(`https://${await ask()}`);
    jest.setSystemTime(Date.UTC(2026, 0, 1, 0, 10));
    const second = new URL(`https://${await ask()}`);
    expect(first.host).toBe('localhost:5432');
    expect(Object.fromEntries(first.searchParams)).toMatchObject({
      Action: 'connect',
      DBUser: 'sluice_worker',
      'X-Amz-Expires': '900',
      'X-Amz-Date': '20260101T000000Z',
      'X-Amz-Credential': expect.stringContaining('/eu-central-1/rds-db/aws4_request'),
    });
    expect(second.searchParams.get('X-Amz-Date')).toBe('20260101T001000Z');
    expect(second.searchParams.get('X-Amz-Signature')).not.toBe(first.searchParams.get('X-Amz-Signature'));
  });

  test('says that it has no credentials, and tries again, because its role may be late', async () => {
    const { database } = await tlsServer();
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) delete process.env[name];
    setEnvironment({ AWS_EC2_METADATA_DISABLED: 'true', HOME: await temporaryFolder() });
    const failure = await failureOf(database);
    expect(String(failure)).toMatch(/no AWS credentials to log in as sluice_worker with; give the instance its role/);
    expect(mends(failure)).toBe(true);
  });

  test('shows it to nobody when it is refused', async () => {
    const { front, certificateFile } = await tlsServer();
    const worker = new Worker(
      entry('orders'),
      sqs.environmentFor(await sqs.makeQueue(), postgres, {
        DATABASE_URL: undefined,
        PGHOST: 'localhost',
        PGPORT: String(front.port),
        PGSSLROOTCERT: certificateFile,
        LOG_LEVEL: 'debug',
      }),
    );
    expect(await worker.lastWords()).toEqual({
      status: 1,
      message: expect.stringMatching(
        /^cannot use the database: password authentication failed for user "sluice_worker"/,
      ),
    });
    expect(worker.lines.join('\n')).not.toMatch(/X-Amz-|Signature/);
  });
});

describe('a worker sends its token to nobody', () => {
  test('whose authority it does not know', async () => {
    const { front, database } = await tlsServer(new Authority('Somebody').issue('localhost'));
    const failure = await failureOf(database);
    expect(failure).toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    expect([front.trusted, mends(failure)]).toEqual([0, false]);
  });

  test('who is not of Amazon RDS, when no authorities are named', async () => {
    const { front, database } = await tlsServer();
    expect(await failureOf({ ...database, certificateFile: undefined })).toMatchObject({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    expect(front.trusted).toBe(0);
  });

  test('whose certificate is for another name', async () => {
    const { front, database } = await tlsServer(authority.issue('other.example.test'));
    const failure = await failureOf(database);
    expect(failure).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect([front.trusted, mends(failure)]).toEqual([0, false]);
  });

  test('who has no TLS', async () => {
    const { database } = await tlsServer();
    const port = Number(new URL(postgres.url).port);
    expect(String(await failureOf({ ...database, port }))).toContain('does not support SSL connections');
  });
});
