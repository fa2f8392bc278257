/** Workers on an instance: real processes beside a metadata service and an Auto Scaling that do what they are told. */
import { describe, expect, test } from '@jest/globals';
import { findFreePort } from '../../../local/machine/ports.ts';
import { FaultyNetwork } from '../../faults/faulty-network.ts';
import { afterwards, eventually } from '../../local/machine/machine.ts';
import { holdTable } from '../held-table.ts';
import { bodyOf, order } from '../orders.ts';
import { postgresForTests } from '../postgres.ts';
import { entry, type TestQueue, TestSqs, Worker } from '../worker-process.ts';
import { type AutoScalingFate, type Call, FakeAutoScaling } from './fake-auto-scaling.ts';
import { FakeMetadata, type MetadataFate } from './fake-metadata.ts';

const postgres = postgresForTests();
const sqs = new TestSqs();

const orders = (count: number) => Array.from({ length: count }, (_, index) => bodyOf(order({ orderId: `o${index}` })));
const storedOrders = async () => Number((await postgres.rows('select count(*) from orders'))[0]![0]);

/** All that a worker is told on an instance, and the services that it finds there. */
async function makePlace(queue: TestQueue, more: NodeJS.ProcessEnv = {}) {
  const metadata = await FakeMetadata.start();
  const autoScaling = await FakeAutoScaling.start();
  const environment = sqs.environmentFor(queue, postgres, {
    AUTO_SCALING_GROUP_NAME: 'sluice-test-orders',
    LAUNCH_HOOK_NAME: 'ready',
    TERMINATION_HOOK_NAME: 'drain',
    AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.endpoint,
    AWS_ENDPOINT_URL_AUTO_SCALING: autoScaling.endpoint,
    NOTICE_INTERVAL_SECONDS: '0.1',
    HEARTBEAT_INTERVAL_SECONDS: '0.1',
    ...more,
  });
  const completed = (hook: string) =>
    autoScaling.of('CompleteLifecycleAction').filter(({ LifecycleHookName }) => LifecycleHookName === hook);
  return { metadata, autoScaling, environment, completed, start: () => new Worker(entry('orders'), environment) };
}

/** The calls of one action that name this group, this hook and this instance, and say that it goes on. */
const goesOn = (calls: readonly Call[], instanceId: string) =>
  calls.filter(
    (call) =>
      call.AutoScalingGroupName === 'sluice-test-orders' &&
      call.InstanceId === instanceId &&
      call.LifecycleActionResult === 'CONTINUE',
  );

/** A worker that is ready, with ten messages in hand that it cannot commit until they let it. */
async function busyWorker(more: NodeJS.ProcessEnv = {}) {
  const queue = await sqs.makeQueue();
  const place = await makePlace(queue, more);
  const worker = place.start();
  await eventually('a worker that is ready', () => worker.said('orders receives from'));
  const hold = await holdTable(postgres, 'inbox');
  await sqs.send(queue.url, orders(10));
  await eventually('a batch that cannot commit', hold.isWaitedFor);
  return { queue, worker, ...place, letGo: hold.letGo };
}

describe('a worker whose group takes its instance away', () => {
  test('finishes what it holds, sends heartbeats while that takes long, then completes the hook and ends with status 0', async () => {
    const { worker, metadata, autoScaling, completed, letGo, queue } = await busyWorker();
    metadata.terminate();
    await eventually('the drain', () => worker.said('the Auto Scaling group takes this instance away: draining'));
    await eventually('heartbeats', () => autoScaling.of('RecordLifecycleActionHeartbeat').length >= 3);
    expect(autoScaling.of('RecordLifecycleActionHeartbeat')[0]).toMatchObject({
      AutoScalingGroupName: 'sluice-test-orders',
      LifecycleHookName: 'drain',
      InstanceId: metadata.instanceId,
    });
    expect(completed('drain')).toEqual([]);
    letGo();
    expect(await worker.lastWords()).toMatchObject({
      status: 0,
      message: expect.stringContaining('everything settled'),
    });
    expect(completed('drain')).toHaveLength(1);
    expect(goesOn(completed('drain'), metadata.instanceId)).toHaveLength(1);
    expect(await storedOrders()).toBe(10);
    expect(await sqs.isEmpty(queue.url)).toBe(true);
  });

  test('goes on with its drain when systemd tells it to stop too', async () => {
    const { worker, metadata, letGo } = await busyWorker();
    metadata.terminate();
    await eventually('the drain', () => worker.said('takes this instance away: draining'));
    worker.kill('SIGTERM');
    await eventually('the signal', () => worker.said('SIGTERM: draining'));
    letGo();
    expect(await worker.exited).toBe(0);
    expect(await storedOrders()).toBe(10);
  });

  test('while it waits for a database completes the hook at once: nothing is in its hands', async () => {
    const away = `postgres://sluice@127.0.0.1:${await findFreePort()}/sluice`;
    const { metadata, completed, start } = await makePlace(await sqs.makeQueue(), { DATABASE_URL: away });
    metadata.terminate();
    expect(await start().exited).toBe(0);
    expect(completed('drain')).toHaveLength(1);
    expect(completed('ready')).toEqual([]);
  });

  test('drains and ends when Auto Scaling fails or hangs', async () => {
    const fates: AutoScalingFate[] = ['answer 500', 'hang'];
    const queue = await sqs.makeQueue();
    const workers = await Promise.all(
      fates.map(async (fate) => {
        const place = await makePlace(queue);
        place.autoScaling.fate = fate;
        const worker = place.start();
        await eventually(`a worker that is ready: ${fate}`, () => worker.said('orders receives from'));
        return { ...place, worker };
      }),
    );
    await sqs.send(queue.url, orders(40));
    await eventually('all stored', async () => (await storedOrders()) === 40);
    for (const { metadata } of workers) metadata.terminate();
    for (const { worker } of workers) {
      expect(await worker.exited).toBe(0);
      expect(worker.said('everything settled')).toBe(true);
      expect(worker.said('cannot complete the hook drain; it ends by its own timeout')).toBe(true);
    }
    expect(await sqs.isEmpty(queue.url)).toBe(true);
  });
});

describe('a worker whose Spot instance EC2 takes back', () => {
  test('finishes what it holds and ends with status 0, whether or not a hook waits', async () => {
    const { worker, metadata, autoScaling, letGo } = await busyWorker();
    autoScaling.fate = 'no action';
    metadata.takeBack(120);
    await eventually('the drain', () => worker.said('EC2 takes this Spot instance back (terminate at '));
    letGo();
    expect(await worker.exited).toBe(0);
    expect(worker.said('everything settled')).toBe(true);
    expect(worker.said('cannot complete the hook')).toBe(false);
    expect(await storedOrders()).toBe(10);
  });

  test('drains for no longer than the instance is there', async () => {
    const { worker, metadata, queue } = await busyWorker({ DRAIN_SECONDS: '300' });
    metadata.takeBack(12);
    // Whoever waited for the drain that is configured would not see the end of this test.
    expect(await worker.exited).toBe(0);
    expect(worker.said('10 messages left to come again') || worker.said('10 given back')).toBe(true);
    expect(await sqs.isEmpty(queue.url)).toBe(false);
  });
});

describe('the launch hook', () => {
  test('is completed once, by a worker that has reached its queue and its database', async () => {
    const port = await findFreePort();
    const away = new URL(postgres.url);
    const there = Number(away.port);
    away.port = String(port);
    const queue = await sqs.makeQueue();
    const { start, completed, metadata } = await makePlace(queue, { DATABASE_URL: away.href });
    const worker = start();
    await eventually('a warning', () => worker.said('cannot reach the database yet, trying again'));
    expect(completed('ready')).toEqual([]);
    const network = await FaultyNetwork.before(there, port);
    afterwards(() => network.stop());
    await eventually('a worker in service', () => worker.said('this instance is in service'));
    expect(completed('ready')).toHaveLength(1);
    expect(goesOn(completed('ready'), metadata.instanceId)).toHaveLength(1);
  });

  test('waits as long as the database answers and takes no write', async () => {
    await postgres.pool.query('alter role sluice_worker set default_transaction_read_only = on');
    const undo = () => postgres.pool.query('alter role sluice_worker reset default_transaction_read_only');
    afterwards(undo);
    const { start, completed } = await makePlace(await sqs.makeQueue());
    const worker = start();
    await eventually('a warning', () => worker.said('cannot execute INSERT in a read-only transaction'));
    expect(completed('ready')).toEqual([]);
    await undo();
    await eventually('a worker in service', () => worker.said('this instance is in service'));
  });

  test('is left to its timeout by a worker that cannot start', async () => {
    const queue = await sqs.makeQueue();
    const { start, autoScaling } = await makePlace({ ...queue, url: `${queue.url}-nowhere` });
    expect(await start().exited).toBe(1);
    expect(autoScaling.calls).toEqual([]);
  });

  test('is tried again until Auto Scaling answers, and the worker works meanwhile', async () => {
    const queue = await sqs.makeQueue();
    const { start, autoScaling, completed } = await makePlace(queue);
    autoScaling.fate = 'answer 500';
    const worker = start();
    await sqs.send(queue.url, orders(3));
    await eventually('all stored', async () => (await storedOrders()) === 3);
    await eventually('a second try', () => completed('ready').length >= 2);
    autoScaling.fate = 'well';
    await eventually('a worker in service', () => worker.said('this instance is in service'));
  });

  test('that does not wait for a worker that was started again is passed over', async () => {
    const { start, autoScaling, completed } = await makePlace(await sqs.makeQueue());
    autoScaling.fate = 'no action';
    const worker = start();
    await eventually('the answer', () => completed('ready').length === 1);
    worker.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
    expect(completed('ready')).toHaveLength(1);
    expect(worker.said('cannot complete')).toBe(false);
  });
});

describe('a worker whose metadata service fails', () => {
  test('works on and stops when told, whether the service is away, hangs, or answers rubbish', async () => {
    const fates: (MetadataFate | 'away')[] = ['hang', 'rubbish', 'away'];
    const queue = await sqs.makeQueue();
    const workers = await Promise.all(
      fates.map(async (fate) => {
        const { metadata, start } = await makePlace(queue);
        if (fate === 'away') metadata.stop();
        else metadata.fate = fate;
        return start();
      }),
    );
    for (const worker of workers) {
      await eventually('a worker that complains', () =>
        worker.said('cannot ask the metadata service whether to leave'),
      );
    }
    await sqs.send(queue.url, orders(50));
    await eventually('all stored', async () => (await storedOrders()) === 50);
    for (const worker of workers) {
      expect(worker.isRunning).toBe(true);
      worker.kill('SIGTERM');
      expect(await worker.exited).toBe(0);
    }
  });

  test('hears of its end all the same when the service is back', async () => {
    const { metadata, start, completed } = await makePlace(await sqs.makeQueue());
    metadata.fate = 'rubbish';
    const worker = start();
    await eventually('a warning', () => worker.said('cannot ask the metadata service whether to leave'));
    metadata.terminate();
    metadata.fate = 'well';
    expect(await worker.exited).toBe(0);
    expect(completed('drain')).toHaveLength(1);
  });
});

test('a worker that is told of no group asks nobody whether to leave', async () => {
  const { metadata, autoScaling, environment } = await makePlace(await sqs.makeQueue());
  metadata.terminate();
  const worker = new Worker(entry('orders'), { ...environment, AUTO_SCALING_GROUP_NAME: undefined });
  await eventually('a worker that is ready', () => worker.said('orders receives from'));
  worker.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  expect(metadata.requests).toEqual([]);
  expect(autoScaling.calls).toEqual([]);
});
