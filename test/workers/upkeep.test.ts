import { readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { Telemetry } from '../../workers/runtime/telemetry.ts';
import { openPool } from '../../workers/store/connection.ts';
import { Upkeep, type UpkeepOptions } from '../../workers/upkeep.ts';
import { afterwards, eventually, temporaryFolder } from '../local/machine/machine.ts';
import { postgresForTests } from './postgres.ts';

const postgres = postgresForTests();

// Only what upkeep does in intervals is put forward; files and the database take their own time.
const REAL = [
  'setTimeout',
  'clearTimeout',
  'setImmediate',
  'clearImmediate',
  'nextTick',
  'queueMicrotask',
  'Date',
  'performance',
] as const;
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: [...REAL] });
});
afterEach(() => {
  jest.useRealTimers();
});

async function makeUpkeep(change: Partial<UpkeepOptions> = {}) {
  const folder = await temporaryFolder();
  const lines: Record<string, unknown>[] = [];
  const worker = { gauges: { breakerOpen: 0, messagesInProcess: 0, placesTaken: 0 }, isAlive: true };
  const telemetry = new Telemetry(
    'work',
    (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
    () => 0,
  );
  const pool = openPool(postgres.database);
  afterwards(() => pool.end());
  const livenessFile = join(folder, 'alive');
  const upkeep = new Upkeep({
    consumer: worker,
    telemetry,
    metricsIntervalSeconds: 60,
    livenessFile,
    pool,
    log: pino({ level: 'silent' }),
    ...change,
  });
  afterwards(() => upkeep.end());
  return { folder, livenessFile, lines, worker, telemetry, upkeep };
}

const isThere = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );

describe('the liveness file', () => {
  test('is there at once, and is touched every five seconds while the worker is alive', async () => {
    const { livenessFile } = await makeUpkeep();
    await eventually('the file', () => isThere(livenessFile));
    const longAgo = new Date(0);
    await utimes(livenessFile, longAgo, longAgo);
    jest.advanceTimersByTime(4_999);
    expect((await stat(livenessFile)).mtimeMs).toBe(0);
    jest.advanceTimersByTime(1);
    await eventually('a touch', async () => (await stat(livenessFile)).mtimeMs > 0);
  });

  test('is left alone when the worker is not, whatever its database does', async () => {
    const { livenessFile, worker } = await makeUpkeep();
    await eventually('the file', () => isThere(livenessFile));
    const longAgo = new Date(0);
    await utimes(livenessFile, longAgo, longAgo);
    worker.isAlive = false;
    jest.advanceTimersByTime(60_000);
    worker.gauges = { ...worker.gauges, breakerOpen: 1 };
    worker.isAlive = true;
    jest.advanceTimersByTime(5_000);
    await eventually('a touch', async () => (await stat(livenessFile)).mtimeMs > 0);
  });

  test('that cannot be touched ends nothing', async () => {
    const { folder, telemetry, lines } = await makeUpkeep({ livenessFile: '/no/such/folder/alive' });
    jest.advanceTimersByTime(5_000);
    telemetry.count('stored');
    jest.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(1);
    expect(await readdir(folder)).toEqual([]);
  });

  test('is nowhere where nobody asked for it', async () => {
    const { folder } = await makeUpkeep({ livenessFile: undefined });
    jest.advanceTimersByTime(60_000);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('metric lines', () => {
  test('come in their interval, with what the worker is doing, and once more at the end', async () => {
    const { lines, telemetry, worker, upkeep } = await makeUpkeep({ metricsIntervalSeconds: 10 });
    telemetry.count('stored', 3);
    worker.gauges = { breakerOpen: 1, messagesInProcess: 42, placesTaken: 50 };
    jest.advanceTimersByTime(9_999);
    expect(lines).toEqual([]);
    jest.advanceTimersByTime(1);
    expect(lines).toMatchObject([{ stored: 3, breakerOpen: 1, messagesInProcess: 42 }]);
    telemetry.count('stored', 1);
    upkeep.end();
    expect(lines[1]).toMatchObject({ stored: 1 });
    telemetry.count('stored', 1);
    jest.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(2);
  });
});

describe('metric lines that cannot be written', () => {
  test('end nothing: the worker works, and shows that it is alive', async () => {
    const telemetry = new Telemetry(
      'work',
      () => {
        throw new Error('no space left on device');
      },
      () => 0,
    );
    telemetry.count('stored');
    const { livenessFile, upkeep } = await makeUpkeep({ telemetry });
    jest.advanceTimersByTime(60_000);
    telemetry.count('stored');
    upkeep.end();
    await eventually('the file', () => isThere(livenessFile));
  });
});

describe('old keys', () => {
  const addOldKeys = (count: number) =>
    postgres.pool.query(
      `insert into inbox (consumer, key, payload_hash, stored_at)
       select 'work', number, '', now() - interval '60 days' from generate_series(1, $1) as number`,
      [count],
    );
  const keys = async () => Number((await postgres.rows('select count(*) from inbox'))[0]![0]);

  test('are cleared away within an hour and a half, all of them, and not at the start', async () => {
    await addOldKeys(2_500);
    await makeUpkeep();
    jest.advanceTimersByTime(1_799_000);
    expect(await keys()).toBe(2_500);
    jest.advanceTimersByTime(3_601_000);
    await eventually('no key', async () => (await keys()) === 0);
  });

  test('that a hundred rounds did not take go within a minute, and not in an hour', async () => {
    await addOldKeys(100_500);
    await makeUpkeep();
    await eventually('the first rounds', async () => {
      jest.advanceTimersByTime(60_000);
      return (await keys()) < 100_500;
    });
    await eventually('the last of them', async () => (await keys()) === 500);
    let waitedMs = 0;
    await eventually('no key', async () => {
      // The next hour is half an hour away at least.
      if (waitedMs < 60_000) jest.advanceTimersByTime(500);
      waitedMs += 500;
      return (await keys()) === 0;
    });
  });

  test('are tried again an hour later when the database is away', async () => {
    await addOldKeys(1);
    await postgres.pool.query('alter table fences rename to renamed');
    await makeUpkeep();
    jest.advanceTimersByTime(5_400_000);
    // It fails at the fences, after the keys; more of them are there for the next time.
    await eventually('no key', async () => (await keys()) === 0);
    await postgres.pool.query('alter table renamed rename to fences');
    await addOldKeys(1);
    await eventually('no key', async () => {
      jest.advanceTimersByTime(5_400_000);
      return (await keys()) === 0;
    });
  });
});
