import { describe, expect, test } from '@jest/globals';
import { GroupChain } from '../../../workers/runtime/group-chain.ts';

function chainOf(...items: number[]): GroupChain<number> {
  const chain = new GroupChain<number>();
  for (const item of items) chain.add(item);
  return chain;
}

describe('the chain of a group', () => {
  test('gives its messages in their order, one batch at a time', () => {
    const chain = chainOf(1, 2, 3);
    expect(chain.take(2)).toEqual([1, 2]);
    expect(chain.isReady).toBe(false);
    expect(() => chain.take(1)).toThrow('only when nothing of it is under way');
    chain.done();
    expect(chain.take(2)).toEqual([3]);
  });

  test('takes back what has to be written again before what waited behind it', () => {
    const chain = chainOf(1, 2, 3);
    chain.take(2);
    chain.add(4);
    chain.putBack([1, 2]);
    chain.done();
    expect(chain.take(10)).toEqual([1, 2, 3, 4]);
  });

  test('gives up what waits to whoever has its head, and nothing of what is under way', () => {
    const chain = chainOf(1, 2, 3);
    chain.take(1);
    expect(chain.drop()).toEqual([2, 3]);
    expect(chain.waiting).toEqual([]);
    chain.done();
    expect([chain.isReady, chain.isOver]).toEqual([false, true]);
  });

  test('is over when nothing waits and nothing is under way', () => {
    const chain = chainOf(1);
    expect([chain.isReady, chain.isOver]).toEqual([true, false]);
    chain.take(1);
    expect([chain.isReady, chain.isOver]).toEqual([false, false]);
    chain.done();
    expect([chain.isReady, chain.isOver]).toEqual([false, true]);
  });

  test('is done, and takes back, only what was taken', () => {
    expect(() => chainOf(1).done()).toThrow('only a group that was taken from is done');
    expect(() => chainOf(1).putBack([2])).toThrow('only what was taken is put back');
    expect(() => chainOf().take(1)).toThrow('only when nothing of it is under way');
  });
});
