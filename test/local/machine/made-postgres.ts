/**
 * A PostgreSQL for tests that are about something else, on a copy of data that was made once: making it takes a second
 * and more of processor time, which two dozen test files would spend again and again.
 *
 *   nothing ──▶ a run makes the data, and stops ──▶ node_modules/.cache/sluice-tests/postgres-<digest> ──▶ copies
 *
 * The digest is of what makes the data. The tests of the embedded PostgreSQL and of the whole make their own.
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../local/machine/embedded-postgres.ts';
import { createRunFolder, type RunFolder } from '../../../local/machine/run-folder.ts';

const run = promisify(execFile);
const inRepository = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const MAKERS = ['local/machine/embedded-postgres.ts', 'local/machine/data-folder.ts', 'package-lock.json'];
const CACHE_FOLDER = inRepository('node_modules/.cache/sluice-tests');

/** Starts one in the folder of a run, as `startEmbeddedPostgres` does. */
export async function startMadePostgres(options: { readonly run: RunFolder }): Promise<EmbeddedPostgres> {
  await copyData(await madeData(), options.run.dataPath);
  return startEmbeddedPostgres(options);
}

async function madeData(): Promise<string> {
  const digest = createHash('sha256');
  for (const maker of MAKERS) digest.update(readFileSync(inRepository(maker)));
  const made = join(CACHE_FOLDER, `postgres-${digest.digest('hex').slice(0, 16)}`);
  if (!existsSync(made)) await makeData(made);
  return made;
}

async function makeData(to: string): Promise<void> {
  const maker = createRunFolder();
  try {
    const postgres = await startEmbeddedPostgres({ run: maker });
    await postgres.stop();
    await mkdir(dirname(to), { recursive: true });
    // What was made by makers of before is of no use to anyone.
    const outdated = (await readdir(dirname(to))).filter((name) => !name.startsWith(basename(to)));
    for (const name of outdated) await rm(join(dirname(to), name), { recursive: true, force: true });
    const making = `${to}-${randomUUID()}`;
    await copyData(maker.dataPath, making);
    // Another test file may have made it meanwhile; then that one stays.
    await rename(making, to).catch(() => rm(making, { recursive: true }));
  } finally {
    await maker.close();
  }
}

/** With owners, which `fs.cp` leaves out: under root the data is of the server's user. */
async function copyData(from: string, to: string): Promise<void> {
  await run('cp', ['-Rp', from, to]);
}
