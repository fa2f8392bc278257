import { describe, expect, test } from '@jest/globals';
import { body, held, Rig, rejected, retried, stored } from './rig.ts';

const hang = () => new Promise<never>(() => {});
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a consumer', () => {
  test('deletes what was stored, in one batch, and keeps nothing', async () => {
    const rig = new Rig();
    for (const id of upTo(10)) rig.queue.send(body(id));
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.handled).toEqual([upTo(10)]);
    expect(rig.queue.deletes).toHaveLength(1);
    expect((await rig.stop(1)).unsettled).toBe(0);
    expect(rig.counts).toMatchObject({ received: 10, stored: 10 });
  });

  test('deletes nothing before the handler has answered', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    const commit = Promise.withResolvers<(typeof stored)[]>();
    rig.handle = () => commit.promise;
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    await rig.time.pass(1_000);
    expect(rig.queue.deletes).toEqual([]);
    commit.resolve([stored]);
    await rig.time.until('the delete', () => rig.queue.left.length === 0);
  });

  test('holds at most 80 messages, however many wait, because a receive needs ten free places', async () => {
    const rig = new Rig();
    for (const id of upTo(200)) rig.queue.send(body(id));
    rig.handle = hang;
    rig.start();
    await rig.time.pass(10_000);
    expect(rig.handled.flat()).toHaveLength(80);
    expect(rig.queue.receives).toBe(8);
    expect(rig.queue.pollsUnderWayMax).toBeLessThanOrEqual(4);
  });

  test('waits with one poll while the queue is empty', async () => {
    const rig = new Rig().start();
    await rig.time.pass(59_000);
    expect(rig.queue.receives).toBe(3);
    expect(rig.queue.pollsUnderWayMax).toBe(1);
  });

  test('goes on after receives that fail, first soon and then less often', async () => {
    const rig = new Rig();
    let failing = true;
    rig.queue.faults.call = (operation) => {
      if (operation === 'receive' && failing) throw new Error('socket hang up');
    };
    rig.queue.send(body(1));
    rig.start();
    await rig.time.pass(60_000);
    expect(rig.queue.receives).toBe(11);
    failing = false;
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0, 10_000);
  });

  test('takes a delivery once that SQS names twice, in one answer or in two', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = hang;
    const receive = rig.queue.receive.bind(rig.queue);
    const named: Awaited<ReturnType<typeof receive>> = [];
    rig.queue.receive = async (signal) => {
      if (named.length === 0) named.push(...(await receive(signal)));
      else if (rig.queue.receives++ > 3) return receive(signal);
      return [...named, ...named];
    };
    rig.start();
    await rig.time.pass(5_000);
    expect(rig.handled).toEqual([[1]]);
    expect(rig.ended).toBeUndefined();
  });
});

describe('settling', () => {
  test('tells again only the entries that the service failed, until it has heard', async () => {
    const rig = new Rig();
    for (const id of upTo(4)) rig.queue.send(body(id));
    const failures = new Map([
      ['m2', 1],
      ['m3', 2],
    ]);
    rig.queue.faults.entry = (operation, id) => {
      const left = failures.get(id) ?? 0;
      failures.set(id, left - 1);
      return operation === 'delete' && left > 0;
    };
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.deletes).toEqual([['m1', 'm2', 'm3', 'm4'], ['m2', 'm3'], ['m3']]);
  });

  test('tells all entries again when a call failed as a whole', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    let calls = 0;
    rig.queue.faults.call = (operation) => {
      if (operation === 'delete' && ++calls < 3) throw new Error('503');
    };
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.deletes).toEqual([['m1'], ['m1'], ['m1']]);
  });

  test('gives up after five calls, frees the places, and the message comes again', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.queue.faults.entry = () => rig.queue.deletes.length <= 5;
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.handled).toEqual([[1], [1]]);
    expect(rig.queue.deletes).toHaveLength(6);
  });

  test('takes a stale handle for settled: whoever has the message now will delete it', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    let firstTime = true;
    rig.handle = async () => {
      // The extensions get lost, so that the lease ends in the hands of this handler.
      if (firstTime) {
        firstTime = false;
        rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
        await rig.time.sleep(90_000);
      }
      return [stored];
    };
    rig.start();
    await rig.time.until('both', () => rig.handled.length === 2 && rig.queue.deletes.length >= 2, 200_000);
    await rig.time.pass(60_000);
    expect(rig.queue.left).toEqual([]);
    expect(rig.queue.deletes).toEqual([['m1'], ['m1']]);
  });
});

describe('a message that has to come again', () => {
  test('waits longer each time: 15 s, 30 s, 60 s at most', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = () => (rig.handled.length < 4 ? [retried] : [stored]);
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.changes.map(({ entries }) => entries)).toEqual([[['m1', 15]], [['m1', 30]], [['m1', 60]]]);
  });

  test('of a newer version than the worker knows is given back and never rejected', async () => {
    const rig = new Rig();
    rig.queue.send(body(1, 2));
    rig.queue.send(body(2));
    rig.start();
    await rig.time.until('the other one stored', () => rig.queue.left.length === 1);
    await rig.time.pass(1_000_000);
    expect(rig.queue.changes.flatMap(({ entries }) => entries).slice(0, 3)).toEqual([
      ['m1', 300],
      ['m1', 600],
      ['m1', 1200],
    ]);
    expect(rig.queue.deadLetters).toEqual([]);
    expect(rig.handled).toEqual([[2]]);
  });

  test('is not given back when its lease was lost: it may be in other hands', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
    const may: boolean[] = [];
    rig.handle = async (_, mayCommit) => {
      if (rig.handled.length > 1) return hang();
      may.push(mayCommit());
      await rig.time.sleep(61_000);
      may.push(mayCommit());
      return [retried];
    };
    rig.start();
    await rig.time.until('two answers', () => may.length >= 2);
    await rig.time.pass(10);
    expect(may).toEqual([true, false]);
    expect(rig.counts).toMatchObject({ leasesLost: 1, retried: 0 });
  });
});

describe('on a FIFO queue', () => {
  test('a newer head keeps its tail back for the same time and in the same call, while other groups go on', async () => {
    const rig = new Rig({ fifo: true });
    rig.queue.send(body(1, 2), 'a');
    rig.queue.send(body(2), 'b');
    rig.queue.send(body(3), 'a');
    rig.queue.send(body(4), 'b');
    rig.queue.send(body(5), 'a');
    rig.start();
    await rig.time.until('the other group stored', () => rig.queue.left.length === 3);
    expect(rig.handled).toEqual([[2, 4]]);
    expect(rig.queue.changes.map(({ entries }) => entries)).toEqual([
      [
        ['m1', 300],
        ['m3', 300],
        ['m5', 300],
      ],
    ]);
  });

  test('a head that the handler gave back and the tail behind it get one delay, and come again in their order', async () => {
    const rig = new Rig({ fifo: true });
    for (const id of upTo(3)) rig.queue.send(body(id), 'a');
    rig.handle = (ids) => ids.map(() => (rig.handled.length === 1 ? retried : stored));
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.changes.map(({ entries }) => entries)).toEqual([
      [
        ['m1', 15],
        ['m2', 15],
        ['m3', 15],
      ],
    ]);
    expect(rig.handled).toEqual([upTo(3), upTo(3)]);
  });

  test('a head that the handler gave back takes the delay of a newer one behind it', async () => {
    const rig = new Rig({ fifo: true });
    rig.queue.send(body(1), 'a');
    rig.queue.send(body(2, 2), 'a');
    rig.handle = () => [retried];
    rig.start();
    await rig.time.until('the return', () => rig.queue.changes.length === 1);
    expect(rig.queue.changes[0]!.entries).toEqual([
      ['m1', 300],
      ['m2', 300],
    ]);
  });

  test('a rejected head is skipped', async () => {
    const rig = new Rig({ fifo: true });
    rig.queue.send('not JSON', 'a');
    rig.queue.send(body(2), 'a');
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.handled).toEqual([[2]]);
    expect(rig.queue.deadLetters).toMatchObject([{ body: 'not JSON', messageGroupId: 'a' }]);
  });

  test('groups reach the handler; on a standard queue they are only tenants, and nothing waits behind another', async () => {
    const fifo = new Rig({ fifo: true });
    const standard = new Rig();
    for (const rig of [fifo, standard]) {
      rig.queue.send(body(1, 2), 'a');
      rig.queue.send(body(2), 'a');
      rig.queue.send(body(3), 'b');
      rig.start();
      await rig.time.pass(1_000);
    }
    expect(fifo.groupsHandled).toEqual(['b']);
    expect(standard.handled).toEqual([[2, 3]]);
    expect(standard.groupsHandled).toEqual([undefined, undefined]);
  });
});

describe('rejecting', () => {
  test('records the reason, sends the copy, and deletes only then', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    const order: string[] = [];
    rig.recordRejection = () => order.push('record');
    rig.queue.faults.call = (operation) => {
      if (operation !== 'receive') order.push(operation);
    };
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(order).toEqual(['record', 'send', 'delete']);
    expect(rig.rejections).toMatchObject([{ queueName: 'work', messageId: 'm1', errorClass: 'InvalidMessage' }]);
    expect(rig.queue.deadLetters[0]!.attributes).toMatchObject({ RejectionMessageId: { StringValue: 'm1' } });
    expect(rig.counts).toMatchObject({ rejected: 1, stored: 0 });
  });

  test('keeps a message whose copy could not be sent, and tries again later rather than at once', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    let sends = 0;
    rig.queue.faults.call = (operation) => {
      if (operation === 'send' && ++sends < 3) throw new Error('the dead-letter queue is away');
    };
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.changes.map(({ entries }) => entries)).toEqual([[['m1', 15]], [['m1', 30]]]);
    expect(rig.queue.deadLetters).toHaveLength(1);
    expect(rig.counts).toMatchObject({ received: 3, rejected: 1, retried: 2 });
  });

  test('does not hold up the others, and keeps the lease while a send hangs', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    rig.queue.send(body(2));
    const send = Promise.withResolvers<void>();
    rig.queue.faults.call = (operation) => (operation === 'send' ? send.promise : undefined);
    rig.start();
    await rig.time.until('the other one deleted', () => rig.queue.left.length === 1, 1_000);
    await rig.time.pass(100_000);
    expect(rig.queue.left).toMatchObject([{ messageId: 'm1', receiveCount: 1 }]);
    send.resolve();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
  });

  test('waits for a database that cannot record the reason, without receiving the message again', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    let away = true;
    rig.probe = () => !away;
    rig.recordRejection = () => {
      if (away) throw new Error('connection refused');
    };
    rig.start();
    await rig.time.pass(100_000);
    expect(rig.queue.left).toMatchObject([{ receiveCount: 1 }]);
    // The second was under way when the database went.
    expect(rig.queue.receives).toBeLessThanOrEqual(2);
    away = false;
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.deadLetters).toHaveLength(1);
  });

  test('gives a reason that SQS accepts, whatever the handler quotes', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = () => [rejected(`invalid: "\u0001\uffff${'x'.repeat(300)}"`)];
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.rejections[0]!.reason).toMatch(/^[\x20-\x7e]{1,200}$/);
  });
});

describe('while the database is away', () => {
  test('receives nothing, keeps what it holds, and hands it over again when the probe answers', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    let away = true;
    rig.probe = () => !away;
    rig.handle = () => (away ? [held] : [stored]);
    rig.start();
    await rig.time.until('the outage', () => rig.probes > 0);
    const receives = rig.queue.receives;
    rig.queue.send(body(2));
    await rig.time.pass(200_000);
    expect(rig.queue.receives).toBe(receives);
    expect(rig.queue.left.map(({ receiveCount }) => receiveCount)).toEqual([1, 0]);
    away = false;
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0, 10_000);
    expect(rig.handled.map(String).sort()).toEqual(['1', '1', '2']);
    expect(rig.counts).toMatchObject({ received: 2, stored: 2, retried: 0 });
  });

  test('hands over again only what was held', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.queue.send(body(2));
    rig.handle = (ids) => ids.map((id) => (id === 2 && rig.handled.length === 1 ? held : stored));
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.handled).toEqual([[1, 2], [2]]);
  });

  test('tries seldom while the probe answers but nothing can be stored', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = () => [held];
    rig.start();
    await rig.time.pass(60_000);
    expect(rig.handled.length).toBeGreaterThan(10);
    expect(rig.handled.length).toBeLessThan(20);
  });

  test('tries again soon when there has been a commit since the outage before', async () => {
    const rig = new Rig();
    const storedAtMs: number[] = [];
    let failures = 0;
    rig.handle = (ids) => {
      if (failures > 0) {
        failures -= 1;
        return ids.map(() => held);
      }
      storedAtMs.push(rig.time.monotonicMs());
      return ids.map(() => stored);
    };
    rig.start();
    for (const outage of [1, 2]) {
      failures = 4;
      rig.queue.send(body(outage));
      await rig.time.until('a commit', () => storedAtMs.length === outage);
      await rig.time.pass(100_000);
    }
    const [first, second] = storedAtMs;
    expect(second! - first! - 100_000).toBeLessThanOrEqual(250 + 500 + 1_000 + 2_000 + 1_000);
  });

  test('gives back after five minutes what it cannot store', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.probe = () => false;
    rig.handle = () => [held];
    rig.start();
    await rig.time.until('the return', () => rig.queue.left[0]!.receiveCount === 1 && rig.counts.retried === 1);
    expect(rig.time.monotonicMs()).toBeGreaterThanOrEqual(300_000);
    expect(rig.time.monotonicMs()).toBeLessThan(310_000);
    expect(rig.queue.changes.at(-1)!.entries).toEqual([['m1', 15]]);
  });

  test('gives back at once what it holds when it is stopped', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.probe = () => false;
    rig.handle = () => [held];
    rig.start();
    await rig.time.until('the outage', () => rig.probes > 0);
    expect((await rig.stop(10)).unsettled).toBe(0);
    expect(rig.queue.left).toEqual([{ messageId: 'm1', receiveCount: 1, hiddenSeconds: 0 }]);
  });
});

describe('leases', () => {
  test('are extended while the handler runs, ten in a call, and not after settling', async () => {
    const rig = new Rig();
    for (const id of upTo(10)) rig.queue.send(body(id));
    rig.handle = async (ids) => {
      await rig.time.sleep(200_000);
      return ids.map(() => stored);
    };
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.handled).toHaveLength(1);
    expect(rig.queue.changes.map(({ entries }) => entries.length)).toEqual([10, 10, 10, 10, 10, 10]);
    await rig.time.pass(200_000);
    expect(rig.queue.changes).toHaveLength(6);
  });

  test('are not extended while a delete that takes long is under way: it would hide what is given back', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.queue.faults.call = (operation) => (operation === 'delete' ? rig.time.sleep(50_000) : undefined);
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.changes).toEqual([]);
  });

  test('are kept although the call for others hangs', async () => {
    const rig = new Rig();
    for (const id of upTo(20)) rig.queue.send(body(id));
    rig.handle = hang;
    rig.queue.faults.call = (operation, ids) =>
      operation === 'changeVisibility' && ids.includes('m1') ? rig.time.sleep(25_000) : undefined;
    rig.start();
    await rig.time.pass(60_000);
    expect(rig.queue.left.filter(({ receiveCount }) => receiveCount === 1).length).toBeGreaterThanOrEqual(10);
    expect(rig.queue.changes.some(({ entries, atMs }) => entries[0]![0] === 'm11' && atMs < 32_000)).toBe(true);
  });

  test('are extended again each second when an extension failed', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = hang;
    rig.queue.faults.call = (operation) => {
      if (operation === 'changeVisibility' && rig.queue.changes.length < 5) throw new Error('503');
    };
    rig.start();
    await rig.time.pass(100_000);
    expect(rig.queue.changes.map(({ atMs }) => atMs / 1000)).toEqual([30, 31, 32, 33, 34, 64, 94]);
    expect(rig.queue.left).toMatchObject([{ receiveCount: 1 }]);
  });
});

describe('a stop', () => {
  test('with 25 s or more lets the idle poll end by itself, and gives back what it still brings', async () => {
    const rig = new Rig().start();
    await rig.time.pass(1_000);
    rig.consumer.stop(30);
    rig.queue.send(body(1));
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.ended).toMatchObject({ unsettled: 0, pollsAborted: 0 });
    expect(rig.handled).toEqual([]);
    expect(rig.queue.left).toEqual([{ messageId: 'm1', receiveCount: 1, hiddenSeconds: 0 }]);
  });

  test('with less aborts the poll and ends at once', async () => {
    const rig = new Rig().start();
    await rig.time.pass(1_000);
    expect(await rig.stop(24)).toEqual({ unsettled: 0, pollsAborted: 1, seconds: 0 });
  });

  test('lets handlers finish and settles what they did', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = async () => {
      await rig.time.sleep(5_000);
      return [stored];
    };
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    expect(await rig.stop(10)).toMatchObject({ unsettled: 0, seconds: 5 });
    expect(rig.queue.left).toEqual([]);
  });

  test('keeps the delay of what failed: a worker that stops does not make it any better', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = async () => {
      await rig.time.sleep(1_000);
      return [retried];
    };
    rig.start();
    await rig.time.until('the hand-over', () => rig.handled.length === 1);
    await rig.stop(10);
    expect(rig.queue.left).toEqual([{ messageId: 'm1', receiveCount: 1, hiddenSeconds: 15 }]);
  });

  test('ends at its deadline although a handler hangs, says so, and leaves those leases alone', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = hang;
    rig.start();
    await rig.time.pass(20_000);
    // The drain ends when half of the lease is gone: just when it would be extended.
    expect(await rig.stop(10)).toMatchObject({ unsettled: 1, seconds: 10 });
    const extensions = rig.queue.changes.length;
    await rig.time.pass(40_000);
    expect(rig.queue.changes).toHaveLength(extensions);
    expect(rig.queue.left).toMatchObject([{ hiddenSeconds: 0 }]);
  });

  test('is not held up by an extension that hangs', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.handle = hang;
    rig.queue.faults.call = (operation) => (operation === 'changeVisibility' ? hang() : undefined);
    rig.start();
    await rig.time.pass(40_000);
    expect(await rig.stop(5)).toMatchObject({ unsettled: 1, seconds: 5 });
  });

  test('before the start receives nothing', async () => {
    const rig = new Rig();
    rig.consumer.stop(10);
    rig.start();
    await rig.time.until('the end', () => rig.ended !== undefined);
    expect(rig.queue.receives).toBe(0);
  });
});

describe('a handler that throws, against its promise', () => {
  test('loses no place and stops nothing: the messages come again when their leases end', async () => {
    const rig = new Rig();
    for (const id of upTo(200)) rig.queue.send(body(id));
    rig.handle = (ids) => {
      if (rig.handled.length <= 20) throw new Error('a fault of the program');
      return ids.map(() => stored);
    };
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0, 200_000);
    expect(await rig.stop(1)).toMatchObject({ unsettled: 0 });
  });

  test('or answers for fewer messages than it was given, neither', async () => {
    const rig = new Rig();
    rig.queue.send(body(1));
    rig.queue.send(body(2));
    rig.handle = (ids) => (rig.handled.length === 1 ? [stored] : ids.map(() => stored));
    rig.start();
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0, 100_000);
    expect(rig.handled).toHaveLength(2);
  });
});
