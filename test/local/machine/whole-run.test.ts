import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { isRunning, type ProcessIdentity, startMarkOf } from '../../../local/machine/process-identity.ts';
import { sweepLeftRuns } from '../../../local/machine/run-folder.ts';
import { afterwards, eventually, freezePostgres, isListening, temporaryFolder } from './machine.ts';

const reportSchema = z.object({
  path: z.string(),
  reaper: z.int(),
  ports: z.record(z.string(), z.int()),
  processes: z.array(z.object({ name: z.string(), pid: z.int(), startMark: z.string() })),
  postgresUrl: z.string(),
});

type Report = z.infer<typeof reportSchema>;

interface StartedRun extends Report {
  readonly parent: ChildProcess;
  /** Settles when its output has been closed by everyone who held it. */
  readonly outputEnded: Promise<unknown>;
}

async function startRun(folder: string, ...content: string[]): Promise<StartedRun> {
  const program = fileURLToPath(new URL('./fixtures/whole-run.ts', import.meta.url));
  const parent = spawn(process.execPath, [program, folder, ...content], { stdio: ['ignore', 'pipe', 'inherit'] });
  afterwards(() => parent.kill('SIGKILL'));
  const outputEnded = once(parent, 'close');
  const failed = outputEnded.then(() => Promise.reject(new Error('the run ended before it said what it started')));
  const [line] = await Promise.race([once(createInterface(parent.stdout!), 'line'), failed]);
  failed.catch(() => undefined);
  return { ...reportSchema.parse(JSON.parse(String(line))), parent, outputEnded };
}

/** Stops every process of it with SIGSTOP, and says which they are. */
async function freezeAll({ processes, postgresUrl }: Report): Promise<ProcessIdentity[]> {
  for (const { pid } of processes.filter(({ name }) => name !== 'postgres')) process.kill(pid, 'SIGSTOP');
  return [...processes, ...(await freezePostgres(postgresUrl, processes.find(({ name }) => name === 'postgres')!.pid))];
}

async function isGone(run: Report): Promise<boolean> {
  const listening = await Promise.all(Object.values(run.ports).map(isListening));
  return !existsSync(run.path) && !run.processes.some(isRunning) && !listening.includes(true);
}

async function runsIn(folder: string): Promise<string[]> {
  const [parent] = await readdir(folder);
  return parent === undefined ? [] : readdir(`${folder}/${parent}`);
}

describe('a run that is killed with SIGKILL', () => {
  test('leaves no process, no port and no folder, and another run beside it goes on', async () => {
    const folder = await temporaryFolder();
    const [killed, other] = await Promise.all([startRun(folder), startRun(folder)]);
    expect(killed.processes.map((process) => process.name).sort()).toEqual(['postgres', 'sqs', 'worker']);
    killed.parent.kill('SIGKILL');
    await killed.outputEnded;
    await eventually('everything of the killed run gone', () => isGone(killed));
    await eventually('the reaper gone', () => startMarkOf(killed.reaper) === undefined);

    expect(await sweepLeftRuns({ temporaryFolder: folder })).toEqual([]);
    expect(other.processes.every(isRunning)).toBe(true);
    other.parent.kill('SIGTERM');
    await other.outputEnded;
    expect(other.parent.exitCode).toBe(0);
    expect(await isGone(other)).toBe(true);
    expect(startMarkOf(other.reaper)).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  test('together with its reaper is cleared away by the next sweep', async () => {
    const folder = await temporaryFolder();
    const run = await startRun(folder);
    process.kill(run.reaper, 'SIGKILL');
    run.parent.kill('SIGKILL');
    await run.outputEnded;
    expect(run.processes.filter(isRunning).map((process) => process.name)).toContain('postgres');

    expect(await sweepLeftRuns({ temporaryFolder: folder })).toEqual([{ path: run.path, outcome: 'removed' }]);
    expect(await isGone(run)).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a run whose processes were all stopped', () => {
  test('and which is then killed, leaves nothing', async () => {
    const folder = await temporaryFolder();
    const run = await startRun(folder);
    const processes = await freezeAll(run);
    run.parent.kill('SIGKILL');
    await eventually('everything of the run gone', async () => (await isGone(run)) && !processes.some(isRunning));
    await eventually('its folder gone', async () => (await readdir(folder)).length === 0);
  });

  test('and which is then killed together with its reaper, is cleared away by the next sweep', async () => {
    const folder = await temporaryFolder();
    const run = await startRun(folder);
    const processes = await freezeAll(run);
    process.kill(run.reaper, 'SIGKILL');
    run.parent.kill('SIGKILL');
    await once(run.parent, 'exit');
    expect(await sweepLeftRuns({ temporaryFolder: folder })).toEqual([{ path: run.path, outcome: 'removed' }]);
    expect(processes.filter(isRunning)).toEqual([]);
    expect(await isGone(run)).toBe(true);
  });
});

describe('a run that ends without closing', () => {
  test('is not held back by its reaper, which then clears it away', async () => {
    const folder = await temporaryFolder();
    const run = await startRun(folder, 'empty');
    await run.outputEnded;
    expect(run.parent.exitCode).toBe(0);
    await eventually('its folder gone', async () => (await runsIn(folder)).length === 0);
  });
});
