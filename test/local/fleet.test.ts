/** A fleet starts again what ends, unless its workers end by themselves again and again. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { LocalFleet } from '../../local/fleet.ts';
import { createRunFolder } from '../../local/machine/run-folder.ts';
import { afterwards, eventually, temporaryFolder } from './machine/machine.ts';

/** One worker that does what the script says. */
async function startFleet(script: string) {
  const folder = await temporaryFolder();
  const entryPath = join(folder, 'worker.mjs');
  await writeFile(entryPath, script);
  const run = createRunFolder({ temporaryFolder: folder });
  afterwards(() => run.close());
  const failures: string[] = [];
  const fleet = new LocalFleet({
    run,
    fleet: { name: 'orders', entryPath, environment: {}, minimum: 1, maximum: 1 },
    workers: 1,
    environment: {},
    drainSeconds: 1,
    onEvent: () => undefined,
    onFailure: ({ message }) => failures.push(message),
  });
  afterwards(() => fleet.stop());
  await fleet.start();
  return { fleet, failures };
}

describe('a fleet', () => {
  test('starts a worker again however often it is killed', async () => {
    const { fleet, failures } = await startFleet('setInterval(() => {}, 1_000)');
    for (let kills = 1; kills <= 7; kills += 1) {
      const [pid] = fleet.pids;
      process.kill(pid!, 'SIGKILL');
      await eventually('another worker', () => fleet.pids.length === 1 && fleet.pids[0] !== pid);
    }
    expect(failures).toEqual([]);
  });

  test('gives up a worker that ends by itself again and again, and says what its last warning was', async () => {
    const warning = JSON.stringify({ level: 60, msg: 'cannot start: no' });
    const { failures } = await startFleet(`console.log('${warning}'); process.exit(1)`);
    await eventually('the failure', () => failures.length > 0);
    expect(failures).toEqual(['worker orders-1 cannot stay up (exit status 1): cannot start: no']);
  });
});
