import { describe, expect, test } from '@jest/globals';
import { nameProblem } from '../../scaffold/worker-names.ts';

describe('a name that a new worker cannot have is refused in a sentence', () => {
  test.each([
    ['constructor', [], /^Every object in JavaScript has something called constructor; choose another\.$/],
    ['a1-2', ['a12'], /^There is a workload a12 already, and constructs of a1-2 would have the same ids; choose anoth/],
    ['a12', ['a1-2'], /^There is a workload a1-2 already, and constructs of a12 would have the same ids; choose anoth/],
    // As is one that a call wrote which was killed halfway.
    [
      'a12',
      ['a12'],
      /^There is a workload a12 already; choose another\. If a call that was killed .* git checkout .* git clean /,
    ],
  ])('%s beside %j', (name, others, sentence) => {
    expect(nameProblem(name, others)).toMatch(sentence);
  });

  test('but not one that only begins alike', () => {
    expect(nameProblem('a1-2', ['a1', 'a1-3'])).toBeUndefined();
  });
});
