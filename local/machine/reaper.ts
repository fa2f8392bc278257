/**
 * Sees to it that nothing of a run outlives it, even when it is killed with SIGKILL.
 *
 * A shell, in a session of its own, waits on a pipe that this process holds. When the run closes in good order it is
 * told `done` and goes. When the pipe ends without a word, this process has died, and the shell becomes the reaper
 * proper (reaper-process.ts), which ends what is on the run's list and removes its folder. A shell, because it costs
 * a megabyte while it waits and Node fifty.
 *
 * The pipe is its only tie: it holds no terminal, no output and no turn of the event loop.
 */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { RunFolder } from './run-folder.ts';

const WAIT_THEN_REAP = 'trap "" INT TERM HUP; read -r word; [ "$word" = done ] || exec "$@"';

export interface Reaper {
  readonly pid: number;
  /** Lets it go; to be called after the run folder was closed. */
  dismiss(): Promise<void>;
}

/** Starts the reaper of a run; to be called before anything else is started in the run. */
export async function startReaper(run: RunFolder): Promise<Reaper> {
  const program = fileURLToPath(new URL('./reaper-process.ts', import.meta.url));
  const shell = spawn('/bin/sh', ['-c', WAIT_THEN_REAP, 'sluice-reaper', process.execPath, program, run.path], {
    detached: true,
    cwd: '/',
    // The reaper looks for ps on the PATH where there is no /proc, and for nothing else.
    env: { PATH: '/bin:/usr/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const pid = await new Promise<number>((resolve, reject) => {
    shell.once('spawn', () => resolve(shell.pid ?? 0));
    shell.once('error', (error) => reject(new Error('cannot start /bin/sh, which guards the run.', { cause: error })));
  });
  const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()));
  // It may have been killed; that is no reason for this process to fall.
  shell.stdin.on('error', () => undefined);
  shell.unref();
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  return {
    pid,
    dismiss: async () => {
      shell.ref();
      shell.stdin.end('done\n');
      await ended;
    },
  };
}
