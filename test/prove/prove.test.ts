/** The proof itself, short: `npm run prove` takes its time, and this only what fits between other tests. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../local/machine/machine.ts';

const command = fileURLToPath(new URL('./prove.ts', import.meta.url));
const RUN_MS_MAX = 240_000;

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function prove(...args: string[]): Promise<Ended> {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
  const env = { PATH, HOME, NODE_COMPILE_CACHE, TMPDIR: await temporaryFolder() };
  return new Promise((resolve) => {
    execFile(process.execPath, [command, ...args], { env, timeout: RUN_MS_MAX }, (error, stdout, stderr) => {
      resolve({ status: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

describe('npm run prove', () => {
  test(
    'finds every order once and in order after crashes of workers and PostgreSQL, while SQS fails',
    async () => {
      const args = ['--fault', 'crashes', '--impatient', '--orders', '300', '--seconds', '8', '--json'];
      const { status, stdout, stderr } = await prove(...args);
      expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('seed ') });
      expect(JSON.parse(stdout)).toMatchObject({
        orders: 300,
        faults: [
          {
            fault: 'crashes',
            exact: true,
            complaints: [],
            lost: 0,
            dead: 0,
            storedTwice: 0,
            outOfOrder: 0,
            done: { 'worker killed': expect.any(Number) },
          },
        ],
      });
    },
    RUN_MS_MAX,
  );

  test.each([
    [['--fault', 'rain'], /It must be one of none, kill-workers, /],
    [['--orders', '0'], /It must be a whole number from 1 to 1000000/],
    [['--input', 'orders.csv', '--orders', '5'], /cannot be used with option/],
    [['--input', 'none.csv'], /none\.csv/],
  ])('refuses %j with status 2', async (args, sentence) => {
    expect(await prove(...args)).toMatchObject({ status: 2, stderr: expect.stringMatching(sentence) });
  });

  test('refuses a file that cannot be read with status 2', async () => {
    const file = join(await temporaryFolder(), 'orders.csv');
    await writeFile(file, 'InvoiceNo\n1\n');
    expect(await prove('--input', file)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/column StockCode/),
    });
  });

  test('explains itself, with every fault and examples', async () => {
    const { status, stdout } = await prove('--help');
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/kill-workers[\s\S]*Examples:/) });
  });
});
