/** What tests share: folders and runs that go with the test, and looking at processes and ports. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach } from '@jest/globals';
import pg from 'pg';
import { isRunning, type ProcessIdentity, startMarkOf } from '../../../local/machine/process-identity.ts';
import { createRunFolder, type RunFolder } from '../../../local/machine/run-folder.ts';

/** Less than a test has: on a machine that is busy, a whole run takes half of it to start. */
const EVENTUALLY_MS = 50_000;

const undoings: (() => unknown)[] = [];

/** Runs after the test, the last one first, whatever became of the test. */
export function afterwards(undo: () => unknown): void {
  undoings.push(undo);
}

afterEach(async () => {
  for (const undo of undoings.splice(0).reverse()) await undo();
});

/** A folder that others may enter, as they may enter the system's own. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  await chmod(folder, 0o711);
  // A reaper may be clearing it away at the same time.
  afterwards(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

/** A run for one test, in a folder of its own. */
export async function makeRun(): Promise<RunFolder> {
  const run = createRunFolder({ temporaryFolder: await temporaryFolder() });
  afterwards(() => run.close());
  return run;
}

/** Waits until something holds; what it is, asked when it has not come, shows up in the failure. */
export async function eventually(
  what: string | (() => string),
  holds: () => unknown,
  waitMs = EVENTUALLY_MS,
): Promise<void> {
  const giveUpAtMs = performance.now() + waitMs;
  while (!(await holds())) {
    if (performance.now() > giveUpAtMs) {
      throw new Error(`not seen within ${waitMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(20);
  }
}

export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const answer = (listening: boolean) => () => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}

/**
 * Stops a PostgreSQL and all that it forked with SIGSTOP, among them one connection, and says which they are.
 *
 * @param pid of its first process
 */
export async function freezePostgres(url: string, pid: number): Promise<ProcessIdentity[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('select pid from pg_stat_activity');
  // The first one first: it must not fork another meanwhile.
  const processes = [pid, ...rows.map((row) => row.pid)].flatMap((each) => {
    const startMark = startMarkOf(each);
    return startMark === undefined ? [] : [{ pid: each, startMark }];
  });
  for (const each of processes) process.kill(each.pid, 'SIGSTOP');
  afterwards(() => {
    for (const each of processes.filter(isRunning)) process.kill(each.pid, 'SIGKILL');
  });
  return processes;
}
