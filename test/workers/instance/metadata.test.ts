import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { leaveNotice } from '../../../workers/instance/leave-watch.ts';
import { MetadataService } from '../../../workers/instance/metadata.ts';
import { eventually } from '../../local/machine/machine.ts';
import { FakeMetadata, type MetadataFate } from './fake-metadata.ts';

describe('the metadata service', () => {
  test('is asked with a token that was put for once, and not for every question', async () => {
    const fake = await FakeMetadata.start();
    const metadata = new MetadataService(fake.endpoint);
    expect(await metadata.read('instance-id')).toBe(fake.instanceId);
    expect(await metadata.read('autoscaling/target-lifecycle-state')).toBe('InService');
    expect(fake.requests).toEqual([
      'PUT /latest/api/token',
      'GET /latest/meta-data/instance-id',
      'GET /latest/meta-data/autoscaling/target-lifecycle-state',
    ]);
  });

  test('that refuses a token is asked with a new one', async () => {
    const fake = await FakeMetadata.start();
    const metadata = new MetadataService(fake.endpoint);
    await metadata.read('instance-id');
    fake.forgetTokens();
    expect(await metadata.read('instance-id')).toBe(fake.instanceId);
  });

  test('has nothing yet where it answers 404', async () => {
    const fake = await FakeMetadata.start();
    expect(await new MetadataService(fake.endpoint).read('spot/instance-action')).toBeUndefined();
  });

  test.each<MetadataFate>(['hang', 'trickle', 'answer 500', 'rubbish', 'too long', 'no HTTP'])(
    'that does this is an error before long, and is asked again after it: %s',
    async (fate) => {
      const fake = await FakeMetadata.start();
      const metadata = new MetadataService(fake.endpoint);
      for (const when of ['without a token', 'with one']) {
        fake.fate = fate;
        // What is no answer can only be told from one by who reads it, once there is a token.
        if (when === 'with one' && fate === 'rubbish') continue;
        await expect(metadata.read('instance-id')).rejects.toThrow();
        fake.fate = 'well';
        expect(await metadata.read('instance-id')).toBe(fake.instanceId);
      }
    },
  );
});

describe('the watch for a notice', () => {
  async function makeWatch() {
    const fake = await FakeMetadata.start();
    const ending = new AbortController();
    const warnings: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => warnings.push(line) });
    const metadata = new MetadataService(fake.endpoint);
    return {
      fake,
      ending,
      warnings,
      watch: () => leaveNotice({ metadata, intervalMs: 5, log }, ending.signal),
      asked: (times: number) => fake.requests.filter((request) => request.endsWith('instance-action')).length >= times,
    };
  }

  test.each(['InService', 'Standby', 'Detached', 'Warmed:Stopped', ''])(
    'takes %p for no reason to leave',
    async (state) => {
      const { fake, ending, watch, asked } = await makeWatch();
      fake.values.set('autoscaling/target-lifecycle-state', state);
      const notice = watch();
      await eventually('some questions', () => asked(3));
      ending.abort();
      expect(await notice).toBeUndefined();
    },
  );

  test('knows until when a Spot instance is there', async () => {
    const { fake, watch } = await makeWatch();
    fake.values.set('spot/instance-action', '{"action": "stop", "time": "2026-11-27T08:22:00Z"}');
    expect(await watch()).toMatchObject({ goneAtMs: Date.UTC(2026, 10, 27, 8, 22) });
  });

  test.each(['not JSON', '{}', '{"action": "hibernate", "time": "soon"}', 'null'])(
    'does not let a Spot notice of %p hide that the group takes the instance away',
    async (notice) => {
      const { fake, watch, warnings, asked } = await makeWatch();
      fake.values.set('spot/instance-action', notice);
      const left = watch();
      await eventually('some questions', () => asked(3));
      expect(warnings.length).toBeGreaterThan(0);
      fake.terminate();
      expect(await left).toEqual({ reason: 'the Auto Scaling group takes this instance away', goneAtMs: undefined });
    },
  );

  test('complains at the 1st, 2nd, 4th and 8th failure in a row, and not at those between', async () => {
    const { fake, ending, watch, warnings } = await makeWatch();
    fake.fate = 'answer 500';
    const notice = watch();
    // Two questions at once, each with a token of its own while there is none.
    await eventually('ten rounds', () => fake.requests.length >= 20);
    ending.abort();
    await notice;
    expect(warnings.map((line) => (JSON.parse(line) as { failures: number }).failures)).toEqual([1, 2, 4, 8]);
  });
});
