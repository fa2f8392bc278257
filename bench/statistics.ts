/** The two figures that the bench draws from many. */
import assert from 'node:assert/strict';

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Between two values that are there, in proportion. */
export function percentile(values: readonly number[], percent: number): number {
  assert(values.length > 0, 'of nothing there is no percentile');
  const sorted = values.toSorted((one, other) => one - other);
  const place = ((sorted.length - 1) * percent) / 100;
  const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
  return below + (above - below) * (place - Math.floor(place));
}
