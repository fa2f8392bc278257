/**
 * Which process a pid means.
 *
 * A pid is given out again once its process has gone, so a pid read from a file proves nothing. Together with a mark
 * taken when the process was seen running it does: on Linux the boot and the clock tick at which the process started,
 * elsewhere the second at which it started.
 *
 * Holds always: no signal goes to a recorded pid whose mark has not been compared first.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  readonly startMark: string;
}

/** Thousands of processes with long command lines. */
const PS_BYTES_MAX = 16 * 1024 * 1024;

const HAS_PROC = existsSync('/proc/self/stat');

/** In /proc/PID/stat, counted from the state, which follows the command's closing bracket. */
const START_TICK_FIELD = 19;

/** The mark of a running process; undefined when there is none with this pid or it has ended and waits to be collected. */
export function startMarkOf(pid: number): string | undefined {
  return HAS_PROC ? startMarkFromProc(pid) : startMarkFromPs(pid);
}

/** Whether the process that was seen then is the one that runs now. */
export function isRunning(identity: ProcessIdentity): boolean {
  return startMarkOf(identity.pid) === identity.startMark;
}

/** The command line of a process, its arguments parted by spaces; undefined when it cannot be seen. */
export function commandLineOf(pid: number): string | undefined {
  if (!HAS_PROC) return ps('args=', '-p', String(pid));
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return undefined;
  }
}

/** The running processes whose command line answers to this, of whatever user. */
export function processesWhose(fits: (commandLine: string) => boolean): ProcessIdentity[] {
  return commandLines().flatMap(([pid, commandLine]) => {
    if (!fits(commandLine)) return [];
    const startMark = startMarkOf(pid);
    return startMark === undefined ? [] : [{ pid, startMark }];
  });
}

function commandLines(): [pid: number, commandLine: string][] {
  if (HAS_PROC) {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.map((pid) => [Number(pid), commandLineOf(Number(pid)) ?? '']);
  }
  const lines = ps('pid=,args=', '-A')?.matchAll(/^ *(\d+) (.*)$/gm) ?? [];
  return [...lines].map(([, pid, commandLine]) => [Number(pid), commandLine ?? '']);
}

/** Names the set of pids that this process sees; pids of another set (another container) cannot be judged here. */
export function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return 'only';
  }
}

/** Whether a mark was taken since this machine started. */
export function isOfThisBoot(startMark: string): boolean {
  return !HAS_PROC || startMark.startsWith(`${bootId()}:`);
}

function startMarkFromProc(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command may hold spaces and brackets itself: only the last bracket closes it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTick] = [fields[0], fields[START_TICK_FIELD]];
  if (state === 'Z' || state === 'X' || startTick === undefined) return undefined;
  return `${bootId()}:${startTick}`;
}

function startMarkFromPs(pid: number): string | undefined {
  const line = ps('stat=,lstart=', '-p', String(pid));
  const [, state, startedAt] = line?.match(/^(\S+)\s+(.+)$/) ?? [];
  return state === undefined || state.startsWith('Z') ? undefined : startedAt;
}

/** Its lines whole: they may be wider than a terminal. */
function ps(columns: string, ...which: string[]): string | undefined {
  const { status, stdout } = spawnSync('ps', ['-ww', '-o', columns, ...which], {
    encoding: 'utf8',
    maxBuffer: PS_BYTES_MAX,
    env: { PATH: '/bin:/usr/bin', LC_ALL: 'C', TZ: 'UTC' },
  });
  const line = stdout?.trim();
  return status === 0 && line ? line : undefined;
}

let knownBootId: string | undefined;

function bootId(): string {
  knownBootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return knownBootId;
}
