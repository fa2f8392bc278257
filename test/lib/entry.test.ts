/** The CDK entry as its own process: what `cdk synth` and the local runner start. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { workloadNames } from '../../lib/workloads.ts';
import { synthesizedStage, valuesIn } from './synthesized.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function entry(context: Record<string, unknown>) {
  return spawnSync(process.execPath, ['bin/app.ts'], {
    encoding: 'utf8',
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      CDK_VALIDATION: 'false',
      CDK_OUTDIR: folder,
      CDK_CONTEXT_JSON: JSON.stringify(context),
    },
  });
}

describe('the entry of the app', () => {
  test.each(['staging', '', 5])('answers stage %p with one line and exit status 1', (stage) => {
    const { status, stderr } = entry({ stage });
    expect(stderr).toBe(`stage "${stage}" is unknown; allowed: dev, prod\n`);
    expect(status).toBe(1);
  });

  test.each([
    [{ stag: 'prod' }, 'context stag is unknown; allowed: stage, as in -c stage=dev\n'],
    [
      { stage: 'prod', Stage: 'prod', region: 'x' },
      'context Stage, region is unknown; allowed: stage, as in -c stage=dev\n',
    ],
  ])('refuses the context %j, so that nobody gets another stage than was meant', (context, sentence) => {
    const { status, stderr } = entry(context);
    expect([status, stderr]).toEqual([1, sentence]);
  });

  test('takes the context of the CDK, of its command line and of look-ups, whatever it is', () => {
    const { stderr } = entry({
      stage: 'none',
      'cli-telemetry': false,
      'acknowledged-issue-numbers': [1],
      '@aws-cdk/core:newStyleStackSynthesis': true,
      'aws:cdk:bundling-stacks': ['**'],
      'availability-zones:account=111122223333:region=eu-central-1': ['eu-central-1a'],
    });
    expect(stderr).toBe('stage "none" is unknown; allowed: dev, prod\n');
  });

  test('writes the bundles where the asset list and the fleets say, and what an app with its feature flags writes', () => {
    const { status, stderr } = entry({ stage: 'prod' });
    expect(status).toBe(0);
    // It warns of what prod lacks as it comes, and of nothing else.
    const warnings = [...stderr.matchAll(/^WARNING (.+) \(Annotation\)$/gm)].map(([, warning]) => warning);
    expect(warnings).toEqual([
      expect.stringContaining('stage prod is pinned to no image'),
      expect.stringContaining('stage prod tells nobody of its alarms'),
    ]);
    expect(stderr).not.toContain('ERROR');

    const written = (part: string): unknown =>
      JSON.parse(readFileSync(join(folder, `sluice-prod-${part}.template.json`), 'utf8'), (key, value) =>
        key === 'Metadata' ? undefined : value,
      );
    const keys = [...valuesIn(written('compute'))]
      .filter(({ key }) => key === 'FLEET_BUNDLE_KEY')
      .map(({ value }) => String(value));
    expect(new Set(keys).size).toBe(workloadNames.length);

    const { files } = z
      .object({ files: z.record(z.string(), z.object({ source: z.object({ path: z.string() }) })) })
      .parse(JSON.parse(readFileSync(join(folder, 'sluice-prod-compute.assets.json'), 'utf8')));
    for (const key of keys) {
      const bundle = join(folder, files[key.replace('.zip', '')]!.source.path);
      expect([existsSync(join(bundle, 'index.mjs')), existsSync(join(bundle, 'migrations'))]).toEqual([true, true]);
    }

    const { templates } = synthesizedStage('prod');
    expect(written('messaging')).toEqual(templates['sluice-prod-messaging']);
    expect(written('network')).toEqual(templates['sluice-prod-network']);
  });
});
