/**
 * Finds for every mutant a schedule that catches it, and writes the seeds into mutants.ts.
 *
 *   node test/simulation/hunt.ts [name …]
 *
 * Run it when the draws of the simulator or the runtime have moved and a test says that a mutant is missed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { Mutant } from './mutant.ts';
import { MUTANTS } from './mutants.ts';
import { runInProcess } from './processes.ts';

const SCHEDULES_MAX = 20_000;
const MUTANTS_FILE = new URL('./mutants.ts', import.meta.url);

const names = process.argv.slice(2);
const left = MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name));
let missed = 0;

async function hunt({ name, caughtBy, seed }: Mutant): Promise<void> {
  const isCaught = (violations: readonly { invariant: string }[]) =>
    violations.some(({ invariant }) => caughtBy.some((named) => named === invariant));
  const find = async (firstSeed: number, schedules: number) => {
    const { failures } = await runInProcess({ firstSeed, schedules, mutant: name, until: caughtBy });
    return failures.findLast(({ violations }) => isCaught(violations))?.seed;
  };
  const found = (await find(seed, 1)) ?? (await find(1, SCHEDULES_MAX));
  console.log(found === undefined ? `missed: ${name}` : `${String(found).padStart(6)}  ${name}`);
  if (found === undefined) missed += 1;
  else keep(name, found);
}

function keep(name: string, seed: number): void {
  const source = readFileSync(MUTANTS_FILE, 'utf8');
  const at = source.indexOf(`name: '${name}'`);
  const from = source.indexOf('seed: ', at);
  writeFileSync(MUTANTS_FILE, `${source.slice(0, from)}seed: ${seed}${source.slice(source.indexOf(',', from))}`);
}

async function work(): Promise<void> {
  for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) await hunt(mutant);
}

await Promise.all(Array.from({ length: availableParallelism() }, work));
process.exitCode = missed === 0 ? 0 : 1;
