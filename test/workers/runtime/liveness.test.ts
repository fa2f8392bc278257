import { describe, expect, test } from '@jest/globals';
import { Liveness } from '../../../workers/runtime/liveness.ts';

describe('liveness', () => {
  test('lasts 90 s beyond the last poll', () => {
    const liveness = new Liveness(0);
    expect([liveness.isAlive(90_000), liveness.isAlive(90_001)]).toEqual([true, false]);
    liveness.polled(50_000);
    expect([liveness.isAlive(140_000), liveness.isAlive(140_001)]).toEqual([true, false]);
  });

  test('ends when an attempt to write takes longer than four minutes, however often it polls', () => {
    const liveness = new Liveness(0);
    const [quick, stuck] = [{}, {}];
    liveness.attemptBegan(stuck, 0);
    liveness.attemptBegan(quick, 10_000);
    liveness.attemptEnded(quick);
    liveness.polled(240_000);
    expect([liveness.isAlive(240_000), liveness.isAlive(240_001)]).toEqual([true, false]);
    liveness.attemptEnded(stuck);
    expect(liveness.isAlive(240_001)).toBe(true);
  });
});
