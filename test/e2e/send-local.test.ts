/** `sluice send --local`: to a run that goes on here. */
import { basename } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { announceLiveRun } from '../../local/live-run.ts';
import { createRunFolder } from '../../local/machine/run-folder.ts';
import { SAMPLE_FILE } from '../../local/start.ts';
import { afterwards, temporaryFolder } from '../local/machine/machine.ts';
import { Sluice, sluice, synthesizedBefore } from './sluice.ts';

const SEVERAL_RUNS_MS_MAX = 240_000;

describe('sluice send --local', () => {
  test(
    'sends to the run that is going on, to one of two when it is named, and says how to name it when it is not',
    async () => {
      const folder = await temporaryFolder();
      const run = new Sluice(['start', ...(await synthesizedBefore())], folder);
      await run.prints('Sending');
      const alone = await sluice(['send', SAMPLE_FILE, '--local', '--json'], folder);
      expect(alone.status).toBe(0);
      expect(JSON.parse(alone.stdout)).toMatchObject({
        orders: 61,
        messages: { orders: 61, ledger: 48 },
        interrupted: false,
      });

      const other = createRunFolder({ temporaryFolder: folder });
      afterwards(() => other.close());
      announceLiveRun(other.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint: 'http://127.0.0.1:1' });
      const path = /logs +(.*)\/logs\//.exec(run.stdout)?.[1] ?? '';
      const endpoint = /SQS +(\S+)/.exec(run.stdout)?.[1];
      const unnamed = await sluice(['send', SAMPLE_FILE, '--local'], folder);
      expect(unnamed.status).toBe(3);
      expect(unnamed.stderr).toMatch(/^sluice: 2 runs are going on here, so say which: --run .+ or --run .+\n$/);
      expect(unnamed.stderr).toContain(`--run ${basename(path)} (SQS at ${endpoint})`);
      expect(unnamed.stderr).toContain(`--run ${other.name} (SQS at http://127.0.0.1:1)`);

      for (const named of [basename(path), `${path}/`]) {
        const { status, stderr } = await sluice(['send', SAMPLE_FILE, '--run', named], folder);
        expect({ status, stderr }).toEqual({ status: 0, stderr: expect.anything() });
      }
      run.signal('SIGINT');
      const { stdout } = await run.ended;
      // Its own file and three more, all counted.
      expect(stdout).toMatch(/orders +244 /);
      expect(stdout).toMatch(/exact ✓/);
    },
    SEVERAL_RUNS_MS_MAX,
  );

  test('says which runs there are when the one that is named is not among them', async () => {
    const folder = await temporaryFolder();
    const other = createRunFolder({ temporaryFolder: folder });
    afterwards(() => other.close());
    announceLiveRun(other.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint: 'http://127.0.0.1:1' });
    const { status, stderr } = await sluice(['send', SAMPLE_FILE, '--run', 'run-0'], folder);
    const listed = `--run ${other.name} (SQS at http://127.0.0.1:1)`;
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: `sluice: no run run-0 is going on here; there is ${listed}\n`,
    });
  });

  test('says what to do when there is none', async () => {
    const folder = await temporaryFolder();
    const { status, stderr } = await sluice(['send', SAMPLE_FILE, '--local'], folder);
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringMatching(/^sluice: no run is going on here; start one with npm start/),
    });
  });
});
