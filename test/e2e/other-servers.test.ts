/** With DATABASE_URL and AWS_ENDPOINT_URL the run uses servers that are there already, also for a second time. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { announceLiveRun } from '../../local/live-run.ts';
import type { EmbeddedPostgres } from '../../local/machine/embedded-postgres.ts';
import { type EmbeddedSqs, startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { isRunning } from '../../local/machine/process-identity.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { EMBEDDED_ACCOUNT_ID } from '../../local/servers.ts';
import { SAMPLE_FILE } from '../../local/start.ts';
import { ORDER_SCHEMA, ORDER_VERSION } from '../../workers/messages/order.ts';
import { startFaultyProxy } from '../faults/faulty-sqs.ts';
import { afterwards, eventually, freezePostgres, makeRun, temporaryFolder } from '../local/machine/machine.ts';
import { startMadePostgres } from '../local/machine/made-postgres.ts';
import { messyFile } from './messy-file.ts';
import { Sluice, sluice, synthesizedBefore } from './sluice.ts';

const RUN_MS_MAX = 120_000;
const SEVERAL_RUNS_MS_MAX = 240_000;
/** A message whose delete fails five times comes back after the visibility timeout of a minute. */
const FAULTY_RUN_MS_MAX = 170_000;

const lineOfC1 = (invoice: number) => `${invoice},SKU,TEXT,1,2011-01-01 10:00:00,1.50,c1,UK\n`;

/** The servers of this file, each run on what the runs before it left. */
const servers = { DATABASE_URL: '', AWS_ENDPOINT_URL: '' };
let run: RunFolder;
let postgres: EmbeddedPostgres;
let sqs: EmbeddedSqs;
beforeAll(async () => {
  run = createRunFolder();
  [postgres, sqs] = await Promise.all([startMadePostgres({ run }), startEmbeddedSqs({ run })]);
  servers.DATABASE_URL = postgres.url;
  servers.AWS_ENDPOINT_URL = sqs.endpoint;
});
afterAll(async () => {
  await Promise.all([postgres.stop(), sqs.stop()]);
  await run.close();
});

async function emptyDatabase(): Promise<void> {
  const client = new pg.Client(servers.DATABASE_URL);
  await client.connect();
  await client.query('drop schema public cascade; create schema public');
  await client.end();
}

describe('servers that are there already', () => {
  test(
    'serve one run after another, suppress what comes again, and are not believed when they lost the tables',
    async () => {
      const folder = await temporaryFolder();
      const [input, report] = [join(folder, 'orders.csv'), join(folder, 'report.json')];
      const sample = await readFile(SAMPLE_FILE, 'utf8');
      const runWith = async (invoices: readonly number[]) => {
        await writeFile(input, sample + invoices.map(lineOfC1).join(''));
        const { status, stdout } = await sluice(
          ['start', '--once', '--input', input, '--report', report, ...(await synthesizedBefore())],
          folder,
          servers,
        );
        expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('exact ✓') });
        expect(stdout).toContain(servers.AWS_ENDPOINT_URL);
        return JSON.parse(await readFile(report, 'utf8')).balance;
      };
      expect(await runWith([1, 2, 3])).toMatchObject([
        { sent: 64, stored: 62, rejected: 2, suppressed: 0, lost: 0 },
        { sent: 51, stored: 51, rejected: 0, suppressed: 0, lost: 0, outOfOrder: 0 },
      ]);
      // The second and third order of c1 are its first and second in this file.
      expect(await runWith([2, 3, 4])).toMatchObject([
        { sent: 64, stored: 62, rejected: 2, suppressed: 61, lost: 0 },
        { sent: 51, stored: 51, rejected: 0, suppressed: 50, lost: 0, outOfOrder: 0 },
      ]);
      // The same queues, with the same messages within SQS's five minutes of deduplication, and an empty database.
      await emptyDatabase();
      expect(await runWith([2, 3, 4])).toMatchObject([
        { sent: 64, stored: 62, rejected: 2, suppressed: 0, lost: 0 },
        { sent: 51, stored: 51, rejected: 0, suppressed: 0, lost: 0, outOfOrder: 0 },
      ]);
    },
    SEVERAL_RUNS_MS_MAX,
  );
});

describe("a PostgreSQL of one's own that is frozen", () => {
  test(
    'does not hold a run that Ctrl-C ends, and is left to its owner',
    async () => {
      const run = await makeRun();
      const postgres = await startMadePostgres({ run });
      afterwards(() => postgres.stop());
      const sluiceRun = new Sluice(['start', ...(await synthesizedBefore())], await temporaryFolder(), {
        DATABASE_URL: postgres.url,
      });
      await sluiceRun.prints('Sending');
      const frozen = await freezePostgres(postgres.url, run.processes[0]!.pid);
      sluiceRun.signal('SIGINT');
      const { status, stderr } = await sluiceRun.ended;
      expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringContaining('does not answer') });
      expect(isRunning(frozen[0]!)).toBe(true);
    },
    RUN_MS_MAX,
  );
});

describe('an SQS server that fails one call in five, the look at its queues too', () => {
  test(
    'costs requests and nothing else',
    async () => {
      // The same numbers in every run, and no rhythm that could hit one kind of call again and again.
      let dice = 1;
      let fails = false;
      const proxy = await startFaultyProxy(Number(new URL(servers.AWS_ENDPOINT_URL).port), () => {
        dice = (dice * 48_271) % 2_147_483_647;
        return fails && dice % 5 === 0 ? 'answer 503' : 'pass';
      });
      afterwards(() => proxy.stop());
      const folder = await temporaryFolder();
      const input = join(folder, 'orders.csv');
      await writeFile(input, messyFile(500));
      const report = join(folder, 'report.json');
      const run = new Sluice(
        ['start', '--once', '--input', input, '--report', report, ...(await synthesizedBefore())],
        folder,
        {
          ...servers,
          AWS_ENDPOINT_URL: proxy.endpoint,
        },
      );
      await run.prints('Sending');
      fails = true;
      const { status, stdout, stderr } = await run.ended;
      expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining('exact ✓') });
      expect(JSON.parse(await readFile(report, 'utf8'))).toMatchObject({ exact: true, complete: true });
    },
    FAULTY_RUN_MS_MAX,
  );
});

describe('a message that a newer producer sent', () => {
  test(
    'keeps a run waiting, which says why and for how long, in lines of 80 columns',
    async () => {
      const folder = await temporaryFolder();
      const client = new SQSClient({
        endpoint: servers.AWS_ENDPOINT_URL,
        region: 'us-east-1',
        credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      });
      afterwards(() => client.destroy());
      const QueueUrl = `${servers.AWS_ENDPOINT_URL}/${EMBEDDED_ACCOUNT_ID}/sluice-dev-orders`;
      const MessageBody = JSON.stringify({ schema: ORDER_SCHEMA, version: ORDER_VERSION + 1, payload: {} });
      const run = new Sluice(['start', '--once', ...(await synthesizedBefore())], folder, servers);
      // The run makes the queue, and some time later its workers.
      await eventually('a queue to send to', () =>
        client.send(new SendMessageCommand({ QueueUrl, MessageBody })).then(
          () => true,
          () => false,
        ),
      );
      await run.prints('Sending');
      await run.prints(
        `  orders: 1 message waits to come again: version ${ORDER_VERSION + 1} is newer than this worker\n    (next in `,
      );
      run.signal('SIGINT');
      const { status, stdout } = await run.ended;
      expect({ status, stdout }).toEqual({ status: 130, stdout: expect.stringContaining('exact ✓') });
      // The folder of the logs is as long as it is.
      const lines = stdout.split('\n').filter((line) => !line.includes(folder));
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    },
    RUN_MS_MAX,
  );
});

describe('sluice send --local', () => {
  test(
    'sends to the run that is going on, to one of two when it is named, and says how to name it when it is not',
    async () => {
      const folder = await temporaryFolder();
      const run = new Sluice(['start', ...(await synthesizedBefore())], folder);
      await run.prints('Sending');
      const alone = await sluice(['send', SAMPLE_FILE, '--local', '--json'], folder);
      expect(alone.status).toBe(0);
      expect(JSON.parse(alone.stdout)).toMatchObject({
        orders: 61,
        messages: { orders: 61, ledger: 48 },
        interrupted: false,
      });

      const other = createRunFolder({ temporaryFolder: folder });
      afterwards(() => other.close());
      announceLiveRun(other.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint: 'http://127.0.0.1:1' });
      const path = /logs +(.*)\/logs\//.exec(run.stdout)?.[1] ?? '';
      const endpoint = /SQS +(\S+)/.exec(run.stdout)?.[1];
      const unnamed = await sluice(['send', SAMPLE_FILE, '--local'], folder);
      expect(unnamed.status).toBe(3);
      expect(unnamed.stderr).toMatch(/^sluice: 2 runs are going on here, so say which: --run .+ or --run .+\n$/);
      expect(unnamed.stderr).toContain(`--run ${basename(path)} (SQS at ${endpoint})`);
      expect(unnamed.stderr).toContain(`--run ${other.name} (SQS at http://127.0.0.1:1)`);

      for (const named of [basename(path), `${path}/`]) {
        const { status, stderr } = await sluice(['send', SAMPLE_FILE, '--run', named], folder);
        expect({ status, stderr }).toEqual({ status: 0, stderr: expect.anything() });
      }
      run.signal('SIGINT');
      const { stdout } = await run.ended;
      // Its own file and three more, all counted.
      expect(stdout).toMatch(/orders +244 /);
      expect(stdout).toMatch(/exact ✓/);
    },
    SEVERAL_RUNS_MS_MAX,
  );

  test('says which runs there are when the one that is named is not among them', async () => {
    const folder = await temporaryFolder();
    const other = createRunFolder({ temporaryFolder: folder });
    afterwards(() => other.close());
    announceLiveRun(other.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint: 'http://127.0.0.1:1' });
    const { status, stderr } = await sluice(['send', SAMPLE_FILE, '--run', 'run-0'], folder);
    const listed = `--run ${other.name} (SQS at http://127.0.0.1:1)`;
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: `sluice: no run run-0 is going on here; there is ${listed}\n`,
    });
  });

  test('says what to do when there is none', async () => {
    const folder = await temporaryFolder();
    const { status, stderr } = await sluice(['send', SAMPLE_FILE, '--local'], folder);
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringMatching(/^sluice: no run is going on here; start one with npm start/),
    });
  });
});
