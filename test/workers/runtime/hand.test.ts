import { describe, expect, test } from '@jest/globals';
import { Admission } from '../../../workers/runtime/admission.ts';
import { bytesOf } from '../../../workers/runtime/delivery.ts';
import { Hand } from '../../../workers/runtime/hand.ts';
import type { QueueFacts, ReceivedMessage } from '../../../workers/runtime/queue-client.ts';
import { VirtualTime } from './virtual-time.ts';

const received = (receiptHandle: string, change: Partial<ReceivedMessage> = {}): ReceivedMessage => ({
  messageId: `id of ${receiptHandle}`,
  receiptHandle,
  body: 'work',
  receiveCount: 1,
  messageGroupId: undefined,
  sequenceNumber: undefined,
  sentTimestampMs: 0,
  attributes: {},
  traceHeader: undefined,
  ...change,
});

function makeHand(facts: Partial<QueueFacts> = {}) {
  const time = new VirtualTime();
  const admission = new Admission(1_024);
  const seen = { releases: 0 };
  const all = { visibilityTimeoutSeconds: 60, fifo: false, maxReceiveCount: 5, messageBytesMax: 1_024, ...facts };
  const hand = new Hand({ ...all, createdTimestamp: '1' }, admission, time, () => {
    seen.releases += 1;
  });
  const receive = (...messages: ReceivedMessage[]) => {
    admission.reserve();
    return hand.received(messages, time.monotonicMs());
  };
  return { time, admission, hand, seen, receive };
}

describe('a delivery', () => {
  test('has a lease and a place until it is released', () => {
    const { admission, hand, seen, receive } = makeHand();
    const [one, two] = receive(received('a'), received('b'));
    expect([hand.size, hand.leases.size, admission.taken]).toEqual([2, 2, 2]);
    expect(hand.holds(one!)).toBe(true);
    hand.release(one!);
    expect([hand.size, hand.leases.size, admission.taken, seen.releases]).toEqual([1, 1, 1, 1]);
    expect([hand.holds(one!), hand.holds(two!)]).toEqual([false, true]);
  });

  test('that SQS names twice, in one answer or in two, is here once', () => {
    const { admission, hand, receive } = makeHand();
    expect(receive(received('a'), received('a'))).toHaveLength(1);
    expect(receive(received('a'), received('b'))).toHaveLength(1);
    expect([hand.size, admission.taken]).toEqual([2, 2]);
  });

  test('beyond ten of one answer is left to come again: there is no place for it', () => {
    const { admission, receive } = makeHand();
    const eleven = Array.from({ length: 11 }, (_, index) => received(`h${index}`));
    expect(receive(...eleven)).toHaveLength(10);
    expect(admission.taken).toBe(10);
  });

  test('is one of its group on a FIFO queue, and one of its own on a standard queue', () => {
    const message = received('a', { messageGroupId: 'customer' });
    expect(makeHand({ fifo: true }).receive(message)[0]!.chain).toBe('customer');
    expect(makeHand({ fifo: false }).receive(message)[0]!.chain).toBe('a');
  });

  test('is held from when its receive was sent, and with a margin', () => {
    const { time, hand, admission } = makeHand();
    admission.reserve();
    const [one] = hand.received([received('a')], time.monotonicMs() - 55_000);
    expect([hand.holds(one!), hand.holds(one!, 5_000)]).toEqual([true, false]);
  });

  test('whose lease is lost has its attempt told, and no other', () => {
    const { hand, receive } = makeHand();
    const [one, two] = receive(received('a'), received('b'));
    one!.attempt = new AbortController();
    two!.attempt = new AbortController();
    hand.leases.lost('a');
    expect([one!.attempt.signal.aborted, two!.attempt.signal.aborted]).toEqual([true, false]);
  });

  test('takes as many bytes as its body and its attributes have', () => {
    const attributes = {
      trace: { DataType: 'String', StringValue: 'é' },
      key: { DataType: 'Binary', BinaryValue: new Uint8Array(7) },
    };
    // Body 4; trace 5, String 6, é 2; key 3, Binary 6, value 7.
    expect(bytesOf({ body: 'work', attributes })).toBe(33);
  });
});
