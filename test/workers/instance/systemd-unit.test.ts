import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { SystemdUnit } from '../../../workers/instance/systemd-unit.ts';
import { afterwards, eventually, temporaryFolder } from '../../local/machine/machine.ts';

/** A unit whose `systemd-notify` is a program that writes down what it is told. */
async function makeUnit(program = 'echo "$1" >> "$NOTIFY_SOCKET"', watchdogMs = 0) {
  const folder = await temporaryFolder();
  const socket = join(folder, 'socket');
  await writeFile(socket, '');
  await writeFile(join(folder, 'systemd-notify'), `#!/bin/sh\n${program}\n`);
  await chmod(join(folder, 'systemd-notify'), 0o755);
  const complaints: string[] = [];
  const unit = new SystemdUnit(
    {
      NOTIFY_SOCKET: socket,
      PATH: `${folder}:${process.env.PATH}`,
      ...(watchdogMs > 0 && { WATCHDOG_USEC: String(watchdogMs * 1000) }),
    },
    pino({ level: 'warn' }, { write: (line) => complaints.push(line) }),
  );
  afterwards(() => unit.stopping());
  const words = async () => (await readFile(socket, 'utf8')).trim().split('\n');
  return { unit, words, complaints };
}

describe('a worker that is a unit of systemd', () => {
  test('says that it is ready, then that it stops, in this order', async () => {
    const { unit, words } = await makeUnit();
    unit.ready(() => true);
    unit.stopping();
    await unit.told;
    expect(await words()).toEqual(['READY=1', 'STOPPING=1']);
  });

  test('that stops before it was ready has not failed: it says both', async () => {
    const { unit, words } = await makeUnit();
    unit.stopping();
    await unit.told;
    expect(await words()).toEqual(['READY=1', 'STOPPING=1']);
  });

  test('feeds the watchdog as long as it is alive, and not when it is not', async () => {
    const { unit, words } = await makeUnit(undefined, 60);
    let isAlive = true;
    unit.ready(() => isAlive);
    await eventually('some food', async () => (await words()).length >= 4);
    isAlive = false;
    await unit.told;
    const fed = await words();
    expect(fed.slice(1)).toEqual(fed.slice(1).map(() => 'WATCHDOG=1'));
    // Ten times the interval in which it would have said so.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await words()).toEqual(fed);
  });

  test('without a watchdog feeds none', async () => {
    const { unit, words } = await makeUnit();
    unit.ready(() => true);
    await unit.told;
    expect(await words()).toEqual(['READY=1']);
  });

  test('works on when systemd cannot be told', async () => {
    const { unit, complaints } = await makeUnit('exit 1');
    unit.ready(() => true);
    unit.stopping();
    await unit.told;
    expect(complaints).toHaveLength(2);
  });
});

test('a worker that is no unit tells nobody', async () => {
  const complaints: string[] = [];
  const unit = new SystemdUnit({ PATH: '/nowhere' }, pino({}, { write: (line) => complaints.push(line) }));
  unit.ready(() => true);
  unit.stopping();
  await unit.told;
  expect(complaints).toEqual([]);
});
