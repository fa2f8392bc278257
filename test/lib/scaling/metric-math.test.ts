import { describe, expect, test } from '@jest/globals';
import { evaluateMetricMath, type Point } from './metric-math.ts';

const points: Readonly<Record<string, Point>> = { six: 6, two: 2, zero: 0, none: undefined };
const value = (expression: string) => evaluateMetricMath(expression, (id) => points[id]);

describe('metric math', () => {
  test.each<[string, Point]>([
    ['six - two - two', 2],
    ['six + two * two', 10],
    ['(six + two) * two', 16],
    ['six / two / two', 1.5],
    ['six / zero', undefined],
    ['six + none', undefined],
    ['FILL(none, 0) + six', 6],
    ['FILL(two, 0) + six', 8],
    ['IF(six > 5 AND two < 2, 1, 0)', 0],
    ['IF(six > 5 OR two < 2, 1, 0)', 1],
    ['IF(two, six, zero)', 6],
    ['IF(zero, six, two)', 2],
    ['IF(none > 1, six, two)', undefined],
    ['IF(six > 1, six, none)', undefined],
    ['six / IF(zero > 0, zero, 1)', 6],
  ])('%s is %p', (expression, expected) => {
    expect(value(expression)).toBe(expected);
  });

  test.each([
    ['SEARCH(six, two)', 'the function SEARCH is not known here'],
    ['IF(six, two)', 'IF takes 3 arguments, found 2'],
    ['six two', 'two is left over'],
    ['(six', 'expected ), found the end'],
    ['six ? two', 'cannot read  ? two'],
    ['six +', 'it ends too early'],
  ])('%s cannot be read', (expression, problem) => {
    expect(() => value(expression)).toThrow(problem);
  });
});
