/** How a command in another terminal finds the run that is going on: a file in the run's folder says where it is. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { liveRunFolders } from './machine/run-folder.ts';

const FILE_NAME = 'live.json';

const liveRunSchema = z.object({ stage: z.string(), region: z.string(), sqsEndpoint: z.url() });

export type LiveRun = z.infer<typeof liveRunSchema> & { readonly path: string };

export function announceLiveRun(runFolder: string, run: Omit<LiveRun, 'path'>): void {
  writeFileSync(join(runFolder, FILE_NAME), JSON.stringify(run), { mode: 0o600 });
}

/** @throws Error in one sentence when there is none, or more than one. */
export function findLiveRun(): LiveRun {
  const runs = liveRunFolders().filter((path) => readdirSync(path).includes(FILE_NAME));
  const [path] = runs;
  if (path === undefined) throw new Error('no run is going on here; start one with npm start, in another terminal');
  if (runs.length > 1) {
    throw new Error(`${runs.length} runs are going on here; stop all but one (their folders: ${runs.join(', ')})`);
  }
  return { ...liveRunSchema.parse(JSON.parse(readFileSync(join(path, FILE_NAME), 'utf8'))), path };
}
