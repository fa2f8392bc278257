/**
 * The suite, against the simulator's queue and against the embedded server; SLUICE_CONFORMANCE_LONG=1 adds the cases
 * that wait for minutes on a real clock.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type EmbeddedSqs, startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { NAME_LENGTH_MAX } from './case.ts';
import { CASES } from './cases.ts';
import { documentAsItIs, documentAsItShouldBe } from './document.ts';
import { EMBEDDED_SERVER_DIFFERENCES } from './known-differences.ts';
import { ModelTarget } from './model-target.ts';
import { runCase } from './run-case.ts';
import { runSuite, type Verdicts } from './run-suite.ts';
import { openClient, ServerTarget } from './server-target.ts';
import { verdictTable } from './verdict-table.ts';

/** Where the documentation allows several things, the model draws one: what it promises must hold with each. */
const SEEDS = [1, 2, 3, 4, 5];
const withLong = process.env.SLUICE_CONFORMANCE_LONG === '1';
const MINUTES_MS = withLong ? 3_600_000 : 120_000;

describe("the simulator's queue", () => {
  test.each(CASES.filter(({ notInModel }) => notInModel === undefined))('$name', async (each) => {
    for (const seed of SEEDS) {
      expect(await runCase(each, new ModelTarget(seed), { withLong: true })).toEqual({ name: 'conforms' });
    }
  });
});

describe('the embedded server', () => {
  let folder: string;
  let run: RunFolder;
  let server: EmbeddedSqs;
  let verdicts: Verdicts = new Map();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
    run = createRunFolder({ temporaryFolder: folder });
    server = await startEmbeddedSqs({ run });
    const client = await openClient({ url: server.endpoint, region: 'eu-central-1' });
    try {
      verdicts = await runSuite(() => new ServerTarget(client), { withLong, atOnce: CASES.length });
    } finally {
      client.destroy();
    }
  }, MINUTES_MS);

  afterAll(async () => {
    await server?.stop();
    await run?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test.each(CASES.filter(({ isLong }) => withLong || isLong !== true))('$name', (each) => {
    const expected = each.name in EMBEDDED_SERVER_DIFFERENCES ? 'differs' : 'conforms';
    expect(verdicts.get(each)).toMatchObject({ name: expected });
  });

  test('fits with its verdicts into 80 columns', () => {
    const lines = verdictTable([
      { title: 'model', verdicts },
      { title: 'embedded', verdicts },
    ]).split('\n');
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
  });
});

describe('the suite', () => {
  test('names each case once, and briefly', () => {
    const names = CASES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => name.length > NAME_LENGTH_MAX)).toEqual([]);
  });

  test('has a case for each known difference', () => {
    const names = CASES.map(({ name }) => name);
    expect(Object.keys(EMBEDDED_SERVER_DIFFERENCES).filter((name) => !names.includes(name))).toEqual([]);
  });

  test('is told in docs/conformance.md as it is: `npm run conformance -- --document` makes it so', () => {
    expect(documentAsItIs()).toBe(documentAsItShouldBe());
  });
});
