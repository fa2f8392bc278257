import { describe, expect, test } from '@jest/globals';
import { type SendEntry, SendQueue } from '../../producer/send-queue.ts';

function entry(orderId: string, groupId?: string, bodyBytes = 100): SendEntry {
  const order = { orderId, customerId: groupId ?? null, filePosition: null, body: '', bodyBytes };
  return { order, groupId, deduplicationId: groupId === undefined ? undefined : orderId };
}

function queueOf(...entries: SendEntry[]): SendQueue {
  const queue = new SendQueue();
  for (const added of entries) queue.add(added);
  return queue;
}

const ids = (entries: readonly SendEntry[]) => entries.map(({ order }) => order.orderId).join(' ');

describe('a queue of entries to send', () => {
  test('gives ten at a time, and a part only when asked', () => {
    const queue = queueOf(...'abcdefghijkl'.split('').map((id) => entry(id)));
    expect(ids(queue.nextBatch(0, false))).toBe('a b c d e f g h i j');
    expect(queue.nextBatch(0, false)).toEqual([]);
    expect(ids(queue.nextBatch(0, true))).toBe('k l');
    expect(queue.nextBatch(0, true)).toEqual([]);
  });

  test('counts a batch as full when the next entry would not fit into 1 MiB', () => {
    const half = 512 * 1024;
    expect(ids(queueOf(entry('a', undefined, half), entry('b', undefined, half), entry('c')).nextBatch(0, false))).toBe(
      'a b',
    );
    expect(ids(queueOf(entry('a', undefined, half), entry('b', undefined, half + 1)).nextBatch(0, false))).toBe('a');
    expect(queueOf(entry('a', undefined, half), entry('b', undefined, half)).nextBatch(0, false)).toEqual([]);
  });

  test('gives one entry of a group, and the next when that one has been accepted', () => {
    const [a1, a2, b1, a3] = [entry('a1', 'a'), entry('a2', 'a'), entry('b1', 'b'), entry('a3', 'a')];
    const queue = queueOf(a1, a2, b1, a3);
    expect(ids(queue.nextBatch(0, true))).toBe('a1 b1');
    queue.accepted(b1);
    expect(queue.nextBatch(0, true)).toEqual([]);
    queue.accepted(a1);
    expect(ids(queue.nextBatch(0, true))).toBe('a2');
  });

  test('holds a group back while its oldest entry backs off, and then gives that one first', () => {
    const a1 = entry('a1', 'a');
    const queue = queueOf(a1, entry('a2', 'a'));
    queue.nextBatch(0, true);
    queue.failed(a1, 500);
    queue.add(entry('b1', 'b'));
    expect(queue.nextDueMs(0)).toBe(500);
    expect(ids(queue.nextBatch(499, true))).toBe('b1');
    queue.add(entry('c1', 'c'));
    expect(ids(queue.nextBatch(500, true))).toBe('a1 c1');
    expect(queue.nextDueMs(500)).toBeUndefined();
  });

  test('counts attempts, and from when', () => {
    const a = entry('a');
    const queue = queueOf(a);
    queue.nextBatch(10, true);
    queue.failed(a, 20);
    queue.nextBatch(20, true);
    expect(queue.attemptsOf(a)).toEqual({ count: 2, firstMs: 10 });
  });

  test('begins a group anew after its last entry was accepted', () => {
    const a1 = entry('a1', 'a');
    const queue = queueOf(a1);
    queue.nextBatch(0, true);
    queue.accepted(a1);
    queue.add(entry('a2', 'a'));
    expect(ids(queue.nextBatch(0, true))).toBe('a2');
  });
});
