/** The constructs stand on their own: in a foreign app, with what they cannot do without and nothing else. */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import { WorkQueue } from '../../../lib/constructs/work-queue.ts';
import type { WorkerDatabase } from '../../../lib/constructs/worker-database.ts';
import { WorkerFleet } from '../../../lib/constructs/worker-fleet.ts';
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

test('a fleet writes to a database that an app has already', () => {
  const { resources } = synthesized((app) => {
    const stack = new Stack(app, 'shop', { env: { account: '111122223333', region: 'eu-central-1' } });
    const vpc = new ec2.Vpc(stack, 'Vpc') as ec2.IVpc;
    const securityGroup = new ec2.SecurityGroup(stack, 'DatabaseGroup', { vpc });
    const store: WorkerDatabase = {
      environment: { PGHOST: 'database.example.com', PGDATABASE: 'shop' },
      connections: new ec2.Connections({ securityGroups: [securityGroup], defaultPort: ec2.Port.tcp(5432) }),
      grantConnect: (grantee) =>
        iam.Grant.addToPrincipal({ grantee, actions: ['rds-db:connect'], resourceArns: ['arn:of-the-user'] }),
    };
    const workQueue = new WorkQueue(stack, 'Orders', { queueName: 'shop-orders' });
    const entry = 'workers/orders/main.ts';
    new WorkerFleet(stack, 'OrdersFleet', { fleetName: 'orders', entry, workQueue, store, vpc });
  });
  const textOfAll = (type: string) => JSON.stringify(resources.filter((resource) => resource.type === type));
  expect(textOfAll('AWS::EC2::LaunchTemplate')).toContain('database.example.com');
  expect(textOfAll('AWS::IAM::Policy')).toContain('arn:of-the-user');
  expect(textOfAll('AWS::EC2::SecurityGroupIngress')).toContain('DatabaseGroup');
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
