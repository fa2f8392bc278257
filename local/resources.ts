/** Lists what of the assembly runs on this machine and what does not, with the reason. */
import { join } from 'node:path';
import Table from 'cli-table3';
import { readAssembly } from './assembly/assembly.ts';
import { countResourceTypes } from './assembly/resource-types.ts';
import { createRunFolder } from './machine/run-folder.ts';
import { plainTableOptions } from './screen.ts';
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
    if (json) {
      output.write(`${JSON.stringify(types, null, 2)}\n`);
      return;
    }
    const table = new Table(plainTableOptions(['type', 'count', '', ''], ['left', 'right', 'left', 'left']));
    for (const { type, count, runsHere, meaning } of types)
      table.push([type, count, runsHere ? 'here' : 'AWS', meaning]);
    output.write(`${table.toString()}\n`);
  } finally {
    await run.close();
  }
}
