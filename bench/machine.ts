/** The machine that figures are of, and its cores: without it a figure says nothing. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly model: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly system: string;
  readonly node: string;
  /** Of the minute before the bench: what else ran. */
  readonly loadBefore: number;
}

export function thisMachine(): Machine {
  return {
    model: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    system: distribution() ?? `${type()} ${release()}`,
    node: process.versions.node,
    loadBefore: loadavg()[0]!,
  };
}

export interface Cores {
  /** For who is measured, and for the fake SQS; undefined where a process cannot be held on a core. */
  readonly pinned: { readonly measured: string; readonly others: string } | undefined;
  /** For a person. */
  readonly sentence: string;
}

export function chooseCores(): Cores {
  const [measured, others] = allowedCores();
  if (spawnSync('taskset', ['--version']).status !== 0) return unpinned('taskset is not on this machine');
  if (measured === undefined || others === undefined) return unpinned('there are no two cores');
  const sentence = `measured on core ${measured} alone, the fake SQS on core ${others}`;
  return { pinned: { measured, others }, sentence };
}

function unpinned(reason: string): Cores {
  return { pinned: undefined, sentence: `on any core, because ${reason}` };
}

/** Those that this process may run on, such as `0-1,4`. */
function allowedCores(): string[] {
  const status = readIfThere('/proc/self/status') ?? '';
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(status)?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    if (first === undefined || last === undefined || range === '') return [];
    return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
  });
}

function distribution(): string | undefined {
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(readIfThere('/etc/os-release') ?? '')?.[1];
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** What Linux counts in, for every program that reads /proc. */
const TICKS_PER_SECOND = 100;
/** In /proc/PID/stat, counted from the state, which follows the command's closing bracket. */
const PARENT_FIELD = 1;
const TIME_FIELDS = [11, 12] as const;
const ENDED_CHILDREN_TIME_FIELDS = [13, 14] as const;

/** Of a process with all its children, ended ones too; undefined where there is no /proc. */
export function cpuSecondsOfFamily(pid: number): number | undefined {
  const own = statOf(pid);
  if (own === undefined) return undefined;
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  const children = pids.map(statOf).filter((fields) => fields?.[PARENT_FIELD] === String(pid));
  const ticks = [own, ...children].flatMap((fields) => TIME_FIELDS.map((field) => Number(fields?.[field] ?? 0)));
  const ended = ENDED_CHILDREN_TIME_FIELDS.map((field) => Number(own[field]));
  return [...ticks, ...ended].reduce((sum, value) => sum + value, 0) / TICKS_PER_SECOND;
}

function statOf(pid: number): string[] | undefined {
  const text = readIfThere(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}
