import { describe, expect, test } from '@jest/globals';
import { GivenBack } from '../../local/given-back.ts';

describe('messages that were given back', () => {
  test('count under their reason until their delay has passed, with the time to the first of them', () => {
    const givenBack = new GivenBack();
    givenBack.add('version 2 is newer', 300, 0);
    givenBack.add('version 2 is newer', 100, 0);
    givenBack.add('deadlock', 10, 0);
    expect(givenBack.waits(5_000)).toEqual([
      { reason: 'version 2 is newer', messages: 2, nextSeconds: 95 },
      { reason: 'deadlock', messages: 1, nextSeconds: 5 },
    ]);
    expect(givenBack.waits(100_000)).toEqual([{ reason: 'version 2 is newer', messages: 1, nextSeconds: 200 }]);
    expect(givenBack.waits(300_000)).toEqual([]);
  });

  test('of a fifth reason at once count as others, and a reason that has passed makes room', () => {
    const givenBack = new GivenBack();
    for (const reason of ['a', 'b', 'c', 'd', 'e', 'f']) givenBack.add(reason, 10, 0);
    expect(givenBack.waits(0).map(({ reason, messages }) => [reason, messages])).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 1],
      ['d', 1],
      ['other reasons', 2],
    ]);
    givenBack.add('g', 10, 20_000);
    expect(givenBack.waits(20_000)).toEqual([{ reason: 'g', messages: 1, nextSeconds: 10 }]);
  });
});
