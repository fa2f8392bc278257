/** Runs a case against a target of its own, and says what was seen. */
import { type ConformanceCase, World } from './case.ts';
import { Difference, refusalOf } from './expectations.ts';
import type { Target } from './target.ts';

export type Verdict =
  | { readonly name: 'conforms' }
  | { readonly name: 'differs'; readonly instead: string }
  | { readonly name: 'not run'; readonly why: string };

export interface RunOptions {
  /** Cases that take minutes where time is real. */
  readonly withLong: boolean;
}

/** @throws what is neither a difference nor a refusal: then there is no verdict. */
export async function runCase(testCase: ConformanceCase, target: Target, options: RunOptions): Promise<Verdict> {
  const why = whyNotRun(testCase, target, options);
  if (why !== undefined) return { name: 'not run', why };
  try {
    await testCase.steps(new World(target));
    return { name: 'conforms' };
  } catch (error) {
    if (error instanceof Difference) return { name: 'differs', instead: error.message };
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return { name: 'differs', instead: `a call is refused as ${refusal.code} (${refusal.message})` };
  } finally {
    await target.close();
  }
}

function whyNotRun({ notInModel, isLong }: ConformanceCase, { kind }: Target, { withLong }: RunOptions) {
  if (kind === 'model') return notInModel;
  return isLong === true && !withLong ? 'it takes minutes' : undefined;
}
