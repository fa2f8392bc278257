/** What is read from the app's own assembly, and that the embedded server gets nothing else. */

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { configurationOf } from '../../../lib/config.ts';
import { workloadNames, workloads } from '../../../lib/workloads.ts';
import { type AssemblyStack, readAssembly } from '../../../local/assembly/assembly.ts';
import { countResourceTypes } from '../../../local/assembly/resource-types.ts';
import { readSystem } from '../../../local/assembly/system.ts';
import { createRunFolder } from '../../../local/machine/run-folder.ts';
import { synthesize } from '../../../local/synthesize.ts';
import { madeQueues, servers } from './made-queues.ts';

let folder = '';
let stages: Record<'dev' | 'prod', AssemblyStack[]>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-assembly-'));
  const run = createRunFolder({ temporaryFolder: folder });
  await Promise.all(['dev', 'prod'].map((stage) => synthesize({ run, stage, folder: join(folder, stage) })));
  await run.close();
  stages = { dev: readAssembly(join(folder, 'dev')), prod: readAssembly(join(folder, 'prod')) };
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** A copy of the assembly in which one resource of a type was changed. */
function changed(type: string, change: (properties: Record<string, unknown>) => void): AssemblyStack[] {
  const stacks = structuredClone(stages.dev);
  const resource = stacks
    .flatMap(({ template }) => Object.values(template.Resources))
    .find(({ Type }) => Type === type);
  if (resource === undefined) throw new Error(`no ${type} in the assembly`);
  change(resource.Properties);
  return stacks;
}

describe('the assembly', () => {
  test.each(['dev', 'prod'] as const)('of %s holds no resource type that is neither run nor explained', (stage) => {
    const types = countResourceTypes(stages[stage]);
    expect(types.filter(({ runsHere }) => runsHere).map(({ type }) => type)).toEqual([
      'AWS::AutoScaling::AutoScalingGroup',
      'AWS::EC2::LaunchTemplate',
      'AWS::RDS::DBInstance',
      'AWS::SQS::Queue',
      'AWS::SQS::QueuePolicy',
      'Custom::SluiceSchema',
    ]);
  });

  test('with a resource type that nobody knows is refused by name', () => {
    const [first, ...rest] = structuredClone(stages.dev);
    first!.template.Resources.Table = { Type: 'AWS::DynamoDB::Table', Properties: {} };
    expect(() => countResourceTypes([first!, ...rest])).toThrow(/AWS::DynamoDB::Table/);
  });

  test('gives queues with their dead-letter queues before them', () => {
    const { queues } = readSystem(stages.dev, servers);
    const named = workloadNames.map((name) => {
      const { fifo } = workloads[name];
      const suffix = fifo ? '.fifo' : '';
      return { fifo, name: `sluice-dev-${name}${suffix}`, deadLetterQueueName: `sluice-dev-${name}-dlq${suffix}` };
    });
    expect(queues.map(({ name, fifo, deadLetterQueueName }) => [name, fifo, deadLetterQueueName])).toEqual([
      ...named.map(({ fifo, deadLetterQueueName }) => [deadLetterQueueName, fifo, undefined]),
      ...named.map(({ name, fifo, deadLetterQueueName }) => [name, fifo, deadLetterQueueName]),
    ]);
  });

  test('gives fleets whose environment is the addresses of this machine, and whose bundle is there', () => {
    const { fleets } = readSystem(stages.prod, servers);
    const { fleets: sizes } = configurationOf('prod');
    expect(fleets.map(({ name, minimum, maximum }) => [name, minimum, maximum])).toEqual(
      workloadNames.map((name) => [name, sizes[name].minimum, sizes[name].maximum]),
    );
    for (const { name, environment, entryPath } of fleets) {
      const suffix = Object.entries(workloads).find(([each]) => each === name)?.[1].fifo ? '.fifo' : '';
      expect(environment).toMatchObject({
        STAGE: 'prod',
        QUEUE_URL: `http://127.0.0.1:9324/000000000000/sluice-prod-${name}${suffix}`,
        DEAD_LETTER_QUEUE_URL: `http://127.0.0.1:9324/000000000000/sluice-prod-${name}-dlq${suffix}`,
        PGHOST: '127.0.0.1',
        AWS_REGION: 'us-east-1',
      });
      expect(Object.keys(environment).filter((variable) => variable.startsWith('FLEET_'))).toEqual([]);
      expect(existsSync(entryPath)).toBe(true);
    }
  });

  test.each<[string, string, (properties: Record<string, unknown>) => void, RegExp]>([
    [
      'a queue property that nobody knows',
      'AWS::SQS::Queue',
      (queue) => {
        queue.Colour = 'red';
      },
      /the property Colour/,
    ],
    [
      'a queue without a name',
      'AWS::SQS::Queue',
      (queue) => {
        delete queue.QueueName;
      },
      /no QueueName/,
    ],
    [
      'a FIFO queue whose name does not say so',
      'AWS::SQS::Queue',
      (queue) => {
        queue.FifoQueue = true;
      },
      /ends with \.fifo/,
    ],
    [
      'user data that is a script alone',
      'AWS::EC2::LaunchTemplate',
      (template) => {
        template.LaunchTemplateData = { UserData: 'IyEvYmluL2Jhc2g=' };
      },
      /is not the Fn::Sub with a map/,
    ],
  ])('with %s is refused', (_, type, change, sentence) => {
    expect(() => readSystem(changed(type, change), servers)).toThrow(sentence);
  });
});

describe('the embedded server', () => {
  test('holds every queue with exactly the attributes of the template', async () => {
    for (const { name, attributes, held } of await madeQueues(stages.dev)) {
      expect(held).toEqual(attributes);
      expect(attributes).toMatchObject({
        ReceiveMessageWaitTimeSeconds: '20',
        MessageRetentionPeriod: name.includes('dlq') ? '1209600' : '345600',
      });
    }
  });
});
