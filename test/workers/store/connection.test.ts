import { createServer } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { portOf } from '../../../local/machine/ports.ts';
import { ownerPassword } from '../../../workers/migration/owner-password.ts';
import { connectionFor, openPool } from '../../../workers/store/connection.ts';
import { setEnvironment } from '../../environment.ts';
import { afterwards } from '../../local/machine/machine.ts';
import { networkTo, postgresForTests } from '../postgres.ts';

const postgres = postgresForTests();

const host = {
  name: 'host',
  host: 'db.example.test',
  port: 5432,
  database: 'sluice',
  user: 'shop',
  password: async () => 'none',
  certificateFile: undefined,
} as const;

/** A Secrets Manager that says what it is told to, and counts. */
async function secretsManager() {
  const state = { password: '', asked: 0 };
  const server = createServer((_, response) => {
    state.asked += 1;
    response.setHeader('content-type', 'application/x-amz-json-1.1');
    response.end(JSON.stringify({ SecretString: JSON.stringify({ username: 'shop', password: state.password }) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  setEnvironment({
    AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${portOf(server)}`,
    AWS_ACCESS_KEY_ID: 'none',
    AWS_SECRET_ACCESS_KEY: 'none',
  });
  return state;
}

describe('the connection to a host', () => {
  test('is that of the user, and to a host whose certificate and name have been checked', () => {
    expect(connectionFor(host)).toMatchObject({
      host: 'db.example.test',
      user: 'shop',
      ssl: { rejectUnauthorized: true },
    });
  });

  test('of the owner is by the password of the moment, which RDS rotates, and in between by a token', async () => {
    const manager = await secretsManager();
    const { hostname, port, password } = new URL(postgres.url);
    const secretArn = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:master';
    const given: string[] = [];
    const owner = ownerPassword({ secretArn, host: host.host, port: 5432, user: 'sluice', region: 'eu-central-1' });
    const ask = async () => {
      given.push(await owner());
      return given.at(-1)!;
    };
    // The embedded server has no TLS.
    const config = {
      ...connectionFor({ ...host, user: 'sluice', password: ask }),
      host: hostname,
      port: Number(port),
      ssl: false,
    };
    const connect = async () => {
      const client = new pg.Client(config);
      try {
        await client.connect();
        return (await client.query('select current_user')).rows;
      } finally {
        await client.end();
      }
    };
    manager.password = 'that of before the rotation';
    await expect(connect()).rejects.toMatchObject({ code: '28P01' });
    await expect(connect()).rejects.toMatchObject({ code: '28P01' });
    manager.password = decodeURIComponent(password);
    expect(await connect()).toEqual([{ current_user: 'sluice' }]);
    expect(manager.asked).toBe(2);
    expect(given).toEqual([
      'that of before the rotation',
      expect.stringMatching(/^db\.example\.test:5432\/\?Action=connect&DBUser=sluice&.*X-Amz-Signature=/),
      manager.password,
    ]);
  });

  test('needs certificates that can be read', () => {
    expect(() => connectionFor({ ...host, certificateFile: '/no/such/file' })).toThrow(
      'cannot read the certificates in /no/such/file: name a readable file in PGSSLROOTCERT',
    );
  });
});

test('a URL says itself whether it wants TLS, whatever PGSSLMODE is', async () => {
  process.env.PGSSLMODE = 'verify-full';
  afterwards(() => delete process.env.PGSSLMODE);
  const client = new pg.Client(connectionFor({ name: 'url', url: postgres.url.replace(/\?.*/, '') }));
  await client.connect();
  await client.end();
});

describe('a worker’s connection', () => {
  test('is bounded by the server: a statement, a lock, a transaction in which nothing happens', async () => {
    const pool = openPool(postgres.database);
    afterwards(() => pool.end());
    const client = await pool.connect();
    const settings = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'application_name'];
    const values: unknown[] = [];
    for (const setting of settings) values.push(...Object.values((await client.query(`show ${setting}`)).rows[0]));
    client.release();
    expect(values).toEqual(['10s', '5s', '15s', 'sluice-worker']);
  });

  test('is bounded by the worker too: on a network that swallows packets nothing is waited for for ever', async () => {
    const network = await networkTo(postgres);
    const pool = openPool({ name: 'url', url: network.url(postgres.url) });
    const client = await pool.connect();
    network.swallow();
    // Both at once: an answer that does not come, and a connection that is taken and never spoken to.
    const query = client.query('select 1').catch((error: Error) => error.message);
    const connection = pool.connect().catch((error: Error) => error.message);
    expect(await Promise.all([query, connection])).toEqual(['Query read timeout', expect.stringContaining('timeout')]);
    client.release(true);
    await network.stop();
    await pool.end();
  });
});
