import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { acceptsWrites } from '../../../workers/store/rejections.ts';
import { RenewedPool } from '../../../workers/store/renewed-pool.ts';
import { afterwards } from '../../local/machine/machine.ts';
import { networkTo, postgresForTests } from '../postgres.ts';
import { always, makeWriter, message, stored, workWriter } from './work.ts';

const postgres = postgresForTests();
/** A worker's is 12 s: what half-open connections would cost, one after the other. */
const QUERY_MS_MAX = 1_000;

/** Four idle connections by way of a network, as a worker has after a busy minute. */
async function makePool() {
  const network = await networkTo(postgres);
  let opened = 0;
  const pool = new RenewedPool(() => {
    opened += 1;
    const connections = new pg.Pool({
      connectionString: network.url(postgres.url),
      max: 4,
      query_timeout: QUERY_MS_MAX,
      connectionTimeoutMillis: QUERY_MS_MAX,
    });
    connections.on('error', () => {});
    connections.on('connect', (client) => client.on('error', () => {}));
    return connections;
  });
  afterwards(async () => {
    await network.stop();
    await pool.end();
  });
  await makeWriter(postgres);
  const clients = await Promise.all([1, 2, 3, 4].map(() => pool.connect()));
  for (const client of clients) client.release();
  return { network, pool, writer: workWriter(pool), opened: () => opened };
}

describe('connections that a failover left half open', () => {
  test('cost one attempt, however many there are: the next one takes a new connection', async () => {
    const { network, writer } = await makePool();
    network.silence();
    expect(await writer.commit([message('a')], always)).toMatchObject([{ name: 'held' }]);
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
    expect(network.connectionsMade).toBe(5);
  });

  test('cost one probe', async () => {
    const { network, pool } = await makePool();
    network.silence();
    expect(await acceptsWrites(pool, 'work')).toBe(false);
    expect(await acceptsWrites(pool, 'work')).toBe(true);
  });

  test('are replaced together with those that were busy then', async () => {
    const { network, writer, opened } = await makePool();
    network.silence();
    const held = await Promise.all(['a', 'b', 'c'].map((id) => writer.commit([message(id)], always)));
    expect(held.flat().map(({ name }) => name)).toEqual(['held', 'held', 'held']);
    const again = await Promise.all(['a', 'b', 'c'].map((id) => writer.commit([message(id)], always)));
    expect(again.flat()).toEqual([stored, stored, stored]);
    expect(opened()).toBeGreaterThan(1);
  });

  test('and a network that swallows new connections too are noticed, and recovered from', async () => {
    const { network, writer } = await makePool();
    network.swallow();
    expect(await writer.commit([message('a')], always)).toMatchObject([{ name: 'held' }]);
    expect(await writer.commit([message('a')], always)).toMatchObject([{ name: 'held' }]);
    network.pass();
    expect(await writer.commit([message('a')], always)).toEqual([stored]);
  });
});

describe('renewing', () => {
  test('lets a transaction go on that is under way on the old pool', async () => {
    const { pool } = await makePool();
    const client = await pool.connect();
    await client.query('begin');
    await client.query("insert into probes values ('work', now())");
    pool.renew(client);
    await client.query('commit');
    client.release();
    expect(await postgres.rows('select consumer from probes')).toEqual([['work']]);
  });

  test('happens once for all connections of a pool: a late failure leaves the new pool alone', async () => {
    const { pool, opened } = await makePool();
    const clients = await Promise.all([1, 2].map(() => pool.connect()));
    for (const client of clients) pool.renew(client);
    for (const client of clients) client.release();
    expect(opened()).toBe(2);
  });

  test('does not happen for what a healthy database says of a message', async () => {
    const { writer, opened } = await makePool();
    await writer.commit([message('bad', 'x'), message('good')], always);
    expect(opened()).toBe(1);
  });
});
