/** Runs the suite, many cases at once where they wait for a clock, and holds the verdicts against what is known. */
import type { ConformanceCase } from './case.ts';
import { CASES } from './cases.ts';
import { type RunOptions, runCase, type Verdict } from './run-case.ts';
import type { Target } from './target.ts';

export type Verdicts = ReadonlyMap<ConformanceCase, Verdict>;

export interface SuiteOptions extends RunOptions {
  readonly atOnce: number;
  readonly onDone?: (done: number) => void;
}

export async function runSuite(openTarget: () => Target, options: SuiteOptions): Promise<Verdicts> {
  const verdicts = new Map<ConformanceCase, Verdict>();
  const left = CASES.values();
  const runOneByOne = async () => {
    for (const each of left) {
      verdicts.set(each, await runCase(each, openTarget(), options));
      options.onDone?.(verdicts.size);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, runOneByOne));
  return new Map(CASES.map((each) => [each, verdicts.get(each)!]));
}

/** What is otherwise than known, a sentence each. */
export function surprises(verdicts: Verdicts, known: readonly string[]): string[] {
  const found: string[] = [];
  for (const [{ name }, verdict] of verdicts) {
    const isKnown = known.includes(name);
    if (verdict.name === 'differs' && !isKnown) found.push(`${name}: ${verdict.instead}`);
    if (verdict.name === 'conforms' && isKnown) found.push(`${name}: it conforms, and is declared as a difference`);
  }
  return found;
}
