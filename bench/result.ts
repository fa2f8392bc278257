/** What a case found: figures, some of which have a target, and the tables that they come from. */

export interface Target {
  readonly kind: 'at least' | 'at most' | 'below';
  readonly value: number;
}

export interface Figure {
  readonly what: string;
  readonly seen: number;
  /** Decimal places that mean something. */
  readonly decimals: number;
  readonly unit: string;
  readonly target: Target;
}

export interface Detail {
  readonly title: string;
  /** Columns on the left that name a row. @default 1 */
  readonly names?: number;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface CaseResult {
  readonly name: string;
  /** How it was measured, one sentence each. */
  readonly conditions: readonly string[];
  readonly figures: readonly Figure[];
  readonly details: readonly Detail[];
  /** Every single run, for --json. */
  readonly runs: readonly unknown[];
}

export function isMet({ seen, target }: Figure): boolean {
  if (target.kind === 'at least') return seen >= target.value;
  return target.kind === 'at most' ? seen <= target.value : seen < target.value;
}

export function number(value: number, decimals = 0): string {
  return value.toLocaleString('en-GB', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
