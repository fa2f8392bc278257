import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { isRunning, startMarkOf } from '../../../local/machine/process-identity.ts';
import { createRunFolder, liveRunFolders, sweepLeftRuns } from '../../../local/machine/run-folder.ts';
import { afterwards, temporaryFolder } from './machine.ts';

/** Rewrites what a run's owner file says, as if another process had made it. */
async function changeOwner(path: string, change: object): Promise<void> {
  const file = join(path, 'owner.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...change }));
}

function startSleeper(): { pid: number; startMark: string } {
  const sleeper = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  afterwards(() => sleeper.kill('SIGKILL'));
  return { pid: sleeper.pid!, startMark: startMarkOf(sleeper.pid!)! };
}

const markOfSomeoneElse = () => startMarkOf(process.pid)!.replace(/\d+$/, '1');

describe('a run folder', () => {
  test('can be listed by nobody else, and goes with the last run', async () => {
    const temporary = await temporaryFolder();
    const [one, two] = [
      createRunFolder({ temporaryFolder: temporary }),
      createRunFolder({ temporaryFolder: temporary }),
    ];
    expect(one.path).not.toBe(two.path);
    expect((await stat(one.path)).mode & 0o066).toBe(0);
    await one.close();
    expect(await readdir(dirname(two.path))).toHaveLength(1);
    await two.close();
    expect(await readdir(temporary)).toEqual([]);
  });

  test.each([
    ['is writable by others', (parent: string) => mkdir(parent).then(() => chmod(parent, 0o777))],
    ['is a link', (parent: string) => symlink('/tmp', parent)],
    ['is a file', (parent: string) => writeFile(parent, '')],
  ])('is not made in a place that %s', async (_what, makeParent) => {
    const temporary = await temporaryFolder();
    const parent = join(temporary, `sluice-${process.getuid!()}`);
    await makeParent(parent);
    expect(() => createRunFolder({ temporaryFolder: temporary })).toThrow(
      `${parent} is not a folder that only you can write to`,
    );
  });

  test('is made elsewhere when the temporary folder cannot be used', async () => {
    const run = createRunFolder({ temporaryFolder: '/nonexistent' });
    afterwards(() => run.close());
    expect(run.path).toMatch(/^(\/var)?\/tmp\//);
  });
});

describe('a sweep', () => {
  test('leaves the run of a live process alone', async () => {
    const temporary = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: temporary });
    afterwards(() => run.close());
    expect(await sweepLeftRuns({ temporaryFolder: temporary })).toEqual([]);
    expect(existsSync(run.path)).toBe(true);
    expect(liveRunFolders({ temporaryFolder: temporary })).toContain(run.path);
  });

  test('takes a run for dead when its pid was given out again, and does not touch who has the pids now', async () => {
    const temporary = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: temporary });
    const sleeper = startSleeper();
    const recorded = { name: 'worker', pid: sleeper.pid, startMark: markOfSomeoneElse() };
    await changeOwner(run.path, {
      startMark: markOfSomeoneElse(),
      processes: [
        { ...recorded, endWith: 'SIGKILL' },
        { ...recorded, endWith: 'SIGQUIT' },
      ],
    });
    expect(await sweepLeftRuns({ temporaryFolder: temporary })).toEqual([{ path: run.path, outcome: 'removed' }]);
    expect(existsSync(run.path)).toBe(false);
    expect(isRunning(sleeper)).toBe(true);
  });

  test('ends what still runs of a dead run that is to be kept, and leaves its data', async () => {
    const temporary = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: temporary, keep: true });
    await mkdir(run.dataPath);
    const sleeper = startSleeper();
    await changeOwner(run.path, {
      startMark: markOfSomeoneElse(),
      processes: [{ name: 'worker', ...sleeper, endWith: 'SIGKILL' }],
    });
    expect(await sweepLeftRuns({ temporaryFolder: temporary })).toEqual([{ path: run.path, outcome: 'kept' }]);
    expect(isRunning(sleeper)).toBe(false);
    expect(existsSync(run.dataPath)).toBe(true);
  });

  test('cannot judge a run of another container, and leaves it for a day', async () => {
    const temporary = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: temporary });
    await changeOwner(run.path, { pidNamespace: 'pid:[1]' });
    expect(await sweepLeftRuns({ temporaryFolder: temporary })).toEqual([]);
    await changeOwner(run.path, { startedAt: new Date(Date.now() - 25 * 60 * 60 * 1_000).toISOString() });
    expect(await sweepLeftRuns({ temporaryFolder: temporary })).toHaveLength(1);
  });

  test('finishes what others began: folders half removed, and half made an hour ago', async () => {
    const temporary = await temporaryFolder();
    const parent = join(temporary, `sluice-${process.getuid!()}`);
    for (const name of ['gone-1', 'new-1', 'new-2']) await mkdir(join(parent, name), { recursive: true, mode: 0o755 });
    const anHourAgo = Date.now() / 1_000 - 3_600;
    await utimes(join(parent, 'new-1'), anHourAgo, anHourAgo);
    await sweepLeftRuns({ temporaryFolder: temporary });
    expect(await readdir(parent)).toEqual(['new-2']);
  });
});
