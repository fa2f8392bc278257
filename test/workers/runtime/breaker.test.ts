import { describe, expect, test } from '@jest/globals';
import { Breaker } from '../../../workers/runtime/breaker.ts';

const limits = { probeMinMs: 100, probeMaxMs: 300 };

function openBreaker(): Breaker {
  const breaker = new Breaker(limits);
  breaker.failed(0);
  return breaker;
}

describe('a breaker', () => {
  test('admits until a batch is held, and again when a probe has answered', () => {
    const breaker = new Breaker(limits);
    expect([breaker.admits, breaker.probeAtMs]).toEqual([true, undefined]);
    breaker.failed(0);
    expect([breaker.admits, breaker.probeAtMs]).toEqual([false, 100]);
    breaker.probeAnswered();
    expect([breaker.admits, breaker.probeAtMs]).toEqual([true, undefined]);
  });

  test('probes after 100, then 200, then never more than 300 ms', () => {
    const breaker = openBreaker();
    const waits = [0, 0, 0].map(() => {
      const due = breaker.probeAtMs!;
      breaker.probeFailed(due);
      return breaker.probeAtMs! - due;
    });
    expect(waits).toEqual([200, 300, 300]);
  });

  test('does not put its probe off for other batches that fail in the same outage', () => {
    const breaker = openBreaker();
    breaker.failed(90);
    expect(breaker.probeAtMs).toBe(100);
  });

  test('waits longer when a probe answers but the next batch fails, until one commits', () => {
    const breaker = openBreaker();
    breaker.probeAnswered();
    breaker.failed(1_000);
    expect(breaker.probeAtMs).toBe(1_200);
    breaker.probeAnswered();
    breaker.committed();
    breaker.failed(2_000);
    expect(breaker.probeAtMs).toBe(2_100);
  });

  test('is not closed by a commit that was under way when it opened', () => {
    const breaker = openBreaker();
    breaker.committed();
    expect(breaker.admits).toBe(false);
  });

  test('counts from when the next trial is asked for where nothing is kept, and not while it is open', () => {
    const breaker = openBreaker();
    breaker.nothingKept(50);
    expect(breaker.awaySinceMs).toBe(0);
    breaker.probeAnswered();
    breaker.nothingKept(5_000);
    breaker.failed(6_000);
    expect([breaker.awaySinceMs, breaker.probeAtMs]).toEqual([5_000, 6_200]);
  });

  test('knows since when nothing was committed, however often a probe was answered', () => {
    const breaker = new Breaker(limits);
    expect(breaker.awaySinceMs).toBeUndefined();
    breaker.failed(1_000);
    breaker.failed(1_050);
    breaker.probeAnswered();
    expect([breaker.state, breaker.awaySinceMs]).toEqual(['half-open', 1_000]);
    breaker.failed(2_000);
    expect([breaker.state, breaker.awaySinceMs]).toEqual(['open', 1_000]);
    breaker.probeAnswered();
    breaker.committed();
    expect([breaker.state, breaker.awaySinceMs]).toEqual(['closed', undefined]);
  });

  test('stays closed when a batch commits', () => {
    const breaker = new Breaker(limits);
    breaker.committed();
    expect(breaker.state).toBe('closed');
  });

  test('takes an answer only while it is open', () => {
    expect(() => new Breaker(limits).probeAnswered()).toThrow('only an open breaker probes');
    expect(() => new Breaker(limits).probeFailed(0)).toThrow('only an open breaker probes');
  });
});
