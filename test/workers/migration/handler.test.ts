/** The migration step as Lambda runs it: its bundle in a process, an event, and CloudFormation waiting for the answer. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { bundleWorker } from '../../../lib/constructs/worker-build.ts';
import { COMPILE_CACHE_FOLDER } from '../../../local/compile-cache.ts';
import { findFreePort, portOf } from '../../../local/machine/ports.ts';
import { FaultyNetwork } from '../../faults/faulty-network.ts';
import { afterwards, eventually } from '../../local/machine/machine.ts';
import { postgresForTests } from '../postgres.ts';

const postgres = postgresForTests();
const all = '001_inbox, 002_orders, 003_ledger, 004_fences, 005_worker_role';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  bundleWorker('workers/migration/handler.ts', folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => postgres.empty());

/** A migration after all others, for one test. */
function addMigration(sql: string, name = '900_of_the_test'): void {
  const file = join(folder, 'migrations', `${name}.sql`);
  writeFileSync(file, `-- Up Migration\n${sql}\n-- Down Migration\n`);
  afterwards(() => rmSync(file));
}

const answerSchema = z.object({
  Status: z.enum(['SUCCESS', 'FAILED']),
  Reason: z.string().optional(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.string(),
  Data: z.object({ Migrations: z.string().optional() }).optional(),
});

type Answer = z.infer<typeof answerSchema>;

/** The bucket that CloudFormation lets a custom resource put its answer into. */
async function cloudFormation(statusOf: (call: number) => number = () => 200) {
  const answers: Answer[] = [];
  const calls: IncomingMessage[] = [];
  const bytes: number[] = [];
  const server = createServer((request, response) => {
    calls.push(request);
    const status = statusOf(calls.length);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      bytes.push(body.length);
      if (status === 200) answers.push(answerSchema.parse(JSON.parse(body.toString())));
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  return { answers, calls, bytes, url: `http://127.0.0.1:${portOf(server)}/answer?signature=of-nobody` };
}

/** Takes the second call; the first hears of its header, byte for byte, for as long as it listens. */
async function drippingOnce() {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.resume();
    if (connections > 1) {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    socket.write('HTTP/1.1 200 OK\r\nx-drip: ');
    const drip = setInterval(() => socket.write('.'), 500);
    socket.on('close', () => clearInterval(drip));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.close();
  });
  return { url: `http://127.0.0.1:${portOf(server)}/answer` };
}

interface Call {
  readonly type: 'Create' | 'Update' | 'Delete';
  readonly responseUrl: string;
  readonly environment?: NodeJS.ProcessEnv;
  readonly remainingMs?: number;
}

/** One invocation, in a process of its own as Lambda has one for each. */
async function invoke({ type, responseUrl, environment = {}, remainingMs = 900_000 }: Call) {
  const event = {
    RequestType: type,
    ResponseURL: responseUrl,
    StackId: 'arn:aws:cloudformation:eu-central-1:000000000000:stack/sluice-dev-schema/1',
    RequestId: 'request-1',
    LogicalResourceId: 'MigrationResource',
    ResourceType: 'Custom::SluiceSchema',
    ResourceProperties: { migrations: 'digest' },
    ...(type === 'Create' ? {} : { PhysicalResourceId: 'made-before' }),
  };
  const script = `
    const { handler } = await import(${JSON.stringify(pathToFileURL(join(folder, 'index.mjs')).href)});
    await handler(${JSON.stringify(event)}, { getRemainingTimeInMillis: () => ${remainingMs} });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    env: { DATABASE_URL: postgres.url, NODE_COMPILE_CACHE: COMPILE_CACHE_FOLDER, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += String(text);
  });
  child.stderr.on('data', (text) => {
    output += String(text);
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  return { status, output };
}

const tables = async () =>
  (await postgres.rows("select tablename from pg_tables where schemaname = 'public' order by 1")).flat();

const identity = {
  StackId: 'arn:aws:cloudformation:eu-central-1:000000000000:stack/sluice-dev-schema/1',
  RequestId: 'request-1',
  LogicalResourceId: 'MigrationResource',
};

describe('the migration step', () => {
  test('migrates an empty database when it is created, and says what it ran', async () => {
    const { answers, calls, url } = await cloudFormation();
    expect(await invoke({ type: 'Create', responseUrl: url })).toMatchObject({ status: 0 });
    const PhysicalResourceId = 'sluice-schema';
    expect(answers).toEqual([{ Status: 'SUCCESS', Data: { Migrations: all }, ...identity, PhysicalResourceId }]);
    expect(calls.map(({ method, headers }) => [method, headers['content-type']])).toEqual([['PUT', undefined]]);
    expect(await tables()).toContain('inbox');
  });

  test('runs what was added when it is updated, and stays the same resource', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    addMigration('create table added ();');
    await invoke({ type: 'Update', responseUrl: url });
    await invoke({ type: 'Update', responseUrl: url });
    expect(answers.slice(1)).toMatchObject([
      { Status: 'SUCCESS', Data: { Migrations: '900_of_the_test' }, PhysicalResourceId: 'made-before' },
      { Status: 'SUCCESS', Data: { Migrations: '' }, PhysicalResourceId: 'made-before' },
    ]);
  });

  test('answers that it failed, with the reason in a sentence, and has changed nothing', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    const before = [await tables(), await postgres.rows('select name from sluice_migrations')];
    addMigration('create table half (); insert into nowhere values (1);');
    expect(await invoke({ type: 'Update', responseUrl: url })).toMatchObject({ status: 0 });
    expect(answers[1]).toMatchObject({ Status: 'FAILED', ...identity, PhysicalResourceId: 'made-before' });
    expect(answers[1]!.Reason).toMatch(
      /^cannot migrate the database sluice as user sluice: .*"nowhere" does not exist/,
    );
    expect(answers[1]!.Reason).not.toContain('\n');
    expect([await tables(), await postgres.rows('select name from sluice_migrations')]).toEqual(before);
  });

  test('is done once when it is called twice at once', async () => {
    const { answers, url } = await cloudFormation();
    await Promise.all([invoke({ type: 'Create', responseUrl: url }), invoke({ type: 'Create', responseUrl: url })]);
    expect(answers.map(({ Status, Data }) => [Status, Data?.Migrations]).sort()).toEqual([
      ['SUCCESS', ''],
      ['SUCCESS', all],
    ]);
  });

  test('does nothing when it is deleted, and needs no database for it', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    const before = await tables();
    await invoke({ type: 'Delete', responseUrl: url, environment: { DATABASE_URL: undefined } });
    expect(answers[1]).toEqual({ Status: 'SUCCESS', Data: {}, ...identity, PhysicalResourceId: 'made-before' });
    expect(await tables()).toEqual(before);
  });

  test('ends what is not through in time, answers before its own end, and leaves no lock behind', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    addMigration('lock table inbox in access exclusive mode; select pg_sleep(600);');
    await invoke({ type: 'Update', responseUrl: url, remainingMs: 42_000 });
    expect(answers[1]).toMatchObject({
      Status: 'FAILED',
      Reason: expect.stringMatching(/^the migrations were not through after 2 s/),
    });
    const sessions = "select 1 from pg_stat_activity where application_name = 'sluice-migration'";
    await eventually('the end of its session', async () => (await postgres.rows(sessions)).length === 0);
    expect(await postgres.rows("select name from sluice_migrations where name like '900%'")).toEqual([]);
  });

  test('waits for a database that is about to be there', async () => {
    const { answers, url } = await cloudFormation();
    const port = await findFreePort();
    const away = new URL(postgres.url);
    const there = Number(away.port);
    away.port = String(port);
    const invoked = invoke({ type: 'Create', responseUrl: url, environment: { DATABASE_URL: away.href } });
    setTimeout(async () => {
      const network = await FaultyNetwork.before(there, port);
      afterwards(() => network.stop());
    }, 3_000);
    await invoked;
    expect(answers).toMatchObject([{ Status: 'SUCCESS', Data: { Migrations: all } }]);
  });

  test('answers that it failed when it is told no database', async () => {
    const { answers, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url, environment: { DATABASE_URL: undefined } });
    expect(answers).toMatchObject([
      {
        Status: 'FAILED',
        Reason: expect.stringMatching(/^cannot migrate: the environment names no database; set PGHOST/),
      },
    ]);
  });
});

describe('the answer', () => {
  test('is put again when S3 did not take it', async () => {
    const { answers, calls, url } = await cloudFormation((call) => (call < 3 ? 503 : 200));
    await invoke({ type: 'Create', responseUrl: url });
    expect([answers.length, calls.length]).toEqual([1, 3]);
  });

  test('stays within what CloudFormation takes, however many migrations were run', async () => {
    const { answers, bytes, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    for (let number = 901; number <= 925; number += 1) addMigration('select 1;', `${number}_${'x'.repeat(200)}`);
    await invoke({ type: 'Update', responseUrl: url });
    expect(bytes[1]).toBeLessThanOrEqual(4_096);
    expect(answers[1]!.Data!.Migrations).toMatch(/^25 migrations, the last of them 9\d\d_x+, .*, 925_x+$/);
  });

  test('stays within what CloudFormation takes, whatever JSON makes of the reason', async () => {
    const { answers, bytes, url } = await cloudFormation();
    await invoke({ type: 'Create', responseUrl: url });
    // Each of these is six bytes of JSON, or four of UTF-8.
    addMigration(`do $$ begin raise exception '%', repeat(chr(1) || chr(128640), 2000); end $$;`);
    await invoke({ type: 'Update', responseUrl: url });
    expect(bytes[1]).toBeLessThanOrEqual(4_096);
    expect(answers[1]!.Reason).toMatch(/^cannot migrate the database .*…$/u);
  });

  test.each([
    [403, 'the address has expired'],
    [307, 'of another region'],
    [500, 'S3 is at fault'],
  ])('refused with status %i says so, and not that the way is closed', async (code, meaning) => {
    const { url } = await cloudFormation(() => code);
    const { status, output } = await invoke({ type: 'Delete', responseUrl: url });
    expect(status).not.toBe(0);
    expect(output).toMatch(
      new RegExp(
        `Error: cannot answer CloudFormation at 127\\.0\\.0\\.1:\\d+: it was answered with status ${code}: .*${meaning}`,
      ),
    );
    expect(output).not.toContain('of-nobody');
  });

  test('is put again when the response comes a byte at a time and never ends', async () => {
    const { url } = await drippingOnce();
    expect(await invoke({ type: 'Delete', responseUrl: url })).toMatchObject({ status: 0 });
  });

  test('that nobody takes ends the call as failed, so that Lambda calls again, without showing the URL', async () => {
    const responseUrl = `http://127.0.0.1:${await findFreePort()}/answer?signature=of-nobody`;
    const { status, output } = await invoke({ type: 'Create', responseUrl });
    expect(status).not.toBe(0);
    expect(output).toMatch(/cannot answer CloudFormation at 127\.0\.0\.1:\d+; open a way to S3/);
    expect(output).not.toContain('of-nobody');
  });
});
