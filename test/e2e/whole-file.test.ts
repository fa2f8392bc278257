/**
 * A file through the whole of Sluice, and the tables compared with what the file says, line by line and customer
 * by customer.
 *
 * `SLUICE_E2E_INPUT=orders.csv.gz npm test -- test/e2e/whole-file` does the same with a file of your own.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { createRunFolder } from '../../local/machine/run-folder.ts';
import { afterwards, temporaryFolder } from '../local/machine/machine.ts';
import { startMadePostgres } from '../local/machine/made-postgres.ts';
import { actualTables } from './actual-tables.ts';
import { expectedTables } from './expected-tables.ts';
import { messyFile } from './messy-file.ts';
import { sluice } from './sluice.ts';

const RUN_MS_MAX = 170_000;
const sample = fileURLToPath(new URL('../../data/orders-2011-08-12.csv', import.meta.url));

async function postgresUrl(): Promise<string> {
  const run = createRunFolder({ temporaryFolder: await temporaryFolder() });
  afterwards(() => run.close());
  const postgres = await startMadePostgres({ run });
  afterwards(() => postgres.stop());
  return postgres.url;
}

async function runWhole(input: string, workers: number) {
  const DATABASE_URL = await postgresUrl();
  const folder = await temporaryFolder();
  const report = join(folder, 'report.json');
  const args = ['start', '--once', '--input', input, '--report', report, '--workers', String(workers)];
  const { status, stdout, stderr } = await sluice(args, folder, { DATABASE_URL });
  return {
    status,
    output: stdout + stderr,
    report: JSON.parse(await readFile(report, 'utf8')),
    tables: await actualTables(DATABASE_URL),
  };
}

async function expectTablesOf(input: string, workers: number) {
  const { rejected, ...expected } = expectedTables(input);
  const { status, output, report, tables } = await runWhole(input, workers);
  expect(tables).toEqual(expected);
  expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining('exact ✓') });
  const balance = (queue: string, stored: number) => {
    const refused = rejected.filter((row) => row.startsWith(`${queue}|`)).length;
    return { queue, sent: stored + refused, stored, rejected: refused, lost: 0, storedTwice: 0 };
  };
  const ofFile = (queue: string) => report.balance.find((each: { queue: string }) => each.queue === queue);
  expect(ofFile('orders')).toMatchObject(balance('orders', expected.orders.length));
  expect(ofFile('ledger')).toMatchObject({ ...balance('ledger', expected.ledgerEntries.length), outOfOrder: 0 });
}

describe('a file, run through everything, is in the tables', () => {
  test(
    'the day that comes with Sluice and a messy one: invoices interleaved, customers with many orders, awkward text',
    async () => {
      const input = join(await temporaryFolder(), 'messy.csv.gz');
      // One file has one kind of line end: the messy one's.
      const day = (await readFile(sample, 'utf8')).replaceAll('\n', '\r\n');
      const messy = messyFile(600);
      await writeFile(input, gzipSync(day + messy.slice(messy.indexOf('\n') + 1)));
      await expectTablesOf(input, 2);
    },
    RUN_MS_MAX,
  );

  const own = process.env.SLUICE_E2E_INPUT;
  if (own !== undefined) {
    test(
      `${own}, named by SLUICE_E2E_INPUT`,
      async () => {
        await expectTablesOf(own, 1);
      },
      RUN_MS_MAX,
    );
  }
});
