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

  test('says what waits because it was set apart, from when its worker ended, and not before', async () => {
    const apart = JSON.stringify({ level: 30, msg: 'set apart', messagesByDelaySeconds: { 300: 2, 360: 1 } });
    const { fleet } = await startFleet(`
      import { existsSync, writeFileSync } from 'node:fs';
      const mark = new URL('mark', import.meta.url);
      if (!existsSync(mark)) { writeFileSync(mark, ''); console.log('${apart}'); }
      console.log('ready');
      setInterval(() => {}, 1_000);`);
    await eventually('its line', () => fleet.setApart > 0);
    expect(fleet.waits()).toEqual([]);
    const [pid] = fleet.pids;
    process.kill(pid!, 'SIGKILL');
    await eventually('another worker', () => fleet.pids.length === 1 && fleet.pids[0] !== pid);
    const [wait] = fleet.waits();
    expect(wait).toMatchObject({ reason: expect.stringContaining('set apart'), messages: 3 });
    expect(wait!.nextSeconds).toBeGreaterThan(280);
    expect(wait!.nextSeconds).toBeLessThanOrEqual(301);
  });

  test('gives up a worker that ends by itself again and again, and says what its last warning was', async () => {
    const warning = JSON.stringify({ level: 60, msg: 'cannot start: no' });
    const { failures } = await startFleet(`console.log('${warning}'); process.exit(1)`);
    await eventually('the failure', () => failures.length > 0);
    expect(failures).toEqual(['worker orders-1 cannot stay up (exit status 1): cannot start: no']);
  });
});
