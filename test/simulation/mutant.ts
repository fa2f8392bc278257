/**
 * What a mutant is: a fault written into the workers while their files are loaded, so that the product has no switches.
 *
 * Holds always: every edit fits exactly one place, or the simulation does not start.
 */
import { registerHooks } from 'node:module';
import type { Invariant } from './invariants.ts';

export interface Mutant {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly caughtBy: readonly Invariant[];
  /** A schedule that catches it; `hunt.ts` finds another when the draws have moved. */
  readonly seed: number;
}

/** One exact replacement, which occurs once in its file. */
export interface Edit {
  /** Below workers/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Every edit's text must be there exactly once, or the source has moved on and the mutant tests nothing. */
function edited(source: string, mutant: string, { file, from, to }: Edit): string {
  const times = source.split(from).length - 1;
  if (times !== 1) throw new Error(`the mutant "${mutant}" fits ${times} places of workers/${file}; it must fit one`);
  return source.replace(from, () => to);
}

export function applyMutant({ name, edits }: Mutant): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const own = edits.filter(({ file }) => url.endsWith(`/workers/${file}`));
      if (own.length === 0) return loaded;
      return { ...loaded, source: own.reduce((source, edit) => edited(source, name, edit), String(loaded.source)) };
    },
  });
}
