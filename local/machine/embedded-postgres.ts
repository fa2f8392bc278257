/**
 * A real PostgreSQL for one run, on this machine and reachable from this machine alone.
 *
 *   data folder ──▶ initdb, where it is new ──▶ postgres ──▶ user and database, where they are new ──▶ ready
 *
 * Holds always: it listens on the loopback address and on no Unix socket; what it has committed is on disk (fsync and
 * synchronous_commit are on, as in the cloud); its user `sluice` is no superuser and may make roles, as in the cloud.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { type ProcessExit, type RunningProcess, startProcess } from './child-process.ts';
import { type DataFolder, openDataFolder } from './data-folder.ts';
import { endCluster, KILL_WAIT_MS, QUIT_WAIT_MS, wakeCluster } from './ending.ts';
import { findFreePort, LOOPBACK, portInUse, requireFreePort } from './ports.ts';
import { findPostgres, type PostgresPrograms } from './postgres-programs.ts';
import { commandLineOf, startMarkOf } from './process-identity.ts';
import type { RunFolder } from './run-folder.ts';
import { serverUser } from './server-user.ts';
import { hasCode } from './system-error.ts';

const SUPERUSER = 'postgres';
const NAME = 'sluice';
/** For the list of the run, its log file and messages. */
const PROCESS_NAME = 'postgres';
/** As messages name it. */
export const POSTGRES_PRODUCT = 'PostgreSQL';
/** What PostgreSQL answers while it starts or recovers. */
const CANNOT_CONNECT_NOW = '57P03';
/** Nothing of the person's own environment, in which PG variables may point elsewhere. */
const SERVER_ENVIRONMENT = { PATH: '/bin:/usr/bin', LC_ALL: 'C', TZ: 'UTC' };

/** The most workers that a run takes, 64 of each of two fleets with four connections each, the monitor and a person. */
const CONNECTIONS_MAX = 600;
/** Of a machine that has to hold the whole system. */
const SHARED_BUFFERS_MB = 128;
/** A start takes a fraction of a second; after a crash with a full journal it may take this long on a slow disk. */
const READY_WAIT_MS = 60_000;
const READY_POLL_MS = 15;
const EXIT_HEARD_MS_MAX = 500;
/** A connection breaks a moment before the end of the server is known. */
const ENDING_WAIT_MS = 500;
/** Connecting to the loopback address takes milliseconds, or hangs. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Someone else may take a free port between finding it and listening on it; four times in a row nobody does. */
const FREE_PORT_TRIES = 4;
/** A fast shutdown writes a checkpoint. */
const STOP_WAIT_MS = 10_000;
const INITDB_WAIT_MS = 60_000;
/** As much of the log as an error shows. */
const LOG_LINES_SHOWN = 8;
const LOG_BYTES_READ = 8_192;

export interface EmbeddedPostgresOptions {
  readonly run: RunFolder;
  /** Folder to keep the data in. @default the run folder's own, which goes with the run */
  readonly dataFolder?: string | undefined;
  /** @default a free one */
  readonly port?: number | undefined;
}

export interface EmbeddedPostgres {
  /** Connects to the database `sluice` as the user `sluice`, who owns it. */
  readonly url: string;
  readonly port: number;
  /** Of its first process, which ends the others when it ends. */
  readonly pid: number;
  readonly dataFolder: string;
  readonly logFile: string;
  /** Settles when the server has ended, asked to or not. */
  readonly exited: Promise<ProcessExit>;
  /** Disconnects everyone, writes everything down and ends; lets other runs have the data folder. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL and waits until it takes connections.
 *
 * @throws Error in one sentence, when its data folder, its port or its programs cannot be used; with the last lines of
 *   its log when it does not come up.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { run } = options;
  if (options.port !== undefined) await requireFreePort(options.port, POSTGRES_PRODUCT);
  const programs = await findPostgres(run, serverUser());
  const data = openDataFolder(options.dataFolder ?? run.dataPath, programs.major);
  try {
    await endLeftServer(data);
    if (!data.isComplete) await initdb(programs, data, options);
    const server = await startServer(programs, data, options);
    await prepare(server, data, run);
    run.recordPort(PROCESS_NAME, server.port);
    // Killed or stopped: the folder is free at once, also for the same run that starts a server on it again.
    const exited = server.process.exited.then((exit) => {
      data.release();
      return exit;
    });
    return {
      // Says itself that there is no TLS: otherwise a PGSSLMODE in the environment of who connects would ask for it.
      url: `postgres://${NAME}:${data.password}@${LOOPBACK}:${server.port}/${NAME}?sslmode=disable`,
      port: server.port,
      pid: server.process.pid,
      dataFolder: data.path,
      logFile: run.logPath(PROCESS_NAME),
      exited,
      stop: async () => {
        await stopServer(server.process, run);
        await exited;
      },
    };
  } catch (error) {
    data.release();
    throw error;
  }
}

/** A server, or what it forked, may have outlived its run and that run's folder: then only the data knows of it. */
async function endLeftServer(data: DataFolder): Promise<void> {
  const clusterName = lastClusterName(data);
  if (clusterName !== undefined) await endCluster(clusterName);
  const lockFile = join(data.postgresPath, 'postmaster.pid');
  if (!existsSync(lockFile)) return;
  const pid = Number.parseInt(readFileSync(lockFile, 'utf8'), 10);
  // Of a server that has ended PostgreSQL clears the lock itself.
  if (startMarkOf(pid) === undefined || commandLineOf(pid)?.includes(data.postgresPath)) return;
  // Its pid was given out again, and PostgreSQL would take the new process for a server.
  rmSync(lockFile, { force: true });
}

/** PostgreSQL notes the arguments of its last start beside its data. */
function lastClusterName(data: DataFolder): string | undefined {
  const optionsFile = join(data.postgresPath, 'postmaster.opts');
  if (!existsSync(optionsFile)) return undefined;
  return /"cluster_name=([^"]+)"/.exec(readFileSync(optionsFile, 'utf8'))?.[1];
}

async function initdb(programs: PostgresPrograms, data: DataFolder, options: EmbeddedPostgresOptions): Promise<void> {
  const { run } = options;
  const passwordFile = join(run.path, 'initdb-password');
  writeFileSync(passwordFile, `${data.superuserPassword}\n`, { mode: 0o600 });
  try {
    if (data.user !== undefined) chownSync(passwordFile, data.user.uid, data.user.gid);
    const child = await startProcess({
      run,
      name: 'initdb',
      command: programs.initdb,
      args: initdbArguments(data, passwordFile, options),
      env: SERVER_ENVIRONMENT,
      user: data.user,
      logFile: run.logPath(PROCESS_NAME),
    });
    const ended = await child.endsWithin(INITDB_WAIT_MS);
    if (!ended) await child.stop('SIGINT', QUIT_WAIT_MS);
    const { code, signal } = await child.exited;
    if (code === 0) return;
    if (ended && signal !== null) {
      throw new Error(`PostgreSQL ended while its data was being made (initdb: ${signal}). Start again.`);
    }
    throw isNameless(run)
      ? new Error(
          `user ${data.user?.uid ?? process.getuid?.()} has no name on this system, and PostgreSQL wants one. Add it to /etc/passwd, or set DATABASE_URL to use a PostgreSQL of your own.`,
        )
      : serverError(`the data of PostgreSQL could not be made (initdb: ${signal ?? code})`, run);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

function initdbArguments(data: DataFolder, passwordFile: string, options: EmbeddedPostgresOptions): string[] {
  const outlivesRun = options.dataFolder !== undefined || options.run.keep;
  return [
    `--pgdata=${data.postgresPath}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The server's own locale: the same order on every machine, whichever locales it has installed.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    // Data that goes with the run need not survive a loss of power, and is made faster so.
    ...(outlivesRun ? [] : ['--no-sync']),
  ];
}

/** A container may be run as a number that its list of users does not have. */
function isNameless(run: RunFolder): boolean {
  return readTail(run.logPath(PROCESS_NAME), 0).includes('could not look up effective user ID');
}

interface ReadyServer {
  readonly port: number;
  readonly process: RunningProcess;
  /** Connected as superuser. */
  readonly client: pg.Client;
}

async function startServer(
  programs: PostgresPrograms,
  data: DataFolder,
  { run, port: givenPort }: EmbeddedPostgresOptions,
): Promise<ReadyServer> {
  for (let tries = 1; ; tries++) {
    const port = givenPort ?? (await findFreePort());
    const logStart = sizeOf(run.logPath(PROCESS_NAME));
    const process = await spawnServer(programs, data, run, port);
    try {
      const client = await connectWhenReady(process, data, port);
      return { port, process, client };
    } catch (error) {
      // Whoever it was talking to hears of its end a moment before this process does.
      const killed = (await process.endsWithin(EXIT_HEARD_MS_MAX)) && (await process.exited).signal !== null;
      const ended = killed ? await endedBefore(process, 'it took a connection') : undefined;
      if (ended !== undefined) throw new Error(ended, { cause: error });
      await stopServer(process, run);
      const log = readTail(run.logPath(PROCESS_NAME), logStart);
      if (log.includes('Address already in use')) {
        if (givenPort !== undefined) throw portInUse(givenPort, POSTGRES_PRODUCT);
        if (tries < FREE_PORT_TRIES) continue;
      }
      if (log.includes('lock file "postmaster.pid" already exists')) {
        throw new Error(`${data.path} is in use by another PostgreSQL. Stop it, or name another folder.`, {
          cause: error,
        });
      }
      throw serverError('PostgreSQL does not come up', run, error);
    }
  }
}

function spawnServer(
  programs: PostgresPrograms,
  data: DataFolder,
  run: RunFolder,
  port: number,
): Promise<RunningProcess> {
  const settings = {
    port,
    listen_addresses: LOOPBACK,
    unix_socket_directories: '',
    // By which its processes are found when they have to be ended.
    cluster_name: run.name,
    max_connections: CONNECTIONS_MAX,
    shared_buffers: `${SHARED_BUFFERS_MB}MB`,
    fsync: 'on',
    synchronous_commit: 'on',
    TimeZone: 'UTC',
    log_timezone: 'UTC',
    // In the data folder, so that nothing is left in /dev/shm when it is killed.
    dynamic_shared_memory_type: 'mmap',
    // Compiling takes longer than any query here runs.
    jit: 'off',
  };
  return startProcess({
    run,
    name: PROCESS_NAME,
    command: programs.postgres,
    args: ['-D', data.postgresPath, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    env: SERVER_ENVIRONMENT,
    user: data.user,
    logFile: run.logPath(PROCESS_NAME),
    endWith: 'SIGQUIT',
  });
}

async function connectWhenReady(process: RunningProcess, data: DataFolder, port: number): Promise<pg.Client> {
  const giveUpAtMs = performance.now() + READY_WAIT_MS;
  for (;;) {
    const client = clientOf(SUPERUSER, data.superuserPassword, port, SUPERUSER);
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => undefined);
      const isStarting = hasCode(error, 'ECONNREFUSED', CANNOT_CONNECT_NOW);
      if (!isStarting || performance.now() > giveUpAtMs) throw error;
    }
    if (await process.endsWithin(READY_POLL_MS)) throw new Error('it ended before it took a connection');
  }
}

async function prepare({ client, process }: ReadyServer, data: DataFolder, run: RunFolder): Promise<void> {
  try {
    if (!data.isComplete) await createDatabase(data, client);
    // Each time: data of before the workers had a role of their own knows an owner who could not make it.
    await client.query(`ALTER ROLE ${NAME} CREATEROLE`);
    await client.end();
  } catch (error) {
    const ended = await endedBefore(process, 'it was ready');
    if (ended !== undefined) throw new Error(ended, { cause: error });
    await stopServer(process, run);
    throw error;
  }
}

/** A sentence when it has ended by itself, or is about to; its log ends with whatever went well before. */
async function endedBefore(process: RunningProcess, what: string): Promise<string | undefined> {
  if (!(await process.endsWithin(ENDING_WAIT_MS))) return undefined;
  const { code, signal } = await process.exited;
  return `PostgreSQL ended before ${what} (${signal ?? `exit status ${code}`}). Start again.`;
}

async function createDatabase(data: DataFolder, client: pg.Client): Promise<void> {
  // The password is made of letters, digits, - and _: nothing in it needs to be quoted.
  await client.query(`CREATE ROLE ${NAME} LOGIN PASSWORD '${data.password}'`);
  await client.query(`CREATE DATABASE ${NAME} OWNER ${NAME}`);
  data.markComplete();
}

/** Also one that was frozen, which has to go on to end. */
async function stopServer(process: RunningProcess, run: RunFolder): Promise<void> {
  process.signal('SIGINT');
  wakeCluster(run.name);
  if (await process.endsWithin(STOP_WAIT_MS)) return;
  await endCluster(run.name);
  await process.stop('SIGKILL', KILL_WAIT_MS);
}

function clientOf(user: string, password: string, port: number, database: string): pg.Client {
  const client = new pg.Client({
    host: LOOPBACK,
    port,
    user,
    password,
    database,
    ssl: false,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A connection that breaks while it is idle says so here; whoever uses it next hears it again.
  client.on('error', () => undefined);
  return client;
}

function serverError(what: string, run: RunFolder, cause?: unknown): Error {
  const logFile = run.logPath(PROCESS_NAME);
  const lines = readTail(logFile, 0).trimEnd().split('\n').slice(-LOG_LINES_SHOWN);
  return new Error(`${what}. The end of its log:\n  ${lines.join('\n  ')}`, { cause });
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** The end of a file that grows, from `start` on, at most `LOG_BYTES_READ` of it. */
function readTail(file: string, start: number): string {
  const size = sizeOf(file);
  const from = Math.max(start, size - LOG_BYTES_READ);
  if (from >= size) return '';
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(size - from);
    return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, bytes.length, from));
  } finally {
    closeSync(descriptor);
  }
}
