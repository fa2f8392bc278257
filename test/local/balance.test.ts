import { describe, expect, test } from '@jest/globals';
import { isExact, type QueueEvidence, takeBalance, tellsEveryMessage } from '../../local/balance.ts';

const sent = (...orderIds: string[]) =>
  orderIds.map((orderId) => ({
    queue: 'orders' as const,
    send: 's',
    messageId: `m-${orderId}`,
    orderId,
    customerId: null,
  }));

const nothing: QueueEvidence = {
  queue: 'orders',
  sent: [],
  storedTimes: new Map(),
  rejectionReasons: new Map(),
  givenUp: new Set(),
  deadLetters: [],
  deadLetterDepth: 0,
  waiting: 0,
  suppressed: 0,
  suppressedUnseen: 0,
  outOfOrder: undefined,
  storedUnsent: 0,
};

const rejectedLetter = (orderId: string) => ({
  messageId: `copy-${orderId}`,
  body: '',
  rejectionReason: 'bad',
  rejectedMessageId: `m-${orderId}`,
});

const movedLetter = (orderId: string) => ({
  messageId: `m-${orderId}`,
  body: '',
  rejectionReason: undefined,
  rejectedMessageId: undefined,
});

describe('the balance', () => {
  test('has tables of orders and ledger, and of no worker that is called as what every object has', () => {
    expect(['orders', 'ledger', 'constructor'].map(tellsEveryMessage)).toEqual([true, true, false]);
  });

  test('is exact when everything is stored once or rejected with a reason', () => {
    const balance = takeBalance({
      ...nothing,
      sent: sent('1', '2'),
      storedTimes: new Map([['1', 1]]),
      rejectionReasons: new Map([['m-2', 'bad']]),
      deadLetters: [rejectedLetter('2')],
      deadLetterDepth: 1,
    });
    expect(balance).toMatchObject({
      sent: 2,
      stored: 1,
      rejected: 1,
      lost: 0,
      reasons: [{ reason: 'bad', count: 1, orderIds: ['2'] }],
    });
    expect(isExact(balance)).toBe(true);
  });

  test('believes a worker that suppressed what its tables cannot tell, and only up to that number', () => {
    const evidence = { ...nothing, sent: sent('1', '2', '3'), storedTimes: new Map([['1', 1]]) };
    expect(takeBalance({ ...evidence, suppressed: 1, suppressedUnseen: 1 })).toMatchObject({ stored: 2, lost: 1 });
    expect(takeBalance({ ...evidence, suppressed: 1 })).toMatchObject({ stored: 1, lost: 2 });
  });

  test('finds by its id the one message that is nowhere, though the counts agree', () => {
    const balance = takeBalance({
      ...nothing,
      sent: sent('1', '2'),
      storedTimes: new Map([
        ['1', 1],
        ['99', 1],
      ]),
    });
    expect(balance).toMatchObject({ stored: 1, lost: 1, lostOrders: ['2'] });
    expect(isExact(balance)).toBe(false);
  });

  test('counts as dead what a worker gave up for no reason that lies in the message, and as stored what was stored', () => {
    const balance = takeBalance({
      ...nothing,
      sent: sent('1', '2'),
      storedTimes: new Map([['2', 1]]),
      rejectionReasons: new Map([
        ['m-1', 'a bug'],
        ['m-2', 'a bug'],
      ]),
      givenUp: new Set(['m-1', 'm-2']),
      deadLetters: [rejectedLetter('1'), rejectedLetter('2')],
      deadLetterDepth: 2,
    });
    expect(balance).toMatchObject({ stored: 1, rejected: 0, dead: 1, lost: 0 });
    expect(balance.deadReasons).toEqual([{ reason: 'a bug', count: 1, orderIds: ['1'] }]);
    expect(isExact(balance)).toBe(false);
  });

  test('does not believe a reason in the table when the dead-letter queue has no such message', () => {
    const balance = takeBalance({ ...nothing, sent: sent('1'), rejectionReasons: new Map([['m-1', 'bad']]) });
    expect(balance).toMatchObject({ rejected: 0, lost: 1 });
  });

  test('believes as many reasons as a FIFO dead-letter queue has messages that it does not show', () => {
    const evidence = {
      ...nothing,
      sent: sent('1', '2', '3'),
      rejectionReasons: new Map([
        ['m-1', 'bad'],
        ['m-2', 'bad'],
        ['m-3', 'bad'],
      ]),
      deadLetters: [rejectedLetter('1')],
    };
    expect(takeBalance({ ...evidence, deadLetterDepth: 3 })).toMatchObject({ rejected: 3, lost: 0 });
    expect(takeBalance({ ...evidence, deadLetterDepth: 2 })).toMatchObject({ rejected: 2, lost: 1 });
  });

  test('knows by its body a rejected message whose copy had no room for the reason', () => {
    const bare = {
      messageId: 'copy',
      body: '{"payload":{"orderId":"1"}}',
      rejectionReason: undefined,
      rejectedMessageId: undefined,
    };
    const balance = takeBalance({
      ...nothing,
      sent: sent('1'),
      rejectionReasons: new Map([['m-1', 'bad']]),
      deadLetters: [bare],
      deadLetterDepth: 1,
    });
    expect(balance).toMatchObject({ rejected: 1, dead: 0, lost: 0 });
  });

  test('is not exact when SQS moved a message because it was received too often', () => {
    const balance = takeBalance({ ...nothing, sent: sent('1'), deadLetters: [movedLetter('1')], deadLetterDepth: 1 });
    expect(balance).toMatchObject({ dead: 1, rejected: 0, lost: 0 });
    expect(isExact(balance)).toBe(false);
  });

  test('counts a message as rejected when its key was stored before with another payload', () => {
    const balance = takeBalance({
      ...nothing,
      sent: sent('1'),
      storedTimes: new Map([['1', 1]]),
      rejectionReasons: new Map([['m-1', 'its key was committed before']]),
      deadLetters: [rejectedLetter('1')],
      deadLetterDepth: 1,
    });
    expect(balance).toMatchObject({ stored: 0, rejected: 1 });
  });

  test.each([
    ['stored twice', { storedTimes: new Map([['1', 2]]) }, { storedTwice: 1 }],
    ['out of order', { storedTimes: new Map([['1', 1]]), outOfOrder: 1 }, { outOfOrder: 1 }],
  ])('is not exact when something is %s', (_, evidence, expected) => {
    const balance = takeBalance({ ...nothing, sent: sent('1'), ...evidence });
    expect(balance).toMatchObject(expected);
    expect(isExact(balance)).toBe(false);
  });

  test('calls what is still in the queue waiting, and only as much of it as is missing', () => {
    const evidence = { ...nothing, sent: sent('1', '2'), storedTimes: new Map([['1', 1]]) };
    expect(takeBalance({ ...evidence, waiting: 5 })).toMatchObject({ waiting: 1, lost: 0 });
    expect(takeBalance({ ...evidence, waiting: 0 })).toMatchObject({ waiting: 0, lost: 1 });
  });
});
