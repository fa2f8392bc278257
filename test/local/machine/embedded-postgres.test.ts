import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { z } from 'zod';
import { type DataFolder, openDataFolder } from '../../../local/machine/data-folder.ts';
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../../local/machine/embedded-postgres.ts';
import { findPostgres } from '../../../local/machine/postgres-programs.ts';
import { isRunning } from '../../../local/machine/process-identity.ts';
import type { RunFolder } from '../../../local/machine/run-folder.ts';
import { afterwards, eventually, freezePostgres, isListening, makeRun, temporaryFolder } from './machine.ts';
import { startMadePostgres } from './made-postgres.ts';

const isRoot = process.getuid!() === 0;
const nobody = { uid: 65_534, gid: 65_534 };

async function start(options: EmbeddedPostgresOptions) {
  const postgres = await startEmbeddedPostgres(options);
  afterwards(() => postgres.stop());
  return postgres;
}

/** Where it does not matter how the data came to be. */
async function startOnMadeData(run: RunFolder) {
  const postgres = await startMadePostgres({ run });
  afterwards(() => postgres.stop());
  return postgres;
}

async function query(url: string, sql: string): Promise<unknown[][]> {
  const client = new pg.Client(url);
  await client.connect();
  const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
  await client.end();
  return rows;
}

/** A data folder that says that it was made to the end, by this major version of PostgreSQL. */
async function pretendDataFolder(postgresMajor: number): Promise<DataFolder> {
  const data = openDataFolder(join(await temporaryFolder(), 'data'), postgresMajor);
  await writeFile(join(data.postgresPath, 'PG_VERSION'), `${postgresMajor}\n`);
  await mkdir(join(data.postgresPath, 'global'));
  await writeFile(join(data.postgresPath, 'global', 'pg_control'), '');
  data.markComplete();
  data.release();
  return data;
}

const ownerOf = (text: string) =>
  z.object({ processes: z.array(z.object({ name: z.string(), pid: z.int() })) }).parse(JSON.parse(text));

describe('the embedded PostgreSQL', () => {
  test('takes a query from a user who is no superuser, with nothing lost that was committed, then leaves nothing', async () => {
    const run = await makeRun();
    const postgres = await start({ run });
    expect(
      await query(
        postgres.url,
        `SELECT current_user, current_database(), rolsuper, current_setting('fsync'), current_setting('synchronous_commit'),
                current_setting('TimeZone'), current_setting('server_encoding'), current_setting('listen_addresses')
         FROM pg_roles WHERE rolname = current_user`,
      ),
    ).toEqual([['sluice', 'sluice', false, 'on', 'on', 'UTC', 'UTF8', '127.0.0.1']]);
    await query(postgres.url, 'CREATE TABLE work (id int)');
    await postgres.stop();
    expect(await isListening(postgres.port)).toBe(false);
    await run.close();
    expect(existsSync(run.path)).toBe(false);
  });

  test('is reached by its URL even where the environment asks for TLS, as the deployed workers do', async () => {
    const postgres = await startOnMadeData(await makeRun());
    process.env.PGSSLMODE = 'verify-full';
    afterwards(() => delete process.env.PGSSLMODE);
    expect(await query(postgres.url, 'SELECT 1')).toEqual([[1]]);
  });

  test('says in one sentence that its port is in use', async () => {
    const postgres = await startOnMadeData(await makeRun());
    await expect(startEmbeddedPostgres({ run: await makeRun(), port: postgres.port })).rejects.toThrow(
      `port ${postgres.port} is in use, so PostgreSQL cannot listen on it.`,
    );
  });
});

describe('a data folder that a person named', () => {
  test('is used again, one run at a time, even after a crash and with a lock whose pid someone else has', async () => {
    const dataFolder = join(await temporaryFolder(), 'below', 'data');
    const run = await makeRun();
    const crashed = await start({ run, dataFolder });
    await query(crashed.url, 'CREATE TABLE work AS SELECT 42 AS id');
    await expect(startEmbeddedPostgres({ run: await makeRun(), dataFolder })).rejects.toThrow(
      `${dataFolder} is in use by the run of process ${process.pid}`,
    );

    process.kill(run.processes[0]!.pid, 'SIGKILL');
    await crashed.exited;
    await crashed.stop();
    const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
    afterwards(() => sleeper.kill());
    const lockFile = join(dataFolder, 'postgres', 'postmaster.pid');
    const lock = await readFile(lockFile, 'utf8');
    await writeFile(lockFile, lock.replace(/^\d+/, String(sleeper.pid)));

    const again = await start({ run: await makeRun(), dataFolder });
    expect(await query(again.url, 'SELECT id FROM work')).toEqual([[42]]);
  });

  test('is made anew when it was not made to the end', async () => {
    const dataFolder = join(await temporaryFolder(), 'data');
    const data = openDataFolder(dataFolder, 18);
    await writeFile(join(data.postgresPath, 'half-made'), '');
    data.release();
    const postgres = await start({ run: await makeRun(), dataFolder });
    expect(await query(postgres.url, 'SELECT 1')).toEqual([[1]]);
    expect(existsSync(join(data.postgresPath, 'half-made'))).toBe(false);
  });

  test('is nothing that git would take along: there are passwords in it', async () => {
    const data = await pretendDataFolder(18);
    const repository = dirname(data.path);
    spawnSync('git', ['init', '--quiet', repository]);
    const { status, stdout } = spawnSync('git', ['-C', repository, 'status', '--short'], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  test('of an older PostgreSQL is refused and left as it is', async () => {
    const data = await pretendDataFolder(17);
    await expect(startEmbeddedPostgres({ run: await makeRun(), dataFolder: data.path })).rejects.toThrow(
      `${data.path} was written by PostgreSQL 17; this Sluice runs 18, which cannot read it.`,
    );
    expect(() => openDataFolder(data.path, 17).release()).not.toThrow();
  });

  test('that lost a part without which PostgreSQL finds none is refused, with what to do', async () => {
    const data = await pretendDataFolder(18);
    await rm(join(data.path, 'postgres', 'global'), { recursive: true });
    await expect(startEmbeddedPostgres({ run: await makeRun(), dataFolder: data.path })).rejects.toThrow(
      `${data.path} is damaged: postgres/global/pg_control is missing. Put the folder back from a copy, or name another folder.`,
    );
  });

  test.each([
    [0, 'an older'],
    [2, 'a newer'],
  ])('of data format %i is refused as that of %s Sluice', async (format, age) => {
    const data = await pretendDataFolder(18);
    await writeFile(join(data.path, 'sluice-data.json'), JSON.stringify({ format }));
    expect(() => openDataFolder(data.path, 18)).toThrow(`${data.path} was written by ${age} Sluice`);
  });

  test('that holds something else is refused and left as it is', async () => {
    const folder = await temporaryFolder();
    for (const name of ['letters', 'music', 'photos', 'taxes']) await mkdir(join(folder, name));
    expect(() => openDataFolder(folder, 18)).toThrow(`${folder} holds something else (letters, music, photos, …)`);
    await writeFile(join(folder, 'file'), '');
    expect(() => openDataFolder(join(folder, 'file'), 18)).toThrow(`${join(folder, 'file')} is a file`);
  });
});

describe('PostgreSQL started by root', () => {
  const testAsRoot = isRoot ? test : test.skip;
  const only = isRoot ? '' : ' (skipped: this is not root)';

  testAsRoot(`runs from a copy when its user may not enter the folder of the programs${only}`, async () => {
    const closed = await mkdtemp(join(tmpdir(), 'sluice-test-closed-'));
    afterwards(() => rm(closed, { recursive: true }));
    const embedded = createRequire(import.meta.url).resolve('embedded-postgres');
    const platform = createRequire(embedded).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    const native = join(closed, 'native');
    await cp(join(dirname(platform), '..', 'native'), native, { recursive: true, verbatimSymlinks: true });
    await chmod(join(native, 'bin', 'postgres'), 0o700);

    const run = await makeRun();
    const programs = await findPostgres(run, nobody, native);
    expect(programs.postgres).toBe(join(run.path, 'native', 'bin', 'postgres'));
    expect(programs.major).toBe(18);
    const data = openDataFolder(run.dataPath, programs.major);
    const initdb = spawnSync(programs.initdb, ['--no-sync', '-D', data.postgresPath], { cwd: '/', ...nobody });
    expect(String(initdb.stderr)).not.toContain('error');
    expect(initdb.status).toBe(0);
  });

  testAsRoot(`refuses a data folder that its user may not enter${only}`, async () => {
    const closed = await mkdtemp(join(tmpdir(), 'sluice-test-closed-'));
    afterwards(() => rm(closed, { recursive: true }));
    expect(() => openDataFolder(join(closed, 'data'), 18)).toThrow('cannot be entered by user 65534');
  });
});

describe('a PostgreSQL that was killed', () => {
  test.each([
    ['initdb', /^PostgreSQL ended while its data was being made \(initdb: SIGKILL\)\. Start again\.$/],
    ['postgres', /^PostgreSQL ended before it (took a connection|was ready) \(SIGKILL\)\. Start again\.$/],
  ])('while it was made, by %s, says so and not that its log ends well', async (program, sentence) => {
    const run = await makeRun();
    const starting = startEmbeddedPostgres({ run }).then(
      () => 'it came up',
      (error: Error) => error.message,
    );
    const recorded = async () => ownerOf(await readFile(join(run.path, 'owner.json'), 'utf8')).processes;
    const pidOf = async () => (await recorded()).find(({ name }) => name === program)?.pid;
    await eventually(`${program} runs`, pidOf);
    process.kill((await pidOf())!, 'SIGKILL');
    expect(await starting).toMatch(sentence);
  });

  test('is started again by the same run on its data and its port, with what was committed', async () => {
    const run = await makeRun();
    const killed = await startOnMadeData(run);
    await query(killed.url, 'CREATE TABLE work (id int); INSERT INTO work VALUES (1)');
    process.kill(run.processes.find(({ name }) => name === 'postgres')!.pid, 'SIGKILL');
    await killed.exited;
    const again = await start({ run, port: killed.port });
    expect(await query(killed.url, 'SELECT id FROM work')).toEqual([[1]]);
    await again.stop();
  });
});

describe('a PostgreSQL that was frozen', () => {
  const postmaster = (run: RunFolder) => run.processes.find(({ name }) => name === 'postgres')!.pid;

  test('ends when it is told to, in good order and with all that it forked', async () => {
    const run = await makeRun();
    const frozen = await startOnMadeData(run);
    const processes = await freezePostgres(frozen.url, postmaster(run));
    expect(processes.length).toBeGreaterThan(5);
    await frozen.stop();
    expect(await frozen.exited).toEqual({ code: 0, signal: null });
    expect(processes.filter(isRunning)).toEqual([]);
  });

  test('and then killed, is started again by the same run on its data', async () => {
    const run = await makeRun();
    const frozen = await startOnMadeData(run);
    await query(frozen.url, 'CREATE TABLE work AS SELECT 1 AS id');
    const processes = await freezePostgres(frozen.url, postmaster(run));
    process.kill(postmaster(run), 'SIGKILL');
    await frozen.exited;
    const again = await start({ run, port: frozen.port });
    expect(await query(again.url, 'SELECT id FROM work')).toEqual([[1]]);
    await eventually('what the frozen one had forked gone', () => !processes.some(isRunning));
  });
});
