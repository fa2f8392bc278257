/**
 * Where SQS's documentation is silent or can be read in two ways, the model does both: what is seen is collected over
 * many seeds. What the documentation promises is in test/conformance.
 */
import { describe, expect, test } from '@jest/globals';
import { nobody } from './nobody.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { settingsFrom } from './sqs-attributes.ts';
import type { Receipt } from './sqs-message.ts';
import { SqsModel } from './sqs-model.ts';
import { ServiceError } from './sqs-service-error.ts';
import type { QueueSettings } from './sqs-surroundings.ts';

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);
const VISIBILITY_SECONDS = 60;
/** Every freedom of a distributed queue is taken, for as long as the tests last. */
const QUIRKY = { sqsQuirks: 0.5, faultsEndMs: Number.POSITIVE_INFINITY };
const HOUR_SECONDS = 3_600;

function makeQueue(settings: Partial<QueueSettings> = {}, seed = 1) {
  const scheduler = new Scheduler('immediate');
  const all = { ...settingsFrom('work', {}), visibilityTimeoutSeconds: VISIBILITY_SECONDS, ...settings };
  const random = new Random(seed, 'sqs');
  const model = new SqsModel({ scheduler, settings: all, random, witness: nobody, count: () => {} });
  const pass = (seconds: number) => {
    const untilMs = scheduler.nowMs + seconds * 1000;
    scheduler.at(untilMs, () => {});
    return scheduler.run(() => scheduler.nowMs >= untilMs);
  };
  const send = (body: string, group?: string) =>
    model.send({ body, group, deduplicationId: body, attributes: {}, delaySeconds: undefined });
  const receive = async (messagesMax = 10, waitSeconds = 0, attemptId?: string): Promise<Receipt[]> => {
    let received: Receipt[] | undefined;
    const [worker, sentAtMs, visibilityTimeoutSeconds] = ['w1', scheduler.nowMs, undefined];
    const request = { worker, sentAtMs, waitSeconds, messagesMax, visibilityTimeoutSeconds, attemptId };
    model.receive(request, (receipts) => {
      received = receipts;
    });
    await scheduler.run(() => received !== undefined);
    return received ?? [];
  };
  const change = ({ handle }: Receipt, seconds: number) => model.handles.change(handle, seconds, scheduler.nowMs);
  return { model, pass, send, receive, change };
}

/** What is seen when each seed plays the same scene. */
async function seen(scene: (seed: number) => Promise<string>): Promise<string[]> {
  const outcomes = new Set<string>();
  for (const seed of SEEDS) outcomes.add(await scene(seed));
  return [...outcomes].sort();
}

const bodies = (receipts: readonly Receipt[]) => receipts.map(({ message }) => message.sent.body);

describe('a handle on a standard queue', () => {
  test('that was superseded deletes the message, or does not, and is never refused', async () => {
    const outcomes = await seen(async (seed) => {
      const { model, pass, send, receive } = makeQueue({}, seed);
      send('one');
      const [first] = await receive();
      await pass(VISIBILITY_SECONDS + 1);
      await receive();
      return `${model.handles.delete(first!.handle) ?? 'accepted'}, ${model.isEmpty ? 'deleted' : 'there'}`;
    });
    expect(outcomes).toEqual(['accepted, deleted', 'accepted, there']);
  });

  test('that was superseded changes the lease of the present holder, or is refused', async () => {
    const outcomes = await seen(async (seed) => {
      const { model, pass, send, receive, change } = makeQueue({}, seed);
      send('one');
      const [first] = await receive();
      await pass(VISIBILITY_SECONDS + 1);
      await receive();
      const answer = change(first!, 0) ?? 'accepted';
      await pass(1);
      return `${answer}, ${model.census().visible === 1 ? 'shown' : 'hidden'}`;
    });
    expect(outcomes).toEqual(['InvalidParameterValue, hidden', 'accepted, shown']);
  });

  test('that has expired deletes and changes visibility, or is refused', async () => {
    const play = (act: (queue: ReturnType<typeof makeQueue>, receipt: Receipt) => string | undefined) =>
      seen(async (seed) => {
        const queue = makeQueue(QUIRKY, seed);
        queue.send('one');
        let receipts: Receipt[] = [];
        while (receipts.length === 0) receipts = await queue.receive(10, 20);
        await queue.pass(VISIBILITY_SECONDS + 1);
        return act(queue, receipts[0]!) ?? 'accepted';
      });
    expect(await play(({ model }, { handle }) => model.handles.delete(handle))).toEqual([
      'ReceiptHandleIsInvalid',
      'accepted',
    ]);
    expect(await play(({ change }, receipt) => change(receipt, 30))).toEqual(['MessageNotInflight', 'accepted']);
  });
});

describe('a lease', () => {
  test('is never extended beyond twelve hours from this receive; from the first one it may be', async () => {
    const outcomes = await seen(async (seed) => {
      const { pass, send, receive, change } = makeQueue({}, seed);
      send('one');
      await receive();
      await pass(2 * HOUR_SECONDS);
      const [second] = await receive();
      await pass(10);
      const answers = [12 * HOUR_SECONDS, 12 * HOUR_SECONDS - 20, HOUR_SECONDS];
      return answers.map((seconds) => (change(second!, seconds) ?? 'accepted').split(':')[0]).join(', ');
    });
    expect(outcomes).toEqual([
      'InvalidParameterValue, InvalidParameterValue, accepted',
      'InvalidParameterValue, accepted, accepted',
    ]);
  });

  test('that ends the last receive has the message moved then, or when it would be received once more', async () => {
    const outcomes = await seen(async (seed) => {
      const { model, pass, send, receive } = makeQueue({ maxReceiveCount: 1 }, seed);
      send('one');
      await receive();
      await pass(VISIBILITY_SECONDS + 1);
      const before = model.messages[0]!.where;
      expect(await receive()).toEqual([]);
      return `${before}, ${model.messages[0]!.where}`;
    });
    expect(outcomes).toEqual(['dead-letter queue, dead-letter queue', 'source, dead-letter queue']);
  });
});

describe('too many messages in flight', () => {
  test('on a standard queue: a short poll fails, a long poll is silent', async () => {
    const { model, send, receive } = makeQueue({ inFlightMax: 2 });
    for (const body of ['one', 'two', 'three']) send(body);
    const held = await receive();
    expect(held).toHaveLength(2);
    await expect(receive()).rejects.toThrow(new ServiceError('OverLimit', 403));
    expect(await receive(10, 20)).toEqual([]);
    model.handles.delete(held[0]!.handle);
    expect(await receive()).toHaveLength(1);
  });

  test('on a FIFO queue: nothing comes, and nothing fails', async () => {
    const { send, receive } = makeQueue({ fifo: true, inFlightMax: 1 });
    send('one', 'a');
    send('two', 'b');
    expect(bodies(await receive())).toEqual(['one']);
    expect(await receive()).toEqual([]);
  });
});

describe('a FIFO group whose head was received', () => {
  async function afterHead(settings: Partial<QueueSettings>, headSeconds?: number): Promise<string[]> {
    const { pass, send, receive, change } = makeQueue({ fifo: true, ...settings });
    send('head', 'a');
    send('tail', 'a');
    const [head] = await receive(1);
    await pass(1);
    if (headSeconds !== undefined) expect(change(head!, headSeconds)).toBeUndefined();
    return bodies(await receive());
  }
  const secondReading = { delayedHeadsArePassed: true };

  test('shows nothing while the head is in flight, under its first lease or an extension, in either reading', async () => {
    for (const settings of [{}, secondReading]) {
      expect(await afterHead(settings)).toEqual([]);
      expect(await afterHead(settings, VISIBILITY_SECONDS)).toEqual([]);
    }
  });

  test('shows the tail behind a head given back with a delay in the second reading only', async () => {
    expect(await afterHead({}, 15)).toEqual([]);
    expect(await afterHead(secondReading, 15)).toEqual(['tail']);
  });

  test('shows the head first when it is given back at once', async () => {
    expect(await afterHead({}, 0)).toEqual(['head', 'tail']);
    expect(await afterHead(secondReading, 0)).toEqual(['head', 'tail']);
  });

  test('hides other groups when it fills what SQS searches', async () => {
    const { send, receive } = makeQueue({ fifo: true, groupSearchMax: 3 });
    for (const body of ['one', 'two', 'three']) send(body, 'a');
    send('other', 'b');
    expect(await receive(1)).toHaveLength(1);
    expect(await receive()).toEqual([]);
  });
});

describe('an attempt to receive from a FIFO queue that is repeated', () => {
  test('brings the same handles, and raises the receive count, or does not', async () => {
    const outcomes = await seen(async (seed) => {
      const { send, receive } = makeQueue({ fifo: true }, seed);
      send('one', 'a');
      const first = await receive(10, 0, 'attempt');
      const second = await receive(10, 0, 'attempt');
      expect(second).toEqual(first);
      return String(second[0]!.message.receiveCount);
    });
    expect(outcomes).toEqual(['1', '2']);
  });

  test('sets the visibility timeout anew', async () => {
    const { pass, send, receive } = makeQueue({ fifo: true });
    send('one', 'a');
    await receive(10, 0, 'attempt');
    await pass(VISIBILITY_SECONDS - 10);
    await receive(10, 0, 'attempt');
    await pass(20);
    expect(await receive()).toEqual([]);
  });

  test('brings nothing once a message was touched', async () => {
    const { send, receive, change } = makeQueue({ fifo: true });
    send('one', 'a');
    const [one] = await receive(10, 0, 'attempt');
    change(one!, VISIBILITY_SECONDS);
    expect(await receive(10, 0, 'attempt')).toEqual([]);
  });
});

describe('sequence numbers', () => {
  test('have 20 digits, grow, leave numbers out, and are too large for 64 bits with a sign', () => {
    const { send } = makeQueue({ fifo: true });
    const numbers = ['one', 'two', 'three'].map((body) => send(body, 'a').sequenceNumber!);
    expect(numbers).toEqual(numbers.map(() => expect.stringMatching(/^\d{20}$/)));
    expect([...numbers].sort()).toEqual(numbers);
    expect(BigInt(numbers[2]!) - BigInt(numbers[0]!)).toBeGreaterThan(2n);
    expect(BigInt(numbers[0]!)).toBeGreaterThan(2n ** 63n);
  });

  test('are new in the dead-letter queue, and new again when a person moves the message back', async () => {
    const source = makeQueue({ fifo: true, maxReceiveCount: 1 });
    const deadLetters = makeQueue({ fifo: true });
    source.model.deadLetterQueue = deadLetters.model;
    deadLetters.send('something older', 'b');
    const sent = source.send('one', 'a');
    await source.receive();
    await source.pass(VISIBILITY_SECONDS + 1);
    await source.receive();
    const moved = deadLetters.model.messages[1]!;
    expect(moved).toMatchObject({ messageId: sent.messageId, deduplicationId: sent.messageId });
    expect(moved.sequenceNumber).not.toBe(sent.sequenceNumber);
    deadLetters.model.moveBack();
    const again = source.model.messages[1]!;
    expect(again.messageId).not.toBe(sent.messageId);
    expect(BigInt(again.sequenceNumber!)).toBeGreaterThan(BigInt(sent.sequenceNumber!));
    expect(bodies(await source.receive())).toEqual(['one']);
  });
});
