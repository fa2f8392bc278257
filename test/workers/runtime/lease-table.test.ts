import { describe, expect, test } from '@jest/globals';
import { LeaseTable } from '../../../workers/runtime/lease-table.ts';

const HOUR_MS = 3_600_000;

/** A lease of 60 s, whose receive was sent at 0. */
function oneLease(): LeaseTable {
  const leases = new LeaseTable(60);
  leases.received('a', 0);
  return leases;
}

describe('a lease', () => {
  test('is ours from the sending of the receive until its visibility timeout, and a commit needs a margin', () => {
    const leases = oneLease();
    expect(leases.holds('a', 59_999)).toBe(true);
    expect(leases.holds('a', 60_000)).toBe(false);
    expect(leases.holds('a', 57_999, 2_000)).toBe(true);
    expect(leases.holds('a', 58_000, 2_000)).toBe(false);
    expect(leases.holds('b', 0)).toBe(false);
  });

  test('is due for extension when half of it is left, and again a half after each extension was sent', () => {
    const leases = oneLease();
    expect(leases.due(29_999)).toEqual([]);
    expect(leases.due(30_000)).toEqual(['a']);
    leases.extended('a', 30_000);
    expect(leases.due(59_999)).toEqual([]);
    expect(leases.due(60_000)).toEqual(['a']);
    expect(leases.holds('a', 89_999)).toBe(true);
  });

  test('that ended is lost, and an extension that is answered too late does not bring it back', () => {
    const leases = oneLease();
    expect(leases.due(60_000)).toEqual([]);
    leases.extended('a', 59_000);
    expect(leases.holds('a', 60_001)).toBe(false);
  });

  test('that SQS calls stale is lost', () => {
    const leases = oneLease();
    leases.lost('a');
    leases.lost('unknown');
    expect(leases.holds('a', 1)).toBe(false);
    expect(leases.due(30_000)).toEqual([]);
  });

  test('that is being settled is neither extended nor a licence to commit', () => {
    const leases = oneLease();
    leases.settling('a');
    expect(leases.due(30_000)).toEqual([]);
    leases.extended('a', 30_000);
    expect(leases.holds('a', 1)).toBe(false);
  });

  test('stays lost when it is settled: its delete is tried all the same', () => {
    const leases = oneLease();
    leases.lost('a');
    leases.settling('a');
    expect(leases.holds('a', 1)).toBe(false);
    leases.released('a');
    expect([leases.size, leases.has('a')]).toEqual([0, false]);
  });

  test('is never extended beyond twelve hours from its receive', () => {
    const leases = new LeaseTable(3_600);
    leases.received('a', 0);
    let nowMs = 0;
    for (let extensions = 0; extensions < 100; extensions += 1) {
      nowMs += HOUR_MS / 2;
      if (leases.due(nowMs).length === 0) break;
      leases.extended('a', nowMs);
    }
    expect(nowMs).toBe(11.5 * HOUR_MS);
    expect(leases.holds('a', 12 * HOUR_MS - 1)).toBe(true);
    expect(leases.holds('a', 12 * HOUR_MS)).toBe(false);
  });

  test('is taken once, and settled and released only while it is there', () => {
    const leases = oneLease();
    expect(() => leases.received('a', 1)).toThrow('leased once');
    expect(() => leases.settling('b')).toThrow('only a leased message is settled');
    expect(() => leases.released('b')).toThrow('only a leased message is released');
  });
});
