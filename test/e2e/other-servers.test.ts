/** With DATABASE_URL and AWS_ENDPOINT_URL the run uses servers that are there already, also for a second time. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { isRunning } from '../../local/machine/process-identity.ts';
import { SAMPLE_FILE } from '../../local/start.ts';
import { afterwards, freezePostgres, makeRun, temporaryFolder } from '../local/machine/machine.ts';
import { startMadePostgres } from '../local/machine/made-postgres.ts';
import { serversForTests } from './own-servers.ts';
import { Sluice, sluice, synthesizedBefore } from './sluice.ts';

const RUN_MS_MAX = 120_000;
const SEVERAL_RUNS_MS_MAX = 240_000;
/** A message whose delete fails five times comes back after the visibility timeout of a minute. */
const _FAULTY_RUN_MS_MAX = 170_000;

const lineOfC1 = (invoice: number) => `${invoice},SKU,TEXT,1,2011-01-01 10:00:00,1.50,c1,UK\n`;

const servers = serversForTests();

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
