import { describe, expect, test } from '@jest/globals';
import type { ReceivedMessage } from '../../../workers/runtime/queue-client.ts';
import { deadLetterFor } from '../../../workers/runtime/rejection.ts';

const text = (StringValue: string) => ({ DataType: 'String', StringValue });
const attributes = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`own${index}`, text('value')]));

function letterFor(message: Partial<ReceivedMessage>, messageBytesMax = 1_048_576) {
  const received = {
    messageId: 'id-1',
    receiptHandle: 'handle',
    body: 'body',
    receiveCount: 1,
    messageGroupId: undefined,
    sequenceNumber: undefined,
    sentTimestampMs: 0,
    attributes: {},
    traceHeader: undefined,
    ...message,
  };
  const rejection = { queueName: 'orders', messageId: 'id-1', reason: 'unitPrice is negative' } as const;
  return deadLetterFor(
    received,
    { ...rejection, errorClass: 'InvalidMessage', haltsGroup: undefined },
    messageBytesMax,
  );
}

describe('the copy for the dead-letter queue', () => {
  test('has the body as it was, the attributes as they were, and the reason', () => {
    expect(letterFor({ attributes: attributes(1), messageGroupId: 'customer', traceHeader: 'Root=1-a' })).toEqual({
      body: 'body',
      attributes: {
        own0: text('value'),
        RejectionReason: text('unitPrice is negative'),
        RejectionClass: text('InvalidMessage'),
        RejectionSourceQueue: text('orders'),
        RejectionMessageId: text('id-1'),
      },
      traceHeader: 'Root=1-a',
      messageGroupId: 'customer',
      deduplicationId: 'id-1:rejected',
    });
  });

  test('says why it was rejected this time when it had been rejected before', () => {
    const before = { ...attributes(6), RejectionReason: text('an old reason'), RejectionClass: text('KeyReused') };
    const letter = letterFor({ attributes: before });
    expect(Object.keys(letter.attributes)).toHaveLength(10);
    expect(letter.attributes.RejectionReason).toEqual(text('unitPrice is negative'));
  });

  test.each([
    [6, 10],
    [7, 7],
    [10, 10],
  ])('of a message with %i attributes has %i: SQS takes ten, and all four or none of ours', (own, all) => {
    expect(Object.keys(letterFor({ attributes: attributes(own) }).attributes)).toHaveLength(all);
  });

  test('has no reason where it would not fit into what the queue takes', () => {
    expect(letterFor({ body: 'x'.repeat(262_000) }, 262_144).attributes.RejectionReason).toBeUndefined();
    expect(letterFor({ body: 'x'.repeat(261_000) }, 262_144).attributes.RejectionReason).toBeDefined();
  });

  test('has no reason where it would not fit into 1 MiB', () => {
    const reasonOf = (message: Partial<ReceivedMessage>) => letterFor(message).attributes.RejectionReason;
    expect(reasonOf({ body: 'x'.repeat(1_048_576) })).toBeUndefined();
    expect(reasonOf({ body: 'é'.repeat(524_000) })).toBeUndefined();
    expect(reasonOf({ body: 'x'.repeat(1_048_576 - 1_024) })).toBeDefined();
    const big = { big: { DataType: 'Binary', BinaryValue: new Uint8Array(1_024) } };
    expect(reasonOf({ body: 'x'.repeat(1_048_576 - 1_024), attributes: big })).toBeUndefined();
  });
});
