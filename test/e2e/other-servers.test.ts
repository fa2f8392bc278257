/** With DATABASE_URL and AWS_ENDPOINT_URL the run uses servers that are there already, also for a second time. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { announceLiveRun } from '../../local/live-run.ts';
import { startEmbeddedPostgres } from '../../local/machine/embedded-postgres.ts';
import { startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { isRunning } from '../../local/machine/process-identity.ts';
import { createRunFolder } from '../../local/machine/run-folder.ts';
import { EMBEDDED_ACCOUNT_ID } from '../../local/servers.ts';
import { SAMPLE_FILE } from '../../local/start.ts';
import { ORDER_SCHEMA, ORDER_VERSION } from '../../workers/messages/order.ts';
import { startFaultyProxy } from '../faults/faulty-sqs.ts';
import { afterwards, freezePostgres, makeRun, temporaryFolder } from '../local/machine/machine.ts';
import { messyFile } from './messy-file.ts';
import { Sluice, sluice } from './sluice.ts';

const RUN_MS_MAX = 120_000;
/** A message whose delete fails five times comes back after the visibility timeout of a minute. */
const FAULTY_RUN_MS_MAX = 170_000;

async function servers() {
  const run = await makeRun();
  const [postgres, sqs] = await Promise.all([startEmbeddedPostgres({ run }), startEmbeddedSqs({ run })]);
  afterwards(() => Promise.all([postgres.stop(), sqs.stop()]));
  return { DATABASE_URL: postgres.url, AWS_ENDPOINT_URL: sqs.endpoint };
}

describe('servers that are there already', () => {
  test(
    'serve a run, and a second one whose messages are all suppressed',
    async () => {
      const environment = await servers();
      const folder = await temporaryFolder();
      const report = join(folder, 'report.json');
      for (const suppressed of [
        { orders: 0, ledger: 0 },
        { orders: 59, ledger: 48 },
      ]) {
        const { status, stdout } = await sluice(['start', '--once', '--report', report], folder, environment);
        expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('exact ✓') });
        expect(stdout).toContain(environment.AWS_ENDPOINT_URL);
        const { balance } = JSON.parse(await readFile(report, 'utf8'));
        expect(balance).toMatchObject([
          { sent: 61, stored: 59, rejected: 2, suppressed: suppressed.orders, lost: 0 },
          { sent: 48, stored: 48, rejected: 0, suppressed: suppressed.ledger, lost: 0 },
        ]);
      }
    },
    RUN_MS_MAX,
  );

  test(
    'suppress an order that comes again out of another file, where its customer has it at another place',
    async () => {
      const environment = await servers();
      const folder = await temporaryFolder();
      const [input, later, report] = ['orders.csv', 'later.csv', 'report.json'].map((name) => join(folder, name));
      const line = (invoice: number) => `${invoice},SKU,TEXT,1,2011-01-01 10:00:00,1.50,c1,UK`;
      const header = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';
      await writeFile(input!, [header, ...[1, 2, 3].map(line)].join('\n'));
      await writeFile(later!, [header, ...[2, 3, 4].map(line)].join('\n'));
      await sluice(['start', '--once', '--input', input!], folder, environment);
      const { status } = await sluice(['start', '--once', '--input', later!, '--report', report!], folder, environment);
      const { balance } = JSON.parse(await readFile(report!, 'utf8'));
      expect({ status, balance }).toMatchObject({
        status: 0,
        balance: [
          { sent: 3, stored: 3, suppressed: 2, rejected: 0 },
          { sent: 3, stored: 3, suppressed: 2, rejected: 0, outOfOrder: 0 },
        ],
      });
    },
    RUN_MS_MAX,
  );

  test(
    'that take the messages but lost the tables are not believed',
    async () => {
      const environment = await servers();
      const folder = await temporaryFolder();
      await sluice(['start', '--once'], folder, environment);
      // The same queues, with the same messages within SQS's five minutes of deduplication, and an empty database.
      const { DATABASE_URL } = await servers();
      const { status, stdout } = await sluice(['start', '--once'], folder, { ...environment, DATABASE_URL });
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/ledger +48 +48 +0 +0/) });
    },
    RUN_MS_MAX,
  );
});

describe("a PostgreSQL of one's own that is frozen", () => {
  test(
    'does not hold a run that Ctrl-C ends, and is left to its owner',
    async () => {
      const run = await makeRun();
      const postgres = await startEmbeddedPostgres({ run });
      afterwards(() => postgres.stop());
      const sluiceRun = new Sluice(['start'], await temporaryFolder(), { DATABASE_URL: postgres.url });
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

describe('a message that a newer producer sent', () => {
  test(
    'keeps a run waiting, which says why and for how long, in lines of 80 columns',
    async () => {
      const environment = await servers();
      const folder = await temporaryFolder();
      await sluice(['start', '--once'], folder, environment);
      const client = new SQSClient({
        endpoint: environment.AWS_ENDPOINT_URL,
        region: 'us-east-1',
        credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      });
      afterwards(() => client.destroy());
      const QueueUrl = `${environment.AWS_ENDPOINT_URL}/${EMBEDDED_ACCOUNT_ID}/sluice-dev-orders`;
      const MessageBody = JSON.stringify({ schema: ORDER_SCHEMA, version: ORDER_VERSION + 1, payload: {} });
      await client.send(new SendMessageCommand({ QueueUrl, MessageBody }));
      const run = new Sluice(['start', '--once'], folder, environment);
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

describe('an SQS server that fails one call in five, the look at its queues too', () => {
  test(
    'costs requests and nothing else',
    async () => {
      const environment = await servers();
      // The same numbers in every run, and no rhythm that could hit one kind of call again and again.
      let dice = 1;
      let fails = false;
      const proxy = await startFaultyProxy(Number(new URL(environment.AWS_ENDPOINT_URL).port), () => {
        dice = (dice * 48_271) % 2_147_483_647;
        return fails && dice % 5 === 0 ? 'answer 503' : 'pass';
      });
      afterwards(() => proxy.stop());
      const folder = await temporaryFolder();
      const input = join(folder, 'orders.csv');
      await writeFile(input, messyFile(500));
      const report = join(folder, 'report.json');
      const run = new Sluice(['start', '--once', '--input', input, '--report', report], folder, {
        ...environment,
        AWS_ENDPOINT_URL: proxy.endpoint,
      });
      await run.prints('Sending');
      fails = true;
      const { status, stdout, stderr } = await run.ended;
      expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining('exact ✓') });
      expect(JSON.parse(await readFile(report, 'utf8'))).toMatchObject({ exact: true, complete: true });
    },
    FAULTY_RUN_MS_MAX,
  );
});

describe('sluice send --local', () => {
  test(
    'sends to the run that is going on, which counts it',
    async () => {
      const folder = await temporaryFolder();
      const run = new Sluice(['start'], folder);
      await run.prints('Sending');
      const { status, stdout } = await sluice(['send', SAMPLE_FILE, '--local', '--json'], folder);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        orders: 61,
        messages: { orders: 61, ledger: 48 },
        interrupted: false,
      });
      run.signal('SIGINT');
      const ended = await run.ended;
      expect(ended.stdout).toMatch(/orders +122 /);
      expect(ended.stdout).toMatch(/exact ✓/);
    },
    RUN_MS_MAX,
  );

  test(
    'sends to one of two runs when it is named, and says how to name it when it is not',
    async () => {
      const folder = await temporaryFolder();
      const run = new Sluice(['start'], folder);
      const other = createRunFolder({ temporaryFolder: folder });
      afterwards(() => other.close());
      announceLiveRun(other.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint: 'http://127.0.0.1:1' });
      await run.prints('Sending');
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
      expect((await run.ended).stdout).toMatch(/orders +183 /);
    },
    RUN_MS_MAX,
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
