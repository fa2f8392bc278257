/** Lists what of the assembly runs on this machine and what does not, with the reason. */
import { join } from 'node:path';
import { readAssembly } from './assembly/assembly.ts';
import { countResourceTypes, type ResourceTypeCount } from './assembly/resource-types.ts';
import { table } from './eighty-columns.ts';
import { createRunFolder } from './machine/run-folder.ts';
import { synthesize } from './synthesize.ts';

export interface ResourcesOptions {
  readonly stage: string;
  readonly json: boolean;
  readonly output: NodeJS.WritableStream;
}

export async function resources({ stage, json, output }: ResourcesOptions): Promise<void> {
  const run = createRunFolder();
  const folder = join(run.path, 'assembly');
  try {
    await synthesize({ run, stage, folder });
    const types = countResourceTypes(readAssembly(folder));
    output.write(`${json ? JSON.stringify(types, null, 2) : resourceTables(types)}\n`);
  } finally {
    await run.close();
  }
}

export function resourceTables(types: readonly ResourceTypeCount[]): string {
  const part = (runsHere: boolean, meaning: string) => {
    const rows = types.filter((type) => type.runsHere === runsHere);
    return table([
      { head: 'type', align: 'left', cells: rows.map(({ type }) => type) },
      { head: 'count', align: 'right', cells: rows.map(({ count }) => String(count)) },
      { head: meaning, align: 'left', cells: rows.map((row) => row.meaning) },
    ]);
  };
  return `Run here\n${part(true, 'what it is here')}\n\nNeed AWS\n${part(false, 'why it is not here')}`;
}
