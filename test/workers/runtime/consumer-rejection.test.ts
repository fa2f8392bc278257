/** What a consumer does with a message that can never succeed. */
import { describe, expect, test } from '@jest/globals';
import { failFirst, Rig, rejected, rigWithoutDatabase, stored, upTo } from './rig.ts';

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
    await rig.untilEmpty();
    expect(order).toEqual(['record', 'send', 'delete']);
    expect(rig.rejections).toMatchObject([{ queueName: 'work', messageId: 'm1', errorClass: 'InvalidMessage' }]);
    expect(rig.queue.deadLetters[0]!.attributes).toMatchObject({ RejectionMessageId: { StringValue: 'm1' } });
    expect(rig.counts).toMatchObject({ rejected: 1, stored: 0 });
  });

  test('tries three times in place to send the copy', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    const sends = failFirst(rig, 'send', 2);
    rig.start();
    await rig.untilEmpty();
    expect([sends.calls, rig.queue.deadLetters.length, rig.changes]).toEqual([3, 1, []]);
    expect(rig.counts).toMatchObject({ received: 1, rejected: 1, retried: 0 });
  });

  test('keeps a message whose copy could not be sent then, and tries again later', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    failFirst(rig, 'send', 6);
    rig.start();
    await rig.untilEmpty();
    expect(rig.changes).toEqual([[['m1', 15]], [['m1', 30]]]);
    expect(rig.queue.deadLetters).toHaveLength(1);
    expect(rig.counts).toMatchObject({ received: 3, rejected: 1, retried: 2 });
  });

  test('does not hold up the others, and keeps the lease while a send hangs', async () => {
    const rig = new Rig();
    rig.queue.send('{}');
    rig.send([2]);
    const send = Promise.withResolvers<void>();
    rig.queue.faults.call = (operation) => (operation === 'send' ? send.promise : undefined);
    rig.start();
    await rig.time.until('the other one deleted', () => rig.queue.left.length === 1, 1_000);
    await rig.time.pass(100_000);
    expect(rig.queue.left).toMatchObject([{ messageId: 'm1', receiveCount: 1 }]);
    send.resolve();
    await rig.untilEmpty();
  });

  test('sends no copy of a message whose lease was lost while its reason was written', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.queue.send('{}');
    rig.start();
    await rig.time.pass(1_000);
    rig.queue.handOutElsewhere('m1');
    await rig.time.pass(40_000);
    database.isAway = false;
    await rig.time.pass(10_000);
    expect(rig.queue.deadLetters).toEqual([]);
    expect(rig.queue.deletes).toEqual([]);
    expect(rig.counts).toMatchObject({ leasesLost: 1, rejected: 0 });
  });

  test('waits for a database that cannot record the reason, without receiving the message again', async () => {
    const { rig, database } = rigWithoutDatabase();
    rig.queue.send('{}');
    rig.start();
    await rig.time.pass(100_000);
    expect(rig.queue.left).toMatchObject([{ receiveCount: 1 }]);
    // The second was under way when the database went.
    expect(rig.queue.receives).toBeLessThanOrEqual(2);
    database.isAway = false;
    await rig.untilEmpty();
    expect(rig.queue.deadLetters).toHaveLength(1);
    expect(rig.counts).toMatchObject({ received: 1, retried: 0 });
  });

  test('ends an outage when a reason could be written: a queue of bad messages alone is worked off at full speed', async () => {
    const { rig, database } = rigWithoutDatabase();
    for (let message = 0; message < 60; message += 1) rig.queue.send('{}');
    rig.start();
    await rig.time.pass(30_000);
    database.isAway = false;
    await rig.time.until('an empty queue', () => rig.queue.left.length === 0);
    expect(rig.queue.pollsUnderWayMax).toBeGreaterThan(1);
    expect(rig.consumer.gauges.breakerOpen).toBe(0);
  });

  test('gives a reason that SQS accepts, whatever the handler quotes', async () => {
    const rig = new Rig();
    rig.send([1]);
    rig.handle = () => [rejected(`invalid: "\u0001\uffff${'x'.repeat(300)}"`)];
    rig.start();
    await rig.untilEmpty();
    expect(rig.rejections[0]!.reason).toMatch(/^[\x20-\x7e]{1,200}$/);
  });

  test('leaves room for others: eight reasons and copies are under way at most', async () => {
    const rig = new Rig();
    rig.send(upTo(100));
    rig.handle = (ids) => ids.map(() => rejected('no'));
    let underWay = 0;
    let underWayMax = 0;
    rig.queue.faults.call = async (operation) => {
      if (operation !== 'send') return;
      underWay += 1;
      underWayMax = Math.max(underWayMax, underWay);
      await rig.sleep(100);
      underWay -= 1;
    };
    rig.start();
    await rig.untilEmpty();
    expect(underWayMax).toBe(8);
    expect(rig.queue.deadLetters).toHaveLength(100);
  });

  test('gives back those that wait behind a copy that cannot be sent: good messages go on meanwhile', async () => {
    const rig = new Rig({ messageBytesMax: 262_144 });
    rig.send(upTo(400));
    rig.handle = (ids) => ids.map((id) => (id <= 400 ? rejected('no') : stored));
    rig.queue.faults.call = async (operation) => {
      if (operation !== 'send') return;
      await rig.sleep(10_000);
      throw new Error('no answer');
    };
    rig.start();
    await rig.time.until('a full hand', () => rig.consumer.gauges.messagesInProcess === 400);
    rig.send([401]);
    // Three calls of ten seconds, and what lies between them.
    await rig.time.until('the good message', () => rig.handled.flat().includes(401), 32_000);
    expect(rig.rejections).toHaveLength(8);
    rig.queue.faults.call = () => {};
    await rig.untilEmpty();
    expect(new Set(rig.queue.deadLetters.map(({ body: text }) => text))).toHaveProperty('size', 400);
  });
});
