import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { LINE_CHARACTERS_MAX, type StartProcessOptions, startProcess } from '../../../local/machine/child-process.ts';
import { isRunning, startMarkOf } from '../../../local/machine/process-identity.ts';
import type { RunFolder } from '../../../local/machine/run-folder.ts';
import { eventually, makeRun } from './machine.ts';

function startShell(run: RunFolder, script: string, options: Partial<StartProcessOptions> = {}) {
  const logFile = run.logPath('shell');
  const env = { PATH: '/bin:/usr/bin' };
  return startProcess({ run, name: 'shell', command: '/bin/sh', args: ['-c', script], env, logFile, ...options });
}

describe('a process of a run', () => {
  test('is on its list while it runs, and tells how it ended', async () => {
    const run = await makeRun();
    const process = await startShell(run, 'sleep 0.2; exit 7');
    expect(run.processes.map(({ name, pid }) => ({ name, pid }))).toEqual([{ name: 'shell', pid: process.pid }]);
    expect(await process.exited).toEqual({ code: 7, signal: null });
    expect(run.processes).toEqual([]);
  });

  test('hands over its output line by line, too long ones cut, and all of it to the log', async () => {
    const run = await makeRun();
    const lines: string[] = [];
    const length = LINE_CHARACTERS_MAX + 5_000;
    const script = `echo one; echo two >&2; printf '%0${length}d\\n' 0; printf three`;
    const process = await startShell(run, script, { onLine: (line, stream) => lines.push(`${stream} ${line}`) });
    await process.exited;
    expect(lines.sort()).toEqual(
      ['stderr two', `stdout ${'0'.repeat(LINE_CHARACTERS_MAX)}`, 'stdout one', 'stdout three'].sort(),
    );
    expect(await readFile(run.logPath('shell'), 'utf8')).toHaveLength(length + 'one\ntwo\n\nthree'.length);
  });

  test('that does not heed the signal is killed, and its children with it', async () => {
    const run = await makeRun();
    let child = 0;
    const process = await startShell(run, 'trap "" TERM; sleep 60 & echo $!; wait; sleep 60', {
      onLine: (line) => {
        child = Number(line);
      },
    });
    await eventually('the pid of its child', () => child > 0);
    const identity = { pid: child, startMark: startMarkOf(child)! };
    expect(await process.stop('SIGTERM', 50)).toEqual({ code: null, signal: 'SIGKILL' });
    await eventually('its child gone', () => !isRunning(identity));
    expect(await process.stop('SIGTERM', 50)).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('that was stopped hears the signal all the same', async () => {
    const run = await makeRun();
    let ready = false;
    const process = await startShell(run, 'trap "exit 5" TERM; echo ready; sleep 60 & wait', {
      onLine: () => {
        ready = true;
      },
    });
    await eventually('its trap set', () => ready);
    process.signal('SIGSTOP');
    expect(await process.stop('SIGTERM', 10_000)).toEqual({ code: 5, signal: null });
  });

  test('leaves none of its children behind when it ends by itself', async () => {
    const run = await makeRun();
    let child = 0;
    const process = await startShell(run, 'sleep 60 & echo $!', {
      onLine: (line) => {
        child = Number(line);
      },
    });
    expect(await process.exited).toEqual({ code: 0, signal: null });
    await eventually('its child gone', () => startMarkOf(child) === undefined);
  });

  test('whose program is not there is said so', async () => {
    const run = await makeRun();
    await expect(startShell(run, '', { command: '/nonexistent/worker' })).rejects.toThrow(
      'cannot start shell (/nonexistent/worker)',
    );
    expect(run.processes).toEqual([]);
  });
});
