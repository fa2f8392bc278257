/** Everything that a template can say of a queue, producers and all, as the local run reads it and its server holds it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { App, Duration, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import cdkJson from '../../../cdk.json' with { type: 'json' };
import { WorkQueue } from '../../../lib/constructs/work-queue.ts';
import { type AssemblyStack, readAssembly } from '../../../local/assembly/assembly.ts';
import { countResourceTypes } from '../../../local/assembly/resource-types.ts';
import { madeQueues } from './made-queues.ts';

function assembly(): AssemblyStack[] {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  try {
    const app = new App({
      outdir: folder,
      autoSynth: false,
      builtinCloudFormationValidation: false,
      context: cdkJson.context,
    });
    const apart = new Stack(app, 'apart');
    const stack = new Stack(app, 'stack');
    const encryptionKey = new kms.Key(stack, 'Key');
    const work = new WorkQueue(stack, 'Work', {
      queueName: 'work',
      encryptionKey,
      deliveryDelay: Duration.seconds(30),
      maximumMessageSizeBytes: 262_144,
    });
    work.acceptFromAccount('444455556666');
    work.acceptFromOrganization('o-a1b2c3d4e5');
    for (const where of [stack, apart]) {
      work.acceptFromBucket(new s3.Bucket(where, 'Bucket'));
      work.acceptFromTopic(new sns.Topic(where, 'Topic'));
      work.acceptFromRule(new events.Rule(where, 'Rule', { eventPattern: { source: ['shop'] } }));
    }
    for (const highThroughput of [true, false]) {
      const queueName = highThroughput ? 'ledger' : 'slow-ledger';
      new WorkQueue(stack, queueName, {
        queueName,
        encryptionKey,
        fifo: true,
        highThroughput,
        contentBasedDeduplication: true,
      });
    }
    app.synth();
    return readAssembly(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a queue that accepts everything is understood, and the embedded server holds what it says', async () => {
  const stacks = assembly();
  expect(() => countResourceTypes(stacks)).not.toThrow();
  const queues = await madeQueues(stacks);
  for (const { attributes, held } of queues) expect(held).toEqual(attributes);

  const work = queues.find(({ name }) => name === 'work')!.attributes;
  expect(work).toMatchObject({ DelaySeconds: '30', MaximumMessageSize: '262144' });
  for (const sender of [
    'arn:aws:iam::444455556666:root',
    'o-a1b2c3d4e5',
    'arn:aws:s3:::apart-bucket',
    'arn:aws:sns:us-east-1:000000000000:stack-Topic',
    'arn:aws:events:us-east-1:000000000000:rule/apart-Rule',
  ]) {
    expect(work.Policy).toContain(sender);
  }
  const ledgers = queues.filter(({ name }) => name.endsWith('ledger.fifo')).map(({ attributes }) => attributes);
  expect(ledgers.map(({ FifoThroughputLimit }) => FifoThroughputLimit)).toEqual(['perMessageGroupId', undefined]);
});
