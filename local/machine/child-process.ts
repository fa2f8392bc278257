/**
 * A process that a run starts: in a group of its own, on the run's list, its output in a log file.
 *
 * In a group of its own it does not hear the terminal's Ctrl-C: the run decides who stops, and in which order.
 *
 * Holds always: the process is on the run's list from the turn of the event loop in which it was started; when its
 * first process ends, the rest of its group is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { KILL_WAIT_MS } from './ending.ts';
import type { RunFolder } from './run-folder.ts';
import type { ServerUser } from './server-user.ts';
import { hasCode } from './system-error.ts';

/** A line longer than this is cut for `onLine`; the log file has it whole. */
export const LINE_CHARACTERS_MAX = 8_192;
/** A process that writes on and on must not fill the disk: what comes after this is not logged. */
export const LOG_BYTES_MAX = 64 * 1024 * 1024;
/** A grandchild that left the group may hold the output open: it is not waited for any longer. */
const OUTPUT_WAIT_MS = 1_000;

export interface StartProcessOptions {
  /** The run whose list it is put on. */
  readonly run: RunFolder;
  /** For messages and for the run's list. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Its whole environment: nothing is inherited. */
  readonly env: NodeJS.ProcessEnv;
  /** Whom to run it as; only root can. @default the user of this process */
  readonly user?: ServerUser | undefined;
  /** @default the root folder, so that no folder is held busy */
  readonly cwd?: string;
  /** Where its output is appended. */
  readonly logFile: string;
  /**
   * Called with every line of standard output and standard error, at most `LINE_CHARACTERS_MAX` characters of it.
   *
   * Without it the process writes to the log file itself, and goes on writing when this process has gone.
   */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** Called with every message of its IPC channel, which it has only if this is given. */
  readonly onMessage?: (message: unknown) => void;
  /** What ends it when this process has died. @default 'SIGKILL', to its whole group */
  readonly endWith?: 'SIGKILL' | 'SIGQUIT';
}

export interface ProcessExit {
  /** Exit status, null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** Settles when it has ended and its output has been read. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Sends a signal to the process alone; false when it has ended. */
  signal(signal: NodeJS.Signals): boolean;
  /** Whether it ends within this time; does nothing to make it. */
  endsWithin(waitMs: number): Promise<boolean>;
  /** Sends `signal` to its group, and SIGKILL when it has not ended `graceMs` later. */
  stop(signal: NodeJS.Signals, graceMs: number): Promise<ProcessExit>;
}

/**
 * Starts a process.
 *
 * @throws Error when its program cannot be started; the system's own error is the cause.
 */
export async function startProcess(options: StartProcessOptions): Promise<RunningProcess> {
  const log = openLog(options.logFile);
  const output = options.onLine === undefined ? log.descriptor : 'pipe';
  const child = spawn(options.command, options.args, {
    detached: true,
    cwd: options.cwd ?? '/',
    env: options.env,
    stdio: ['ignore', output, output, ...(options.onMessage ? (['ipc'] as const) : [])],
    ...options.user,
  });
  recordOrEnd(child, options);
  const exited = whenExited(child).then((exit) => {
    log.close();
    options.run.forget(child.pid ?? 0);
    return exit;
  });
  if (options.onLine) readLines(child, log, options.onLine);
  if (options.onMessage) child.on('message', options.onMessage);
  const pid = await whenStarted(child, options);
  return {
    name: options.name,
    pid,
    exited,
    signal: (signal) => child.kill(signal),
    endsWithin: (waitMs) => settlesWithin(exited, waitMs),
    stop: (signal, graceMs) => stop(child, exited, signal, graceMs),
  };
}

function recordOrEnd(child: ChildProcess, { run, name, endWith = 'SIGKILL' }: StartProcessOptions): void {
  if (child.pid === undefined) return;
  try {
    run.record({ name, pid: child.pid, endWith });
  } catch (error) {
    signalGroup(child.pid, 'SIGKILL');
    throw new Error(`cannot start ${name}: the run folder ${run.path} cannot be written. Is the disk full?`, {
      cause: error,
    });
  }
}

async function whenStarted(child: ChildProcess, options: StartProcessOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0));
    child.once('error', (error) => {
      reject(new Error(`cannot start ${options.name} (${options.command}): ${error.message}`, { cause: error }));
    });
  });
}

function whenExited(child: ChildProcess): Promise<ProcessExit> {
  return new Promise((resolve) => {
    // A signal or a message that could not be delivered is told here too, and an exit follows.
    child.on('error', () => {
      if (child.pid === undefined) resolve({ code: null, signal: null });
    });
    child.once('exit', (code, signal) => {
      signalGroup(child.pid, 'SIGKILL');
      const settle = () => resolve({ code, signal });
      const giveUp = setTimeout(settle, OUTPUT_WAIT_MS);
      child.once('close', () => {
        clearTimeout(giveUp);
        settle();
      });
    });
  });
}

async function stop(
  child: ChildProcess,
  exited: Promise<ProcessExit>,
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<ProcessExit> {
  for (const [next, waitMs] of [[signal, graceMs] as const, ['SIGKILL', KILL_WAIT_MS] as const]) {
    // Once its exit has been heard its pid may belong to someone else.
    if (child.exitCode === null && child.signalCode === null) {
      signalGroup(child.pid, next);
      // One that was stopped hears it only when it goes on.
      signalGroup(child.pid, 'SIGCONT');
    }
    if (await settlesWithin(exited, waitMs)) return exited;
  }
  throw new Error(`process ${child.pid} does not end, not even when killed.`);
}

async function settlesWithin(promise: Promise<unknown>, waitMs: number): Promise<boolean> {
  const timer = new AbortController();
  const timeout = sleep(waitMs, false, { signal: timer.signal }).catch(() => false);
  const settled = await Promise.race([promise.then(() => true), timeout]);
  timer.abort();
  return settled;
}

function signalGroup(leader: number | undefined, signal: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // EPERM: macOS says so of a group in which only ended processes are left.
    if (!hasCode(error, 'ESRCH', 'EPERM')) throw error;
  }
}

interface Log {
  readonly descriptor: number;
  write(text: string): void;
  close(): void;
}

function openLog(path: string): Log {
  const descriptor = openSync(path, 'a', 0o600);
  let bytesLeft = LOG_BYTES_MAX;
  let open = true;
  return {
    descriptor,
    write: (text) => {
      if (!open || bytesLeft <= 0) return;
      bytesLeft -= Buffer.byteLength(text);
      try {
        writeSync(descriptor, text);
      } catch {
        // A full disk must not end the run for want of a log.
        bytesLeft = 0;
      }
    },
    close: () => {
      if (open) closeSync(descriptor);
      open = false;
    },
  };
}

function readLines(child: ChildProcess, log: Log, onLine: NonNullable<StartProcessOptions['onLine']>): void {
  for (const name of ['stdout', 'stderr'] as const) {
    const lines = new LineSplitter((line) => onLine(line, name));
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      log.write(text);
      lines.push(text);
    });
    child[name]?.on('end', () => lines.end());
  }
}

/** Cuts text into lines, and lines that are too long to `LINE_CHARACTERS_MAX`. */
class LineSplitter {
  readonly #onLine: (line: string) => void;
  #line = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(text: string): void {
    const pieces = text.split('\n');
    for (const [index, piece] of pieces.entries()) {
      this.#line += piece.slice(0, LINE_CHARACTERS_MAX - this.#line.length);
      if (index < pieces.length - 1) this.#finish();
    }
  }

  end(): void {
    if (this.#line !== '') this.#finish();
  }

  #finish(): void {
    const line = this.#line;
    this.#line = '';
    this.#onLine(line);
  }
}
