import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { backOffSeconds } from '../../../workers/runtime/back-off.ts';

const limits = { firstSeconds: 15, mostSeconds: 900 };

describe('a back-off', () => {
  test('doubles its longest wait with each attempt, up to its limit', () => {
    expect([1, 2, 3, 6, 7, 8, 1_000].map((attempt) => backOffSeconds(limits, attempt, 1))).toEqual([
      15, 30, 60, 480, 900, 900, 900,
    ]);
  });

  test('waits between nothing and the longest, as chance has it', () => {
    expect([0, 0.5, 1].map((random) => backOffSeconds(limits, 2, random))).toEqual([0, 15, 30]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
        const seconds = backOffSeconds(limits, attempt, random);
        return seconds >= 0 && seconds <= limits.mostSeconds;
      }),
    );
  });
});
