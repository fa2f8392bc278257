/** A fleet of the template has as many workers here as its minimum, and one where that is none. */
import { describe, expect, test } from '@jest/globals';
import { queueUrl, type SystemFleet } from '../../local/assembly/system.ts';
import { hireFleets } from '../../local/hiring.ts';
import { servers } from './assembly/made-queues.ts';
import { makeRun } from './machine/machine.ts';

/** How many workers a fleet with this minimum is given. */
async function workersOf(minimum: number, workers?: number): Promise<number[]> {
  const queue = { name: 'orders', attributes: {}, fifo: false, deadLetterQueueName: 'orders-dlq' };
  const fleet: SystemFleet = {
    name: 'orders',
    entryPath: '/nowhere/index.mjs',
    environment: {
      QUEUE_URL: queueUrl(servers, 'orders'),
      DEAD_LETTER_QUEUE_URL: queueUrl(servers, 'orders-dlq'),
    },
    minimum,
    maximum: 4,
  };
  const hired = hireFleets({
    run: await makeRun(),
    system: { queues: [queue], fleets: [fleet] },
    servers,
    databaseUrl: 'postgres://127.0.0.1/sluice',
    credentials: { provider: undefined, environment: {} },
    environment: {},
    workers,
    onEvent: () => undefined,
    onFailure: () => undefined,
  });
  return hired.map((workQueue) => workQueue.fleet.workers);
}

describe('a fleet on this machine', () => {
  test.each([
    ['that may be empty has one worker: a local run has no alarm that would wake it', 0, 1],
    ['of at least one has one', 1, 1],
    ['of at least three has three', 3, 3],
  ])('%s', async (_, minimum, workers) => {
    expect(await workersOf(minimum)).toEqual([workers]);
  });

  test('has as many workers as a person asks for', async () => {
    expect(await workersOf(0, 2)).toEqual([2]);
  });
});
