/** Processes killed in the middle: the balance stays exact, and nothing stays behind. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { isRunning } from '../../local/machine/process-identity.ts';
import { eventually, freezePostgres, isListening, temporaryFolder } from '../local/machine/machine.ts';
import { messyFile } from './messy-file.ts';
import { Sluice, synthesizedBefore } from './sluice.ts';

/** A killed worker's messages come back after the visibility timeout of the stage, one minute. */
const RUN_MS_MAX = 170_000;
/** Enough that most of them are still to come when some hundreds are in the tables. */
const INVOICES = 2_000;
const KILLED_INVOICES = 4_000;

async function startWith(invoices: number, ...args: string[]) {
  const folder = await temporaryFolder();
  const input = join(folder, 'orders.csv');
  await writeFile(input, messyFile(invoices));
  const report = join(folder, 'report.json');
  const run = new Sluice(
    ['start', '--input', input, '--report', report, ...(await synthesizedBefore()), ...args],
    folder,
  );
  return { folder, report, run };
}

function addressOf(run: Sluice): string {
  const [, address] = /PostgreSQL +(\S+)/.exec(run.stdout) ?? [];
  if (address === undefined) throw new Error(`no address of PostgreSQL in ${run.stdout}`);
  return address;
}

/** Some of it is in the tables and most of it is not. */
async function untilUnderWay(run: Sluice): Promise<void> {
  await run.prints('Sending');
  const client = new pg.Client(addressOf(run));
  await client.connect();
  try {
    await eventually('some orders and some entries stored', async () => {
      const { rows } = await client.query('select from inbox group by consumer having count(*) > 200');
      return rows.length === 2;
    });
  } finally {
    await client.end();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a run', () => {
  test(
    'stays exact when a worker of each fleet and PostgreSQL are killed in the middle',
    async () => {
      const { run, report } = await startWith(KILLED_INVOICES, '--once');
      await untilUnderWay(run);
      const { orders, ledger, postgres } = killables(run);
      process.kill(orders, 'SIGKILL');
      process.kill(ledger, 'SIGKILL');
      process.kill(postgres, 'SIGKILL');
      const { status, stdout } = await run.ended;
      expect(stdout).toMatch(/worker orders-1 ended \(SIGKILL\); another started, pid \d+/);
      expect(stdout).toMatch(/worker ledger-1 ended \(SIGKILL\); another started, pid \d+/);
      expect(stdout).toMatch(/PostgreSQL ended \(SIGKILL\); starting it again on its data/);
      expect(stdout).toMatch(/PostgreSQL is back, pid \d+/);
      const { balance, exact, complete } = JSON.parse(await readFile(report, 'utf8'));
      expect({ status, exact, complete, balance }).toMatchObject({ status: 0, exact: true, complete: true });
      expect(balance).toMatchObject([
        { sent: KILLED_INVOICES, lost: 0, storedTwice: 0, dead: 0 },
        { lost: 0, storedTwice: 0, dead: 0, outOfOrder: 0 },
      ]);
    },
    RUN_MS_MAX,
  );

  test(
    'drains at Ctrl-C, prints the balance and leaves nothing',
    async () => {
      const { folder, run, report } = await startWith(INVOICES);
      await untilUnderWay(run);
      const pids = Object.values(run.processes());
      run.signal('SIGINT');
      const { status, stdout } = await run.ended;
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/Balance\n[\s\S]*exact ✓/) });
      expect(JSON.parse(await readFile(report, 'utf8'))).toMatchObject({ exact: true, interrupted: true });
      expect(pids.filter(isAlive)).toEqual([]);
      expect(await readdir(folder)).toEqual(expect.arrayContaining(['orders.csv', 'report.json']));
      expect((await readdir(folder)).filter((name) => name.startsWith('sluice-'))).toEqual([]);
    },
    RUN_MS_MAX,
  );

  test(
    'whose PostgreSQL is frozen says at Ctrl-C why there is no balance, and leaves nothing',
    async () => {
      const { folder, run } = await startWith(INVOICES);
      await untilUnderWay(run);
      const pids = Object.values(run.processes());
      const frozen = await freezePostgres(addressOf(run), killables(run).postgres);
      run.signal('SIGINT');
      const { status, stdout, stderr } = await run.ended;
      expect({ status, stderr }).toEqual({
        status: 3,
        stderr: expect.stringMatching(
          /^sluice: cannot take the balance, because PostgreSQL at \S+ does not answer.+\n$/,
        ),
      });
      expect(stdout).not.toContain('Balance');
      expect(pids.filter(isAlive)).toEqual([]);
      expect(frozen.filter(isRunning)).toEqual([]);
      expect((await readdir(folder)).filter((name) => name.startsWith('sluice-'))).toEqual([]);
    },
    RUN_MS_MAX,
  );

  test('whose SQS server ends while it is being prepared says so', async () => {
    const run = new Sluice(['start'], await temporaryFolder());
    await eventually('the SQS server up', () => run.ports().sqs !== undefined);
    process.kill(run.processes().sqs!, 'SIGKILL');
    const { status, stdout, stderr } = await run.ended;
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringContaining('the SQS server ended (SIGKILL)'),
    });
    expect(stdout).not.toContain('Sending');
  });

  test(
    'killed itself, has its workers, servers and folder cleared away, those too that came in the place of others',
    async () => {
      const { folder, run } = await startWith(INVOICES);
      await untilUnderWay(run);
      await killByHints(run);
      const pids = Object.values(run.processes());
      const port = Number(/SQS +http:\/\/127\.0\.0\.1:(\d+)/.exec(run.stdout)?.[1]);
      expect(await isListening(port)).toBe(true);
      run.signal('SIGKILL');
      await run.ended;
      await eventually('every process gone', () => !pids.some(isAlive));
      await eventually(
        'the folder gone',
        async () => !(await readdir(folder)).some((name) => name.startsWith('sluice-')),
      );
      expect(await isListening(port)).toBe(false);
    },
    RUN_MS_MAX,
  );
});

/** It says by their pids which processes to kill, and which have come in their place. */
async function killByHints(run: Sluice): Promise<void> {
  const { orders, postgres } = killables(run);
  const pidsToKill = [...run.stdout.matchAll(/^ {2}kill -9 (\d+)/gm)].map(([, pid]) => Number(pid));
  expect(pidsToKill).toEqual([orders, postgres]);
  for (const pid of pidsToKill) process.kill(pid, 'SIGKILL');
  await run.prints('another started');
  await run.prints('PostgreSQL is back');
  const now = killables(run);
  expect([orders, postgres]).not.toContain(now.orders);
  expect(run.stdout).toContain(`worker orders-1 ended (SIGKILL); another started, pid ${now.orders}\n`);
  expect(run.stdout).toContain(`PostgreSQL is back, pid ${now.postgres}\n`);
}

function killables(run: Sluice) {
  const pids = run.processes();
  const [orders, ledger, postgres] = [pids['orders-1'], pids['ledger-1'], pids.postgres];
  if (orders === undefined || ledger === undefined || postgres === undefined) {
    throw new Error(`not all are running: ${JSON.stringify(pids)}`);
  }
  return { orders, ledger, postgres };
}
