/**
 * The folder of one local run, and the clearing away of folders that dead runs left.
 *
 *   <tmp>/sluice-<uid>/new-XXXXXX   being made
 *                      run-XXXXXX   owned: owner.json, data/, logs/
 *                      gone-XXXXXX  claimed by one that is removing it
 *
 * The owner file is the one list of what a run has started. The reaper and the next run's sweep both read it, so a run
 * that was killed together with its reaper is cleared away all the same.
 *
 * Holds always: a folder named `run-…` has an owner file, and that file is replaced whole, never written in place; a
 * process is on the list before anything waits for it; only processes whose start mark still fits are signalled; a
 * folder is renamed to `gone-…` after its processes have ended and before its first file is removed.
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { rename, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { endCluster, endProcess } from './ending.ts';
import { isOfThisBoot, isRunning, pidNamespace, startMarkOf } from './process-identity.ts';
import { canEnter, serverUser } from './server-user.ts';
import { hasCode } from './system-error.ts';

const OWNER_FILE = 'owner.json';
const OWNER_FORMAT = 1;

/** For two runs of which one begins while the other ends; a third collision in a row does not happen. */
const MAKE_TRIES = 3;
/** Making a folder takes milliseconds: one that is still being made after this belongs to a run that died. */
const MAKING_MAX_MS = 60_000;
/** A run of another container cannot be asked whether it lives; after a day it is taken for dead. */
const UNJUDGED_MAX_MS = 24 * 60 * 60 * 1_000;

const processSchema = z.object({ pid: z.int().min(2), startMark: z.string() });

const recordedProcessSchema = processSchema.extend({
  name: z.string(),
  endWith: z.enum(['SIGKILL', 'SIGQUIT']),
});

const ownerSchema = processSchema.extend({
  format: z.literal(OWNER_FORMAT),
  pidNamespace: z.string(),
  startedAt: z.iso.datetime(),
  keep: z.boolean(),
  ports: z.record(z.string(), z.int()),
  processes: z.array(recordedProcessSchema),
});

export const ownerIdentitySchema = ownerSchema.pick({
  pid: true,
  startMark: true,
  pidNamespace: true,
  startedAt: true,
});

export type OwnerIdentity = z.infer<typeof ownerIdentitySchema>;
export type RecordedProcess = z.infer<typeof recordedProcessSchema>;
type Owner = z.infer<typeof ownerSchema>;

export interface RunFolderOptions {
  /** Leave data and logs behind when the run ends. @default false */
  readonly keep?: boolean;
  /** Where to try first. @default the system's temporary folder, which TMPDIR names */
  readonly temporaryFolder?: string;
}

export interface LeftRun {
  readonly path: string;
  /** `kept`: only what still ran of it was ended, because it was started with `keep`. */
  readonly outcome: 'removed' | 'kept';
}

export class RunFolder {
  readonly path: string;
  readonly keep: boolean;
  #owner: Owner;
  #closed = false;

  constructor(path: string, owner: Owner) {
    this.path = path;
    this.keep = owner.keep;
    this.#owner = owner;
  }

  /** Such as `run-13c5ef392a26`: no other run has it. */
  get name(): string {
    return basename(this.path);
  }

  /** Where the run's data lives unless the person named a folder. */
  get dataPath(): string {
    return join(this.path, 'data');
  }

  logPath(name: string): string {
    return join(this.path, 'logs', `${name}.log`);
  }

  get ports(): Readonly<Record<string, number>> {
    return this.#owner.ports;
  }

  get processes(): readonly RecordedProcess[] {
    return this.#owner.processes;
  }

  /**
   * Puts a process that was just started on the list. One that has ended already is passed over.
   *
   * @throws Error when the list cannot be written: then nobody else knows of the process, and it has to be ended.
   */
  record(process: Omit<RecordedProcess, 'startMark'>): void {
    const startMark = startMarkOf(process.pid);
    if (startMark === undefined) return;
    this.#change({ processes: [...this.#owner.processes, { ...process, startMark }] });
  }

  /** Takes a process that has ended off the list. */
  forget(pid: number): void {
    try {
      this.#change({ processes: this.#owner.processes.filter((process) => process.pid !== pid) });
    } catch {
      // On a full disk it stays on the list, where it does no harm: its start mark fits no process any more.
    }
  }

  recordPort(name: string, port: number): void {
    this.#change({ ports: { ...this.#owner.ports, [name]: port } });
  }

  /** Ends what still runs and removes the folder; of a kept one data and logs stay. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await clearRun(this.path);
  }

  #change(change: Partial<Owner>): void {
    // A child's exit may be heard after the folder has gone.
    if (this.#closed) return;
    this.#owner = { ...this.#owner, ...change };
    writeOwner(this.path, this.#owner);
  }
}

/** What a file says of the process that wrote it. */
export function ownIdentity(): OwnerIdentity {
  const startMark = startMarkOf(process.pid);
  if (startMark === undefined) {
    throw new Error(
      `cannot tell when this process started: neither /proc nor ps shows process ${process.pid}. Install ps.`,
    );
  }
  return { pid: process.pid, startMark, pidNamespace: pidNamespace(), startedAt: new Date().toISOString() };
}

/** `unknown`: its pid belongs to another container that shares this file. */
export function judgeOwner(owner: OwnerIdentity): 'running' | 'dead' | 'unknown' {
  if (!isOfThisBoot(owner.startMark)) return 'dead';
  if (owner.pidNamespace !== pidNamespace()) return 'unknown';
  return isRunning(owner) ? 'running' : 'dead';
}

/**
 * Makes the folder of this run.
 *
 * @throws Error when this is Windows, when no temporary folder can be used, or when someone else owns the place.
 */
export function createRunFolder(options: RunFolderOptions = {}): RunFolder {
  const owner: Owner = {
    ...ownIdentity(),
    format: OWNER_FORMAT,
    keep: options.keep ?? false,
    ports: {},
    processes: [],
  };
  for (let tries = 1; ; tries++) {
    const parent = usableParent(options.temporaryFolder ?? tmpdir());
    try {
      return new RunFolder(makeOwnedFolder(parent, owner), owner);
    } catch (error) {
      // The last run to end takes the parent away, and may do so right now.
      if (!hasCode(error, 'ENOENT') || tries === MAKE_TRIES) throw error;
    }
  }
}

function makeOwnedFolder(parent: string, owner: Owner): string {
  const suffix = randomBytes(6).toString('hex');
  const making = join(parent, `new-${suffix}`);
  makeFolder(making, enterMode());
  makeFolder(join(making, 'logs'), 0o700);
  writeOwner(making, owner);
  const path = join(parent, `run-${suffix}`);
  renameSync(making, path);
  return path;
}

/** Clears away what dead runs of this user left, wherever a run may have put its folder. Live runs are left alone. */
export async function sweepLeftRuns(options: Pick<RunFolderOptions, 'temporaryFolder'> = {}): Promise<LeftRun[]> {
  const swept: LeftRun[] = [];
  for (const base of bases(options.temporaryFolder ?? tmpdir())) {
    const parent = parentIn(base);
    // What lies in a folder of someone else was not left by this user.
    if (parentState(parent) !== 'ours') continue;
    for (const name of namesIn(parent)) {
      const path = join(parent, name);
      if (name.startsWith('gone-') || (name.startsWith('new-') && isOlderThan(path, MAKING_MAX_MS))) {
        await remove(path);
      } else if (name.startsWith('run-') && isLeft(path)) {
        swept.push({ path, outcome: await clearRun(path) });
      }
    }
    await removeIfEmpty(parent);
  }
  return swept;
}

/** The folders of this user's runs that are going on now, where a run started now would put its own. */
export function liveRunFolders(options: Pick<RunFolderOptions, 'temporaryFolder'> = {}): string[] {
  const base = usableBase(options.temporaryFolder ?? tmpdir());
  if (base === undefined || parentState(parentIn(base)) !== 'ours') return [];
  return namesIn(parentIn(base))
    .filter((name) => name.startsWith('run-'))
    .map((name) => join(parentIn(base), name))
    .filter(isLiveRun);
}

/** Whether a folder is that of a run that is going on now. */
export function isLiveRun(path: string): boolean {
  const owner = readOwner(path);
  return owner !== undefined && judgeOwner(owner) === 'running';
}

/**
 * Ends every process on a run's list and what its PostgreSQL forked, then removes its folder unless it is to be kept.
 *
 * May run twice at the same time on the same folder: the reaper and a sweep do.
 */
export async function clearRun(path: string): Promise<LeftRun['outcome']> {
  const owner = readOwner(path);
  await Promise.all([endCluster(basename(path)), ...(owner?.processes ?? []).map(endProcess)]);
  if (owner?.keep) {
    // The copy of PostgreSQL's programs is no data.
    await remove(join(path, 'native'));
    return 'kept';
  }
  const gone = path.replace(/run-(?=[^/]*$)/, 'gone-');
  try {
    await rename(path, gone);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 'removed';
    throw error;
  }
  await remove(gone);
  await removeIfEmpty(dirname(path));
  return 'removed';
}

function isLeft(path: string): boolean {
  const owner = readOwner(path);
  if (owner === undefined) return isOlderThan(path, UNJUDGED_MAX_MS);
  const state = judgeOwner(owner);
  return state === 'dead' || (state === 'unknown' && Date.now() - Date.parse(owner.startedAt) > UNJUDGED_MAX_MS);
}

function readOwner(path: string): Owner | undefined {
  try {
    const parsed = ownerSchema.safeParse(JSON.parse(readFileSync(join(path, OWNER_FILE), 'utf8')));
    return parsed.data;
  } catch {
    return undefined;
  }
}

function writeOwner(path: string, owner: Owner): void {
  const file = join(path, OWNER_FILE);
  writeFileSync(`${file}.new`, JSON.stringify(owner, undefined, 2), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The places that a run folder may lie in, the wished one first. */
function bases(wished: string): string[] {
  return [...new Set([wished, '/tmp', '/var/tmp'])];
}

function parentIn(base: string): string {
  return join(base, `sluice-${process.getuid?.()}`);
}

function usableParent(wished: string): string {
  if (process.getuid === undefined) {
    throw new Error('Sluice runs locally on Linux and macOS only. On Windows, run it inside WSL.');
  }
  const base = usableBase(wished);
  if (base !== undefined) {
    const parent = parentIn(base);
    if (parentState(parent) === 'absent') makeFolder(parent, enterMode());
    if (parentState(parent) !== 'ours') {
      throw new Error(
        `${parent} is not a folder that only you can write to, so a run is not safe in it. Remove it, or set TMPDIR to a folder of your own.`,
      );
    }
    return parent;
  }
  throw new Error(
    `no temporary folder can be used: tried ${bases(wished).join(', ')}. Set TMPDIR to a folder that you can write to and that others may enter.`,
  );
}

function usableBase(wished: string): string | undefined {
  return bases(wished).find((base) => isWritable(base) && canEnter(base, serverUser()));
}

function parentState(parent: string): 'absent' | 'ours' | 'foreign' {
  let stat: ReturnType<typeof lstatSync>;
  try {
    stat = lstatSync(parent);
  } catch (error) {
    return hasCode(error, 'ENOENT') ? 'absent' : 'foreign';
  }
  const othersMayWrite = (stat.mode & 0o022) !== 0;
  return stat.isDirectory() && stat.uid === process.getuid?.() && !othersMayWrite ? 'ours' : 'foreign';
}

/** The server's user must reach its data through the folders above it, and needs to list none of them. */
function enterMode(): number {
  return serverUser() === undefined ? 0o700 : 0o711;
}

/** The last run to end takes the parent away, and may do so right now. */
function namesIn(parent: string): string[] {
  try {
    return readdirSync(parent);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Makes a folder of exactly this mode, whatever the umask; one that someone else made first is left as it is. */
function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return;
    throw error;
  }
  chmodSync(path, mode);
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isOlderThan(path: string, ageMs: number): boolean {
  try {
    return Date.now() - lstatSync(path).mtimeMs > ageMs;
  } catch {
    return false;
  }
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}

/** Another run may be removing the same folder. */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
}
