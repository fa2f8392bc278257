/** How a command in another terminal finds the run that is going on: a file in the run's folder says where it is. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { isLiveRun, liveRunFolders } from './machine/run-folder.ts';

const FILE_NAME = 'live.json';

const liveRunSchema = z.object({ stage: z.string(), region: z.string(), sqsEndpoint: z.url() });

export type LiveRun = z.infer<typeof liveRunSchema> & { readonly path: string };

export function announceLiveRun(runFolder: string, run: Omit<LiveRun, 'path'>): void {
  writeFileSync(join(runFolder, FILE_NAME), JSON.stringify(run), { mode: 0o600 });
}

/**
 * Finds the one run that is meant.
 *
 * @param wished its name, such as `run-13c5ef392a26`, or its folder. @default the only one
 * @throws Error in one sentence when there is none, or when it is not clear which.
 */
export function findLiveRun(wished?: string): LiveRun {
  const runs = liveRunFolders().flatMap(readLiveRun);
  const listed = runs.map(({ path, sqsEndpoint }) => `--run ${basename(path)} (SQS at ${sqsEndpoint})`).join(' or ');
  const [run, another] = wished === undefined ? runs : runsCalled(wished, runs);
  if (run === undefined) {
    const which = wished === undefined ? '' : ` ${wished}`;
    const instead = listed === '' ? 'start one with npm start, in another terminal' : `there is ${listed}`;
    throw new Error(`no run${which} is going on here; ${instead}`);
  }
  if (another !== undefined) throw new Error(`${runs.length} runs are going on here, so say which: ${listed}`);
  return run;
}

/** A folder may also lie where this terminal, with another TMPDIR, would not look. */
function runsCalled(wished: string, runs: readonly LiveRun[]): LiveRun[] {
  const folder = resolve(wished);
  const elsewhere = isLiveRun(folder) ? readLiveRun(folder) : [];
  return elsewhere.length > 0 ? elsewhere : runs.filter(({ path }) => basename(path) === wished);
}

/** Nothing of a run that has not announced itself yet, or that is going at this moment. */
function readLiveRun(path: string): LiveRun[] {
  try {
    return [{ ...liveRunSchema.parse(JSON.parse(readFileSync(join(path, FILE_NAME), 'utf8'))), path }];
  } catch {
    return [];
  }
}
