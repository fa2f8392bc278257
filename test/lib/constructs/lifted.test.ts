/** The constructs stand on their own: in a foreign app, with what they cannot do without and nothing else. */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { queueModel } from '../queue-model.ts';
import { queueProblems } from '../queue-rules.ts';
import { synthesized } from '../synthesized.ts';
import { addShop } from './lifted-app.ts';

const textOf = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

describe('a foreign app with the constructs', () => {
  const { resources, templates } = synthesized((app) => {
    addShop(app);
  });
  const of = (type: string) => resources.filter((resource) => resource.type === type);

  test('has all of it without a word about keys, subnets, sizes, logs or retention', () => {
    const count = (type: string) => of(type).length;
    expect({
      queues: count('AWS::SQS::Queue'),
      fleets: count('AWS::AutoScaling::AutoScalingGroup'),
      databases: count('AWS::RDS::DBInstance'),
      functions: count('AWS::Lambda::Function'),
      // Messages; the database with its logs; the lines of the workers and of the migrations.
      keys: count('AWS::KMS::Key'),
    }).toEqual({ queues: 2, fleets: 1, databases: 1, functions: 1, keys: 4 });
    for (const { properties } of of('AWS::KMS::Key')) expect(properties.EnableKeyRotation).toBe(true);
    for (const { properties } of of('AWS::Logs::LogGroup')) {
      expect(properties).toMatchObject({ RetentionInDays: 30, KmsKeyId: expect.anything() });
    }
    expect(queueProblems(queueModel(templates))).toEqual([]);
  });

  test('keeps its database where nothing leads out, and its workers where something does', () => {
    const placed = (type: string) => JSON.stringify(of(type).map(({ properties }) => properties));
    expect(placed('AWS::RDS::DBSubnetGroup')).toMatch(/VpcDatabaseSubnet1/);
    expect(placed('AWS::RDS::DBSubnetGroup')).not.toMatch(/VpcPublic|VpcWorkers/);
    expect(placed('AWS::AutoScaling::AutoScalingGroup')).toMatch(/VpcWorkersSubnet1/);
    expect(placed('AWS::AutoScaling::AutoScalingGroup')).not.toMatch(/VpcPublic|VpcDatabase/);
  });

  test('is what the documentation shows', () => {
    const [, shown] = textOf('test/lib/constructs/lifted-app.ts').split(/^(?=export function)/m);
    expect(textOf('docs/architecture.md')).toContain(`\`\`\`ts\n${shown}\`\`\``);
  });
});

test('the constructs import nothing of the app that they are in', () => {
  const folder = fileURLToPath(new URL('../../../lib/constructs/', import.meta.url));
  const foreign = globSync('*.ts', { cwd: folder }).flatMap((file) =>
    [...textOf(`lib/constructs/${file}`).matchAll(/from '(\.\.\/[^']*)'/g)]
      .map(([, path]) => `${file} ${path}`)
      .filter((each) => !each.includes(' ../../workers/')),
  );
  expect(foreign).toEqual([]);
});

test('every property that may be left out says in one sentence what it is, and what it is then', () => {
  const files = ['work-queue', 'worker-fleet', 'postgres-store', 'migration-step', 'worker-log'];
  const undocumented = files.flatMap((file) => {
    const [, props = ''] = /^export interface \w+Props \{\n(.*?)^\}/ms.exec(textOf(`lib/constructs/${file}.ts`)) ?? [];
    const found = [...props.matchAll(/(\/\*\*(?:(?!\*\/).)*\*\/)?\n? {2}readonly (\w+)(\??):/gs)];
    expect(found.length).toBeGreaterThan(1);
    return found
      .filter(([, comment = '', , optional]) => comment === '' || (optional === '?' && !comment.includes('@default ')))
      .map(([, , name]) => `${file}.${name}`);
  });
  expect(undocumented).toEqual([]);
});
