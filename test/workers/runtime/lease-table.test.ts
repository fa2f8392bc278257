import { describe, expect, test } from '@jest/globals';
import { LeaseTable } from '../../../workers/runtime/lease-table.ts';

const HOUR_MS = 3_600_000;

/** A lease of 60 s, whose receive was sent at 0. */
function oneLease(onLost?: (receiptHandle: string) => void): LeaseTable {
  const leases = new LeaseTable(60, onLost);
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
    expect([leases.leftMs('a', 50_000), leases.leftMs('a', 61_000), leases.leftMs('b', 0)]).toEqual([
      10_000,
      -1_000,
      undefined,
    ]);
  });

  test('is due for extension when half of it is left, and again a half after each extension was sent', () => {
    const leases = oneLease();
    expect(leases.due(29_999)).toEqual([]);
    expect(leases.due(30_000)).toEqual(['a']);
    leases.extended('a', 30_000, 60, 30_100);
    expect(leases.due(59_999)).toEqual([]);
    expect(leases.due(60_000)).toEqual(['a']);
    expect(leases.holds('a', 89_999)).toBe(true);
  });

  test('is extended to what was asked for, counted from the request, and never added up', () => {
    const leases = oneLease();
    leases.extended('a', 10_000, 300, 10_100);
    leases.extended('a', 20_000, 60, 20_100);
    expect(leases.leftMs('a', 20_000)).toBe(60_000);
  });

  test('that was asked to be shorter is so from then on: the answer may get lost', () => {
    const leases = oneLease();
    leases.extended('a', 0, 300, 100);
    leases.asked('a', 10_000, 60);
    expect(leases.leftMs('a', 10_000)).toBe(60_000);
  });

  test('that was asked to be longer is so only when SQS has said so', () => {
    const leases = oneLease();
    leases.asked('a', 10_000, 300);
    expect(leases.leftMs('a', 10_000)).toBe(50_000);
    leases.asked('b', 10_000, 300);
  });

  test('that ended is lost, and an extension that is answered too late does not bring it back', () => {
    const leases = oneLease();
    expect(leases.due(60_000)).toEqual([]);
    leases.extended('a', 59_000, 60, 60_001);
    expect(leases.holds('a', 60_001)).toBe(false);
  });

  test('that ended before its extension was answered is lost: it may be in other hands since', () => {
    const told: string[] = [];
    const leases = oneLease((receiptHandle) => told.push(receiptHandle));
    leases.asked('a', 59_000, 60);
    leases.extended('a', 59_000, 60, 60_000);
    expect([leases.holds('a', 60_000), told]).toEqual([false, ['a']]);
  });

  test('of which two changes are on their way lasts as the shorter says: either may be done last', () => {
    for (const answered of [
      [60, 300],
      [300, 60],
    ]) {
      const leases = oneLease();
      leases.asked('a', 10_000, 300);
      leases.asked('a', 10_000, 60);
      for (const seconds of answered) leases.extended('a', 10_000, seconds, 10_100);
      expect(leases.leftMs('a', 10_000)).toBe(60_000);
    }
  });

  test('with a change that was never answered lasts no longer than that says, for as long as it may arrive', () => {
    const leases = oneLease();
    leases.asked('a', 0, 60);
    leases.asked('a', 20_000, 300);
    leases.extended('a', 20_000, 300, 20_100);
    expect(leases.leftMs('a', 20_000)).toBe(60_000);
    leases.asked('a', 60_000, 300);
    leases.extended('a', 60_000, 300, 60_100);
    expect(leases.leftMs('a', 60_000)).toBe(300_000);
  });

  test('that SQS calls stale is lost', () => {
    const leases = oneLease();
    leases.lost('a');
    leases.lost('unknown');
    expect(leases.holds('a', 1)).toBe(false);
    expect(leases.due(30_000)).toEqual([]);
  });

  test('that is lost is told once, whether its time has passed or SQS said so', () => {
    const told: string[] = [];
    const leases = oneLease((receiptHandle) => told.push(receiptHandle));
    leases.received('b', 0);
    leases.lost('b');
    leases.due(60_000);
    leases.due(61_000);
    leases.lost('a');
    expect(told).toEqual(['b', 'a']);
  });

  test('that is being given back is neither extended nor a licence to commit', () => {
    const leases = oneLease();
    leases.returning('a');
    expect(leases.due(30_000)).toEqual([]);
    leases.extended('a', 30_000, 60, 30_100);
    expect(leases.holds('a', 1)).toBe(false);
  });

  test('is gone when it is released, lost or not', () => {
    const leases = oneLease();
    leases.lost('a');
    leases.released('a');
    expect([leases.size, leases.has('a')]).toEqual([0, false]);
  });

  test('is never extended beyond twelve hours from its receive', () => {
    const leases = new LeaseTable(900);
    leases.received('a', 0);
    let nowMs = 0;
    for (let extensions = 0; extensions < 100; extensions += 1) {
      nowMs += HOUR_MS / 8;
      if (leases.due(nowMs).length === 0) break;
      leases.extended('a', nowMs, 900, nowMs);
    }
    expect(nowMs).toBe(11.875 * HOUR_MS);
    expect(leases.holds('a', 12 * HOUR_MS - 1)).toBe(true);
    expect(leases.holds('a', 12 * HOUR_MS)).toBe(false);
  });

  test('is extended by a quarter of an hour at most, and not before half of that is left', () => {
    const leases = new LeaseTable(3 * 3_600);
    leases.received('a', 0);
    expect(leases.extensionSeconds).toBe(900);
    expect(leases.firstDueAtMs(0)).toBe(2.875 * HOUR_MS);
    expect(leases.due(2.875 * HOUR_MS - 1)).toEqual([]);
    expect(leases.due(2.875 * HOUR_MS)).toEqual(['a']);
  });

  test('that SQS extends no further lasts as long as before, and is not asked for again', () => {
    const leases = oneLease();
    leases.asked('a', 30_000, 60);
    leases.refused('a', 30_000, 60);
    expect(leases.holds('a', 59_999)).toBe(true);
    expect(leases.due(59_999)).toEqual([]);
    expect(leases.dueAtMs).toBe(60_000);
  });

  test('that SQS does not shorten is as long as before', () => {
    const leases = new LeaseTable(43_200);
    leases.received('a', 0);
    leases.asked('a', 1_000, 900);
    expect(leases.leftMs('a', 1_000)).toBe(900_000);
    leases.refused('a', 1_000, 900);
    expect(leases.leftMs('a', 1_000)).toBe(43_199_000);
    // Another on its way may have been done.
    leases.asked('a', 2_000, 900);
    leases.asked('a', 3_000, 1_800);
    leases.refused('a', 3_000, 1_800);
    expect(leases.leftMs('a', 3_000)).toBe(899_000);
  });

  test('may be hidden until twelve hours from its receive', () => {
    const leases = new LeaseTable(3_600);
    leases.received('a', HOUR_MS);
    expect(leases.secondsPermitted('a', 7 * HOUR_MS)).toBe(6 * 3_600);
    expect(leases.secondsPermitted('a', 14 * HOUR_MS)).toBe(0);
    expect(leases.secondsPermitted('unknown', 0)).toBe(0);
  });

  test('is taken once, given back once, and released only while it is there', () => {
    const leases = oneLease();
    expect(() => leases.received('a', 1)).toThrow('leased once');
    expect(() => leases.returning('b')).toThrow('only a leased message is given back');
    leases.returning('a');
    expect(() => leases.returning('a')).toThrow('given back once, and only while it is ours');
    expect(() => leases.released('b')).toThrow('only a leased message is released');
  });
});
