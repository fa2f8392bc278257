/**
 * The database of each stage: a connection for every one that the fleets may open, everything set on purpose, and a schema
 * that is there before a fleet changes.
 */
import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { z } from 'zod';
import { buildApp, type Stacks } from '../../lib/app.ts';
import { configurationOf, stageNames } from '../../lib/config.ts';
import {
  connectionProblem,
  fleetConnections,
  POOL_CONNECTIONS_MAX,
  PROCESSES_PER_INSTANCE,
  REFRESH_OVERSHOOT,
  RESERVED_CONNECTIONS,
  servedConnections,
} from '../../lib/constructs/connection-budget.ts';
import { migrationsDigest } from '../../lib/constructs/migration-step.ts';
import { checkedConfiguration, type StageConfiguration } from '../../lib/settings.ts';
import { workloadNames } from '../../lib/workloads.ts';
import { CONNECTIONS_MAX } from '../../workers/store/connection.ts';
import { builtStage } from './built-stage.ts';
import { findingsOf, ruleNames } from './rules/index.ts';
import { Stage } from './rules/stage.ts';
import { type Synthesized, synthesized } from './synthesized.ts';

const fleetsOf = (orders: number, ledger: number) => ({ orders: { maximum: orders }, ledger: { maximum: ledger } });

describe('fleets that the database cannot serve', () => {
  test('are refused with the numbers and what is allowed', () => {
    expect(connectionProblem('db.t4g.micro', fleetsOf(10, 4))).toBe(
      'a class that serves 132 connections ' +
        '(orders 10 instances × 2 in a refresh × 1 process × 4 connections = 80, ' +
        'ledger 4 instances × 2 in a refresh × 1 process × 4 connections = 32, in reserve 20), ' +
        'or fleets with a maximum of 7 instances together; with 1 GiB it serves 78',
    );
  });

  test.each([
    [4, 3, undefined],
    [4, 4, expect.stringContaining('a maximum of 7 instances together')],
  ])('are those beyond what the error allows, and no others: %p and %p', (orders, ledger, expected) => {
    expect(connectionProblem('db.t4g.micro', fleetsOf(orders, ledger))).toEqual(expected);
  });

  test('are refused when the memory of the class is not known', () => {
    expect(connectionProblem('db.t9g.micro', fleetsOf(2, 2))).toBe(
      'a class whose memory stands in lib/constructs/database-class-memory.ts; add it there',
    );
  });

  test('are an error of the stage that has them', () => {
    const { stage, ...candidate } = structuredClone(configurationOf('prod'));
    candidate.database.instanceClass = 'db.t4g.micro';
    const problem = connectionProblem('db.t4g.micro', candidate.fleets);
    expect(problem).toBeDefined();
    expect(() => checkedConfiguration(stage, candidate)).toThrow(
      `stage prod: database.instanceClass is "db.t4g.micro"; allowed: ${problem}`,
    );
  });
});

describe('what a class serves', () => {
  test.each([
    ['db.t4g.micro', 78],
    ['db.t4g.small', 157],
    ['db.m7g.large', 630],
    ['db.r8g.48xlarge', 5000],
    ['db.m7i.large', undefined],
    ['large', undefined],
  ])('%s: %p connections', (instanceClass, connections) => {
    expect(servedConnections(instanceClass)).toBe(connections);
  });

  test('stays below what RDS was seen to give: 198 on 2 GiB, 413 on 4 GiB', () => {
    expect(servedConnections('db.t4g.small')).toBeLessThan(198);
    expect(servedConnections('db.t4g.medium')).toBeLessThan(413);
  });
});

test('the pool of a worker is as large as the budget has it', () => {
  expect(POOL_CONNECTIONS_MAX).toBe(CONNECTIONS_MAX);
});

const groupSchema = z.object({ MaxSize: z.coerce.number() });
const refreshSchema = z.object({
  UpdatePolicy: z.object({
    AutoScalingInstanceRefresh: z.object({ Preferences: z.object({ MaxHealthyPercentage: z.number() }) }),
  }),
});

const apps = stageNames.map((stage) => {
  const built: Stacks[] = [];
  const app = synthesized((root) => {
    built.push(buildApp(root, configurationOf(stage)));
  });
  return { stage, app, stacks: built[0]! };
});
const typed = ({ resources }: Synthesized, type: string) => resources.filter((resource) => resource.type === type);

describe.each(apps)('the templates of stage $stage', ({ app }) => {
  const { templates } = app;
  const of = (type: string) => typed(app, type);

  test('have a database that serves every fleet at its maximum, in a refresh', () => {
    const groups = of('AWS::AutoScaling::AutoScalingGroup').map(({ properties }) => groupSchema.parse(properties));
    const needed = groups.reduce((sum, { MaxSize }) => sum + fleetConnections(MaxSize), RESERVED_CONNECTIONS);
    expect(groups.length).toBeGreaterThan(0);
    for (const { properties } of of('AWS::RDS::DBInstance')) {
      expect(servedConnections(String(properties.DBInstanceClass))).toBeGreaterThanOrEqual(needed);
    }
  });

  test('let no refresh go beyond what is counted', () => {
    const percentages = Object.values(templates).flatMap(({ Resources }) =>
      Object.values(Resources)
        .filter(({ Type }) => Type === 'AWS::AutoScaling::AutoScalingGroup')
        .map(
          (group) =>
            refreshSchema.parse(group).UpdatePolicy.AutoScalingInstanceRefresh.Preferences.MaxHealthyPercentage,
        ),
    );
    expect(Math.max(...percentages)).toBeLessThanOrEqual(REFRESH_OVERSHOOT * 100);
  });

  test.each(of('AWS::EC2::LaunchTemplate'))(
    'run as many processes on an instance as are counted: $id',
    ({ properties }) => {
      expect(JSON.stringify(properties).split('ExecStart=/usr/bin/node-24 ').length - 1).toBe(PROCESSES_PER_INSTANCE);
    },
  );
});

/** What has to be looked at beyond the properties: what is made before it, and what becomes of it. */
const wholeSchema = z.looseObject({
  DependsOn: z.array(z.string()).default([]),
  DeletionPolicy: z.string().optional(),
});

describe.each(apps)('the database of stage $stage', ({ stage, app }) => {
  const { database: settings } = configurationOf(stage);
  const [instance] = typed(app, 'AWS::RDS::DBInstance').filter(({ stack }) => stack === `sluice-${stage}-data`);
  const whole = (id: string) => wholeSchema.parse(app.templates[instance!.stack]!.Resources[id]);
  const key = typed(app, 'AWS::KMS::Key').find(({ id }) => id.startsWith('StoreKey'))!;
  const keyArn = { 'Fn::GetAtt': [key.id, 'Arn'] };
  const prod = stage === 'prod';

  test('says everything on purpose', () => {
    const { Tags: _, ...properties } = instance!.properties;
    expect(properties).toEqual({
      AllocatedStorage: String(settings.allocatedStorageGib),
      AllowMajorVersionUpgrade: false,
      AutoMinorVersionUpgrade: true,
      BackupRetentionPeriod: prod ? 14 : 1,
      CACertificateIdentifier: 'rds-ca-rsa2048-g1',
      CopyTagsToSnapshot: true,
      DBInstanceClass: settings.instanceClass,
      DBInstanceIdentifier: `sluice-${stage}`,
      DBName: 'sluice',
      DBParameterGroupName: { Ref: expect.stringMatching(/^StoreParameters/) },
      DBSubnetGroupName: { Ref: expect.stringMatching(/^StoreInstanceSubnetGroup/) },
      DatabaseInsightsMode: prod ? 'advanced' : 'standard',
      DeleteAutomatedBackups: !prod,
      DeletionProtection: prod,
      EnableCloudwatchLogsExports: ['postgresql', 'upgrade'],
      EnableIAMDatabaseAuthentication: true,
      EnablePerformanceInsights: true,
      Engine: 'postgres',
      EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
      EngineVersion: expect.stringMatching(/^18\./),
      KmsKeyId: keyArn,
      ManageMasterUserPassword: true,
      MasterUsername: 'sluice',
      MaxAllocatedStorage: settings.maxAllocatedStorageGib,
      ...(prod
        ? {
            MonitoringInterval: 60,
            MonitoringRoleArn: { 'Fn::GetAtt': [expect.stringMatching(/^StoreMonitoringRole/), 'Arn'] },
          }
        : {}),
      MultiAZ: prod,
      PerformanceInsightsKMSKeyId: keyArn,
      PerformanceInsightsRetentionPeriod: prod ? 465 : 7,
      Port: '5432',
      PreferredBackupWindow: '02:00-03:00',
      PreferredMaintenanceWindow: 'sun:03:30-sun:04:30',
      PubliclyAccessible: false,
      StorageEncrypted: true,
      StorageType: 'gp3',
      VPCSecurityGroups: [{ 'Fn::GetAtt': [expect.stringMatching(/^StoreSecurityGroup/), 'GroupId'] }],
    });
    const [parameters] = typed(app, 'AWS::RDS::DBParameterGroup');
    expect(parameters!.properties).toMatchObject({
      Family: 'postgres18',
      Parameters: { 'rds.force_ssl': '1', log_lock_waits: '1' },
    });
  });

  test('logs into groups that are there before it, encrypted and for as long as configured', () => {
    const groups = typed(app, 'AWS::Logs::LogGroup').filter(({ stack }) => stack === instance!.stack);
    expect(groups.map(({ properties }) => properties)).toMatchObject(
      ['postgresql', 'upgrade'].map((name) => ({
        LogGroupName: `/aws/rds/instance/sluice-${stage}/${name}`,
        KmsKeyId: keyArn,
        RetentionInDays: settings.logRetentionDays,
      })),
    );
    expect(whole(instance!.id).DependsOn).toEqual(expect.arrayContaining(groups.map(({ id }) => id)));
  });

  test('has a key of its own that rotates, stays as long as what it encrypts, and serves these log groups alone', () => {
    expect(key).toMatchObject({ stack: instance!.stack, properties: { EnableKeyRotation: true } });
    expect([whole(instance!.id).DeletionPolicy, whole(key.id).DeletionPolicy]).toEqual(
      prod ? ['Snapshot', 'RetainExceptOnCreate'] : ['Delete', 'Delete'],
    );
    const contexts = [...JSON.stringify(key.properties).matchAll(/:log-group:([^"]+)"/g)].map(([, name]) => name);
    expect(contexts).toEqual(['postgresql', 'upgrade'].map((name) => `/aws/rds/instance/sluice-${stage}/${name}`));
  });

  test('is opened by tokens and not by a secret, which no worker has a word of', () => {
    const compute = JSON.stringify(app.templates[`sluice-${stage}-compute`]);
    expect(compute).not.toMatch(/secret/i);
    expect(compute.split('rds-db:connect').length - 1).toBe(workloadNames.length);
    expect(compute.split('"PGUSER":"sluice_worker"').length - 1).toBe(workloadNames.length);
  });
});

/** `prod`, whose database was replaced by one that was restored. */
function restoredProd(): StageConfiguration {
  const { stage, ...candidate } = structuredClone(configurationOf('prod'));
  candidate.database.instanceNumber = 2;
  candidate.database.snapshotIdentifier = 'sluice-prod-before-the-fault';
  return checkedConfiguration(stage, candidate);
}

describe('a database that begins with a snapshot', () => {
  const { app: empty } = apps.find(({ stage }) => stage === 'prod')!;
  const { app: restored } = builtStage(restoredProd());
  const databaseOf = (app: Synthesized) => typed(app, 'AWS::RDS::DBInstance')[0]!;

  test('says nothing that the snapshot decides, and everything else as an empty one does', () => {
    const { DBName, MasterUsername, KmsKeyId, StorageEncrypted, ...common } = databaseOf(empty).properties;
    expect([DBName, MasterUsername, StorageEncrypted]).toEqual(['sluice', 'sluice', true]);
    expect(KmsKeyId).toBeDefined();
    expect(databaseOf(restored).properties).toEqual({
      ...common,
      DBInstanceIdentifier: 'sluice-prod-2',
      DBSnapshotIdentifier: 'sluice-prod-before-the-fault',
    });
  });

  test('takes the place of the other: same resource, another name, the same fate', () => {
    const whole = (app: Synthesized) => app.templates['sluice-prod-data']!.Resources[databaseOf(app).id];
    expect(databaseOf(restored).id).toBe(databaseOf(empty).id);
    expect({ ...whole(restored), Properties: 0 }).toEqual({ ...whole(empty), Properties: 0 });
    expect(whole(restored)).toMatchObject({ UpdateReplacePolicy: 'Snapshot', DeletionPolicy: 'Snapshot' });
  });

  test('takes along all that has its name: log groups, what their key is for, and who may monitor', () => {
    const data = (app: Synthesized) =>
      JSON.stringify(
        Object.entries(app.templates['sluice-prod-data']!.Resources).filter(([id]) => id !== databaseOf(app).id),
      );
    expect(data(empty)).toMatch(/instance\/sluice-prod\//);
    expect(data(empty)).toMatch(/:db:sluice-prod"/);
    expect(data(restored)).toBe(
      data(empty)
        .replaceAll('instance/sluice-prod/', 'instance/sluice-prod-2/')
        .replaceAll(':db:sluice-prod"', ':db:sluice-prod-2"')
        .replaceAll(' of sluice-prod', ' of sluice-prod-2'),
    );
  });

  test('changes nothing in any other stack: they ask the data stack what the database is called', () => {
    for (const [stack, template] of Object.entries(empty.templates)) {
      if (stack !== 'sluice-prod-data') expect(restored.templates[stack]).toEqual(template);
    }
  });

  test('is held to every rule, and passes the validation', () => {
    const stage = new Stage(restoredProd(), restored.templates);
    expect(ruleNames.flatMap((name) => findingsOf(name, stage))).toEqual([]);
    const told = jest.spyOn(console, 'error').mockReturnValue();
    expect(() => synthesized((root) => buildApp(root, restoredProd()), { validate: true })).not.toThrow();
    told.mockRestore();
  });
});

describe('a database that is to be kept', () => {
  test('is kept with its key once it was made, and stands in nobody’s way where it was not', () => {
    const { stage, ...candidate } = structuredClone(configurationOf('prod'));
    candidate.database.removalPolicy = 'retain';
    const { app } = builtStage(checkedConfiguration(stage, candidate));
    const resources = Object.values(app.templates['sluice-prod-data']!.Resources);
    const kept = resources.filter(({ Type }) => ['AWS::RDS::DBInstance', 'AWS::KMS::Key'].includes(Type));
    expect(kept.map(({ DeletionPolicy, UpdateReplacePolicy }) => [DeletionPolicy, UpdateReplacePolicy])).toEqual([
      ['RetainExceptOnCreate', 'Retain'],
      ['RetainExceptOnCreate', 'Retain'],
    ]);
  });
});

describe.each(apps)('the migration step of stage $stage', ({ stage, app, stacks }) => {
  const inSchema = (type: string) => typed(app, type).filter(({ stack }) => stack === `sluice-${stage}-schema`);
  const [migration] = inSchema('AWS::Lambda::Function');
  const [logGroup] = inSchema('AWS::Logs::LogGroup');

  test('comes after the database and before every fleet, which uses nothing of it', () => {
    expect(stacks.compute.dependencies).toContain(stacks.schema);
    expect(stacks.schema.dependencies).toEqual(expect.arrayContaining([stacks.network, stacks.data]));
    expect(JSON.stringify(app.templates[`sluice-${stage}-compute`])).not.toContain('-schema:');
  });

  test('is called when a migration is added and when the database is another, and at no other time', () => {
    const [resource] = inSchema('Custom::SluiceSchema');
    expect(resource!.properties).toEqual({
      ServiceToken: { 'Fn::GetAtt': [migration!.id, 'Arn'] },
      // Longer than the function may run, much shorter than the hour that CloudFormation would wait.
      ServiceTimeout: '1200',
      migrations: migrationsDigest('workers/store/migrations'),
      database: { 'Fn::ImportValue': expect.stringMatching(/DbiResourceId/) },
    });
  });

  test('runs in the network, with bounds, and knows where the password is and not what it is', () => {
    expect(migration!.properties).toMatchObject({
      FunctionName: `sluice-${stage}-migration`,
      Architectures: ['arm64'],
      Runtime: 'nodejs24.x',
      Handler: 'index.handler',
      MemorySize: 256,
      Timeout: 900,
      LoggingConfig: { LogGroup: { Ref: logGroup!.id } },
      Environment: {
        Variables: {
          DATABASE_SECRET_ARN: { 'Fn::ImportValue': expect.stringMatching(/MasterUserSecret/) },
          NODE_OPTIONS: '--enable-source-maps',
          PGDATABASE: 'sluice',
          PGHOST: { 'Fn::ImportValue': expect.stringMatching(/EndpointAddress/) },
          PGPORT: '5432',
          PGSSLMODE: 'verify-full',
          PGUSER: 'sluice',
        },
      },
      VpcConfig: { SubnetIds: [{ 'Fn::ImportValue': expect.stringMatching(/WorkersSubnet1/) }, expect.anything()] },
    });
    expect(logGroup!.properties).toMatchObject({
      LogGroupName: `/sluice/${stage}/migration`,
      KmsKeyId: expect.anything(),
      RetentionInDays: configurationOf(stage).database.logRetentionDays,
    });
  });

  test('may log in as the owner and write one log, and its own code can touch no network interface', () => {
    const [policy] = inSchema('AWS::IAM::Policy');
    const { Statement } = z
      .object({ Statement: z.array(z.looseObject({ Effect: z.string(), Action: z.unknown(), Resource: z.unknown() })) })
      .parse(policy!.properties.PolicyDocument);
    const interfaces = expect.arrayContaining(['ec2:CreateNetworkInterface', 'ec2:DeleteNetworkInterface']);
    expect(Statement).toEqual([
      {
        Effect: 'Allow',
        Action: 'secretsmanager:GetSecretValue',
        Resource: { 'Fn::ImportValue': expect.stringMatching(/MasterUserSecret/) },
      },
      { Effect: 'Allow', Action: 'rds-db:connect', Resource: expect.anything() },
      {
        Effect: 'Allow',
        Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        Resource: { 'Fn::GetAtt': [logGroup!.id, 'Arn'] },
      },
      { Effect: 'Allow', Action: interfaces, Resource: '*' },
      {
        Effect: 'Deny',
        Action: Statement[3]!.Action,
        Resource: '*',
        Condition: { ArnEquals: { 'lambda:SourceFunctionArn': expect.anything() } },
      },
    ]);
    expect(JSON.stringify(Statement[1]!.Resource)).toMatch(/:dbuser:.*DbiResourceId.*\/sluice"/);
    expect(JSON.stringify(Statement[4]!.Condition)).toContain(`:function:sluice-${stage}-migration`);
  });
});

describe('the digest of the migrations', () => {
  test('is the same as long as nothing changes, and another with a file more, another name or another line', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    try {
      cpSync('workers/store/migrations', folder, { recursive: true });
      const digests = [migrationsDigest('workers/store/migrations')];
      expect(migrationsDigest(folder)).toBe(digests[0]);
      writeFileSync(join(folder, '900_more.sql'), 'select 1;');
      digests.push(migrationsDigest(folder));
      renameSync(join(folder, '900_more.sql'), join(folder, '901_more.sql'));
      digests.push(migrationsDigest(folder));
      writeFileSync(join(folder, '901_more.sql'), 'select 2;');
      digests.push(migrationsDigest(folder));
      expect(new Set(digests).size).toBe(4);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
