import { describe, expect, test } from '@jest/globals';
import { PollerControl } from '../../../workers/runtime/poller-control.ts';

/** How many polls are wanted after each of these receives. */
function wantedAfter(...receives: (number | 'failed')[]): number[] {
  const control = new PollerControl();
  return receives.map((messages) => {
    if (messages === 'failed') control.failed();
    else control.received(messages);
    control.written();
    return control.wanted;
  });
}

describe('the number of polls', () => {
  test('is one at first, and grows by one with each full receive, up to sixteen', () => {
    expect(new PollerControl().wanted).toBe(1);
    expect(wantedAfter(10, 10, 10)).toEqual([2, 3, 4]);
    expect(wantedAfter(...new Array<number>(20).fill(10)).slice(13)).toEqual([15, 16, 16, 16, 16, 16, 16]);
  });

  test('shrinks by one with each receive that is less than half full, and to one when a receive is empty or fails', () => {
    expect(wantedAfter(10, 10, 4, 1, 1)).toEqual([2, 3, 2, 1, 1]);
    expect(wantedAfter(10, 10, 0)).toEqual([2, 3, 1]);
    expect(wantedAfter(10, 10, 'failed')).toEqual([2, 3, 1]);
  });

  test('stays with receives that are half full and more: SQS may have more than it found', () => {
    expect(wantedAfter(10, 10, 9, 5, 5)).toEqual([2, 3, 3, 3, 3]);
  });

  test('is none while what came on a quiet queue is written', () => {
    const control = new PollerControl();
    control.received(5);
    expect(control.wanted).toBe(1);
    control.received(4);
    expect(control.wanted).toBe(0);
    control.written();
    expect(control.wanted).toBe(1);
    control.received(0);
    expect(control.wanted).toBe(1);
    control.received(10);
    expect(control.wanted).toBe(2);
  });
});
