import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Distribution } from '../../../workers/runtime/distribution.ts';

function of(...values: number[]) {
  const distribution = new Distribution();
  for (const value of values) distribution.add(value);
  return distribution.valuesAndCounts;
}

describe('a distribution', () => {
  test('counts equal and nearly equal values together, in their order', () => {
    const { Values: values, Counts: counts } = of(1, 0.1, 1, 1.05);
    expect(counts).toEqual([1, 3]);
    expect(values[0]).toBeCloseTo(0.1, 1);
    expect(values[1]).toBeCloseTo(1, 1);
    expect(new Distribution().isEmpty).toBe(true);
    expect(of()).toEqual({ Values: [], Counts: [] });
  });

  test('has a place for nothing, for what is negative, and for what is beyond a day and a half', () => {
    const { Values: values, Counts: counts } = of(-1, 0, 0.001, 200_000, 1e12, Number.POSITIVE_INFINITY);
    expect(counts).toEqual([3, 3]);
    expect(values[0]).toBe(0);
    expect(values[1]).toBeGreaterThan(86_400);
  });

  test('is off by an eighth at most', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.002, max: 86_400, noNaN: true }), (value) => {
        const [near] = of(value).Values;
        return Math.abs(near! - value) / value <= 0.125;
      }),
    );
  });

  test('has at most a hundred values, as CloudWatch takes them, whatever is put in', () => {
    const many = Array.from({ length: 100_000 }, (_, index) => 0.0005 * 1.0003 ** index);
    const { Values: values, Counts: counts } = of(...many);
    expect(values.length).toBeLessThanOrEqual(100);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(100_000);
    expect(values).toEqual([...new Set(values)].sort((one, other) => one - other));
  });
});
