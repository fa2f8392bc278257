import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type AcceptedMessage,
  SEND_LIMITS,
  type SendBatch,
  SendError,
  type SendProgress,
  sendOrders,
} from '../../producer/send-orders.ts';
import {
  type EntryFate,
  ordersOfCustomers,
  queueUrls,
  type RequestFate,
  reader,
  ScriptedSqs,
  virtualClock,
} from './scripted-sqs.ts';

const entryFate: fc.Arbitrary<EntryFate> = fc.constantFrom('accept', 'accept', 'fail', 'omit accepted', 'omit refused');

const requestFate: fc.Arbitrary<RequestFate> = fc.record({
  call: fc.constantFrom('answer', 'answer', 'answer', 'lose the request', 'lose the answer', 'throttle'),
  entries: fc.array(entryFate, { maxLength: 10 }),
  turns: fc.nat(5),
});

const customers = fc.array(fc.constantFrom(null, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k'), {
  maxLength: 120,
});

/** Ready to send to SQS as the script makes it, without waiting. */
function sending(sqs: ScriptedSqs, ofCustomers: readonly (string | null)[], bodyBytes?: number) {
  const orders = ordersOfCustomers(ofCustomers, bodyBytes);
  return { orders: reader(orders), queueUrls, sendBatch: sqs.sendBatch, clock: virtualClock(), random: () => 0.5 };
}

const faultOf = async (sent: Promise<unknown>): Promise<SendError> => {
  const error = await sent.catch((fault: unknown) => fault);
  if (!(error instanceof SendError)) throw new Error(`expected a SendError, got ${String(error)}`);
  return error;
};

describe('whatever fails on the way', () => {
  test('nothing is lost, the ledger gets nothing twice, and each customer keeps the order of the file', async () => {
    await fc.assert(
      fc.asyncProperty(
        customers,
        fc.array(requestFate, { maxLength: 60 }),
        fc.integer({ min: 1, max: 40 }),
        async (ofCustomers, script, lookAhead) => {
          const sqs = new ScriptedSqs(script);
          const accepted: AcceptedMessage[] = [];
          const limits = { attemptsMax: 1000, tryingMsMax: Number.POSITIVE_INFINITY, pendingMessagesMax: lookAhead };
          const onAccepted = (message: AcceptedMessage) => accepted.push(message);
          const summary = await sendOrders({ ...sending(sqs, ofCustomers), limits, onAccepted });

          const bodies = ordersOfCustomers(ofCustomers).map(({ customerId, body }) => ({ groupId: customerId, body }));
          expect(new Set(sqs.accepted.orders.map(({ body }) => body))).toEqual(new Set(bodies.map(({ body }) => body)));
          const sentToLedger = bodies.filter(({ groupId }) => groupId !== null);
          expect(Map.groupBy(sqs.accepted.ledger, ({ groupId }) => groupId)).toEqual(
            Map.groupBy(sentToLedger, ({ groupId }) => groupId),
          );
          expect(summary.messages).toEqual({ orders: bodies.length, ledger: sentToLedger.length });
          expect(accepted.map(({ queue, orderId }) => `${queue} ${orderId}`).toSorted()).toEqual(
            ordersOfCustomers(ofCustomers)
              .flatMap(({ orderId, customerId }) => [`orders ${orderId}`, ...(customerId ? [`ledger ${orderId}`] : [])])
              .toSorted(),
          );
          expect(sqs.inFlight).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('requests', () => {
  test('are full but for the last, when nothing fails', async () => {
    const sqs = new ScriptedSqs();
    const { requests, acceptedMessages } = await sendOrders(sending(sqs, Array(95).fill(null)));
    expect(sqs.requestSizes).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 5]);
    expect({ requests, acceptedMessages }).toEqual({ requests: 10, acceptedMessages: 95 });
  });

  test('hold at most 1 MiB together: two bodies of 400 KiB, or one of 1 MiB', async () => {
    const sqs = new ScriptedSqs();
    await sendOrders(sending(sqs, Array(5).fill(null), 400 * 1024));
    expect(sqs.requestSizes).toEqual([2, 2, 1]);
    const large = new ScriptedSqs();
    await sendOrders(sending(large, Array(3).fill(null), 1024 * 1024));
    expect(large.requestSizes).toEqual([1, 1, 1]);
  });

  test('are in flight together up to the limit per queue, and no further', async () => {
    const slow = Array.from({ length: 30 }, (): RequestFate => ({ call: 'answer', entries: [], turns: 3 }));
    const sqs = new ScriptedSqs(slow);
    await sendOrders({ ...sending(sqs, Array(300).fill(null)), limits: { requestsInFlightMax: 3 } });
    expect(sqs.inFlightMax).toBe(3);
  });

  test('go out part full when one customer fills the look-ahead, one entry after the other', async () => {
    const sqs = new ScriptedSqs();
    await sendOrders({ ...sending(sqs, Array(20).fill('a')), limits: { pendingMessagesMax: 6 } });
    expect(sqs.accepted.ledger.map(({ body }) => Number(body))).toEqual(
      Array.from({ length: 20 }, (_, index) => index),
    );
  });

  test('carry a message group and a deduplication id to the ledger only', async () => {
    const inputs: Parameters<SendBatch>[0][] = [];
    const sqs = new ScriptedSqs();
    const sendBatch: SendBatch = (input) => {
      inputs.push(input);
      return sqs.sendBatch(input);
    };
    await sendOrders({ ...sending(sqs, ['17850', null]), sendBatch, sendId: 'send-1' });
    expect(inputs).toEqual([
      {
        QueueUrl: queueUrls.orders,
        Entries: [
          { Id: '0', MessageBody: '0'.padStart(20) },
          { Id: '1', MessageBody: '1'.padStart(20) },
        ],
      },
      {
        QueueUrl: queueUrls.ledger,
        Entries: [
          {
            Id: '0',
            MessageBody: '0'.padStart(20),
            MessageGroupId: '17850',
            MessageDeduplicationId: 'send-1:order-0',
          },
        ],
      },
    ]);
  });
});

describe('reading ahead', () => {
  test('stops at the look-ahead while nothing is accepted', async () => {
    const seen: { read?: number } = {};
    const released = Promise.withResolvers<void>();
    const sqs = new ScriptedSqs();
    const sent = sendOrders({
      ...sending(sqs, []),
      orders: reader(ordersOfCustomers(Array(500).fill(null)), seen),
      sendBatch: async (input) => {
        await released.promise;
        return sqs.sendBatch(input);
      },
      limits: { pendingMessagesMax: 50 },
    });
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(seen.read).toBe(50);
    released.resolve();
    expect((await sent).orders).toBe(500);
  });

  test('stops at so many bytes, too', async () => {
    let bytesInFlight = 0;
    let bytesInFlightMax = 0;
    const sqs = new ScriptedSqs();
    await sendOrders({
      ...sending(sqs, Array(50).fill(null), 1000),
      sendBatch: async (input) => {
        const bytes = 1000 * (input.Entries?.length ?? 0);
        bytesInFlight += bytes;
        bytesInFlightMax = Math.max(bytesInFlightMax, bytesInFlight);
        await new Promise(setImmediate);
        bytesInFlight -= bytes;
        return sqs.sendBatch(input);
      },
      limits: { pendingBytesMax: 5000 },
    });
    expect(bytesInFlightMax).toBe(5000);
  });
});

describe('an entry that failed', () => {
  test('is sent again alone, after a wait, and the others are not', async () => {
    const sqs = new ScriptedSqs([{ call: 'answer', entries: ['accept', 'fail', 'accept'], turns: 0 }]);
    const options = sending(sqs, [null, null, null]);
    const summary = await sendOrders(options);
    expect(sqs.requestSizes).toEqual([3, 1]);
    expect(sqs.accepted.orders).toHaveLength(3);
    expect(summary).toMatchObject({ requests: 2, retriedEntries: 1, acceptedMessages: 3 });
    expect(options.clock.waits).toEqual([100]);
  });

  test('is sent again however little time passes between two looks at the clock', async () => {
    const stepMs = 0.01;
    for (let halfSteps = 0; halfSteps < 20; halfSteps += 1) {
      const sqs = new ScriptedSqs([{ call: 'lose the request', entries: [], turns: 0 }]);
      const clock = virtualClock();
      let looks = 0;
      const nowMs = () => clock.nowMs() + stepMs * looks++;
      const limits = { backoffFirstMs: (halfSteps * stepMs) / 2 };
      await sendOrders({ ...sending(sqs, [null]), clock: { ...clock, nowMs }, random: () => 1, limits });
      expect(sqs.accepted.orders).toHaveLength(1);
    }
  });

  test('waits at most 0.2, 0.4, 0.8 … and 20 s, and is given up after 20 attempts', async () => {
    const sqs = new ScriptedSqs(Array(100).fill({ call: 'throttle', entries: [], turns: 0 }));
    const limits = { tryingMsMax: Number.POSITIVE_INFINITY };
    const options = { ...sending(sqs, [null]), limits, random: () => 1, messagesTotal: 1 };
    const error = await faultOf(sendOrders(options));
    const longest = [200, 400, 800, 1600, 3200, 6400, 12_800, ...Array(12).fill(20_000)];
    expect(options.clock.waits).toEqual(longest);
    expect(error.message).toBe(
      `cannot send order order-0 to the queue orders (${queueUrls.orders}) after 20 attempts in 265 s: ` +
        'ThrottlingException, Rate exceeded. 0 of 1 messages were accepted; ' +
        'send the file again, and the workers store nothing twice.',
    );
    expect(error.cause).toMatchObject({ name: 'ThrottlingException' });
  });

  test('is given up before SQS could forget its deduplication id', async () => {
    const sqs = new ScriptedSqs(Array(100).fill({ call: 'lose the answer', entries: [], turns: 0 }));
    const options = { ...sending(sqs, ['a']), random: () => 1 };
    await faultOf(sendOrders(options));
    const lastRequestMs = options.clock.waits.reduce((sum, ms) => sum + ms, 0);
    const fiveMinutesMs = 300_000;
    expect(lastRequestMs).toBeLessThanOrEqual(SEND_LIMITS.tryingMsMax + SEND_LIMITS.backoffMaxMs);
    expect(lastRequestMs).toBeLessThan(fiveMinutesMs);
  });

  test('by its sender’s fault is not sent again: sending fails with the reason, and what is in flight finishes', async () => {
    const sqs = new ScriptedSqs(Array(8).fill({ call: 'answer', entries: [], turns: 4 }));
    let calls = 0;
    const seen: { closed?: boolean } = {};
    const error = await faultOf(
      sendOrders({
        ...sending(sqs, []),
        orders: reader(ordersOfCustomers(Array(300).fill(null)), seen),
        messagesTotal: 300,
        sendBatch: async (input) => {
          calls += 1;
          if (calls !== 3) return sqs.sendBatch(input);
          const Failed = [
            { Id: '0', SenderFault: true, Code: 'InvalidMessageContents', Message: 'Invalid characters.' },
          ];
          return { Successful: [], Failed };
        },
      }),
    );
    const accepted = sqs.accepted.orders.length;
    expect(error.message).toBe(
      `cannot send order order-20 to the queue orders (${queueUrls.orders}): ` +
        `InvalidMessageContents, Invalid characters. ${accepted} of 300 messages were accepted; ` +
        'send the file again, and the workers store nothing twice.',
    );
    expect(error.summary).toMatchObject({ orders: accepted, requests: calls });
    expect(accepted).toBe(10 * (calls - 1));
    expect(sqs.inFlight).toBe(0);
    expect(seen.closed).toBe(true);
  });

  test('by throttling is sent again even where SQS calls that the sender’s fault', async () => {
    const sqs = new ScriptedSqs();
    let calls = 0;
    const sendBatch: SendBatch = async (input) => {
      calls += 1;
      if (calls > 1) return sqs.sendBatch(input);
      return { Successful: [], Failed: [{ Id: '0', SenderFault: true, Code: 'KMS.ThrottlingException' }] };
    };
    expect(await sendOrders({ ...sending(sqs, [null]), sendBatch })).toMatchObject({ orders: 1, requests: 2 });
  });
});

describe('a request that can never succeed', () => {
  const service = (name: string, httpStatusCode: number) =>
    Object.assign(new Error('No.'), { name, $metadata: { httpStatusCode } });

  test.each([
    [
      service('QueueDoesNotExist', 400),
      'it does not exist. Deploy it, or check the queue URL, the stage and the region.',
    ],
    [service('AccessDenied', 403), 'access is denied (AccessDenied, No). Allow sqs:SendMessage on the queue.'],
    [
      service('KmsAccessDenied', 400),
      'access to its key is denied. Allow kms:GenerateDataKey and kms:Decrypt on the key.',
    ],
    [
      service('InvalidClientTokenId', 403),
      'the AWS credentials do not work (InvalidClientTokenId, No). Log in again, or set the credentials.',
    ],
    [
      Object.assign(new Error('No providers.'), { name: 'CredentialsProviderError' }),
      'the AWS credentials do not work (CredentialsProviderError, No providers). Log in again, or set the credentials.',
    ],
    [service('UnsupportedOperation', 400), 'SQS refuses the request (UnsupportedOperation, No).'],
  ])('is not sent again: %s', async (thrown, sentence) => {
    let calls = 0;
    const sendBatch: SendBatch = async () => {
      calls += 1;
      throw thrown;
    };
    const error = await faultOf(sendOrders({ ...sending(new ScriptedSqs(), [null]), sendBatch }));
    expect(calls).toBe(1);
    expect(error.message).toContain(
      `cannot send order order-0 to the queue orders (${queueUrls.orders}): ${sentence} 0 messages`,
    );
    expect(error.cause).toBe(thrown);
  });
});

describe('sending that is told to stop', () => {
  test('reads no further, finishes what is in flight, and says that it was interrupted', async () => {
    const stop = new AbortController();
    const sqs = new ScriptedSqs(Array(100).fill({ call: 'answer', entries: [], turns: 2 }));
    const seen: { read?: number; closed?: boolean } = {};
    const summary = await sendOrders({
      ...sending(sqs, []),
      orders: reader(ordersOfCustomers(Array(5000).fill('a')), seen),
      signal: stop.signal,
      limits: { pendingMessagesMax: 100 },
      onAccepted: () => {
        if (sqs.accepted.orders.length >= 20) stop.abort();
      },
    });
    expect(summary.interrupted).toBe(true);
    expect(summary.messages).toEqual({ orders: sqs.accepted.orders.length, ledger: sqs.accepted.ledger.length });
    expect(sqs.inFlight).toBe(0);
    expect(seen.read).toBeLessThan(300);
    expect(seen.closed).toBe(true);
  });

  test('does not wait for the end of a back-off', async () => {
    const stop = new AbortController();
    const sqs = new ScriptedSqs(Array(100).fill({ call: 'throttle', entries: [], turns: 0 }));
    const clock = {
      nowMs: () => 0,
      wait: (_: number, signal: AbortSignal) =>
        new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    };
    const sent = sendOrders({ ...sending(sqs, [null]), clock, signal: stop.signal });
    await new Promise(setImmediate);
    stop.abort();
    expect(await sent).toMatchObject({ interrupted: true, orders: 0, requests: 1 });
  });

  test('before it began sends nothing; after the last order it has not been interrupted', async () => {
    const sqs = new ScriptedSqs();
    const before = await sendOrders({ ...sending(sqs, [null, null]), signal: AbortSignal.abort() });
    expect(before).toMatchObject({ interrupted: true, requests: 0 });
    const late = new AbortController();
    const onProgress = ({ acceptedMessages }: SendProgress) => acceptedMessages === 2 && late.abort();
    const after = await sendOrders({ ...sending(sqs, [null, null]), signal: late.signal, onProgress });
    expect(after).toMatchObject({ interrupted: false, orders: 2 });
  });
});

describe('sending that cannot go on', () => {
  test('because the file cannot be read any more keeps the reason and says what was accepted', async () => {
    const sqs = new ScriptedSqs();
    const cause = new Error('cannot read orders.csv: it changed while it was being read.');
    const orders = (async function* () {
      yield* ordersOfCustomers(Array(25).fill(null));
      await new Promise(setImmediate);
      throw cause;
    })();
    const error = await faultOf(sendOrders({ ...sending(sqs, []), orders }));
    expect(error.message).toBe(
      'cannot go on: cannot read orders.csv: it changed while it was being read. ' +
        '20 messages were accepted; send the file again, and the workers store nothing twice.',
    );
    expect(error.cause).toBe(cause);
    expect(sqs.accepted.orders).toHaveLength(20);
  });

  test('because a callback throws books what was accepted all the same', async () => {
    const onAccepted = () => {
      throw new Error('no room to note it');
    };
    const error = await faultOf(sendOrders({ ...sending(new ScriptedSqs(), [null, null]), onAccepted }));
    expect(error.message).toMatch(/^cannot go on: no room to note it\. 2 messages were accepted/);
  });
});

test('progress counts up to the end, with every request', async () => {
  const steps: SendProgress[] = [];
  const sqs = new ScriptedSqs([{ call: 'lose the request', entries: [], turns: 0 }]);
  await sendOrders({
    ...sending(sqs, Array(15).fill(null)),
    messagesTotal: 15,
    onProgress: (step) => steps.push(step),
  });
  expect(steps.map(({ acceptedMessages }) => acceptedMessages)).toEqual([0, 5, 15]);
  expect(steps.at(-1)).toEqual({ acceptedMessages: 15, messagesTotal: 15, requests: 3, retriedEntries: 10 });
});
