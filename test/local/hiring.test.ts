/** A fleet of the template has as many workers here as its minimum, and one where that is none; how long they drain. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { queueUrl, type SystemFleet } from '../../local/assembly/system.ts';
import { hireFleets } from '../../local/hiring.ts';
import { servers } from './assembly/made-queues.ts';
import { afterwards, eventually, makeRun, temporaryFolder } from './machine/machine.ts';

interface Hired {
  readonly minimum?: number;
  readonly workers?: number;
  readonly entryPath?: string;
  readonly embeddedSqs?: boolean;
}

/** The one fleet of a system. */
async function hire({ minimum = 1, workers, entryPath = '/nowhere/index.mjs', embeddedSqs = true }: Hired) {
  const queue = { name: 'orders', attributes: {}, fifo: false, deadLetterQueueName: 'orders-dlq' };
  const fleet: SystemFleet = {
    name: 'orders',
    entryPath,
    environment: {
      QUEUE_URL: queueUrl(servers, 'orders'),
      DEAD_LETTER_QUEUE_URL: queueUrl(servers, 'orders-dlq'),
    },
    minimum,
    maximum: 4,
  };
  const [hired] = hireFleets({
    run: await makeRun(),
    system: { queues: [queue], fleets: [fleet] },
    servers,
    embeddedSqs,
    databaseUrl: 'postgres://127.0.0.1/sluice',
    credentials: { provider: undefined, environment: {} },
    environment: {},
    workers,
    onEvent: () => undefined,
    onFailure: () => undefined,
  });
  return hired!.fleet;
}

/** What a worker that is hired has as DRAIN_SECONDS. */
async function drainSecondsOn(embeddedSqs: boolean): Promise<string | undefined> {
  const entryPath = join(await temporaryFolder(), 'worker.mjs');
  const line = 'JSON.stringify({ level: 40, msg: process.env.DRAIN_SECONDS })';
  await writeFile(entryPath, `console.log(${line}); setInterval(() => {}, 1_000)`);
  const fleet = await hire({ entryPath, embeddedSqs });
  afterwards(() => fleet.kill());
  await fleet.start();
  await eventually('its line', () => fleet.lastWarning !== undefined);
  return fleet.lastWarning;
}

describe('a fleet on this machine', () => {
  test.each([
    ['that may be empty has one worker: a local run has no alarm that would wake it', 0, 1],
    ['of at least one has one', 1, 1],
    ['of at least three has three', 3, 3],
  ])('%s', async (_, minimum, workers) => {
    expect((await hire({ minimum })).workers).toBe(workers);
  });

  test('has as many workers as a person asks for', async () => {
    expect((await hire({ minimum: 0, workers: 2 })).workers).toBe(2);
  });

  test('does not let Ctrl-C wait for its idle polls where the server sees that they are cut off', async () => {
    expect(Number(await drainSecondsOn(true))).toBeLessThan(25);
  });

  test('lets idle polls end by themselves on any other server: that may give messages to one that was cut off', async () => {
    expect(Number(await drainSecondsOn(false))).toBeGreaterThanOrEqual(25);
  });
});
