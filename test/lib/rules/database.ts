/** Every database is private, encrypted, TLS only, backed up, and as safe as its stage asks for. */
import type { Resource } from '../synthesized.ts';
import { found, listOf, type Rule, type Stage, unless, valueAt } from './stage.ts';

/** Of the server that runs locally, too. */
const VERSION = /^18\./;
const CERTIFICATE_AUTHORITIES = ['rds-ca-rsa2048-g1', 'rds-ca-rsa4096-g1', 'rds-ca-ecc384-g1'];
/** What RDS takes with each mode: free of charge, and 15 months. */
const INSIGHTS_DAYS: Readonly<Record<string, number>> = { standard: 7, advanced: 465 };
const GRAVITON = /^db\.[a-z]+\d+g[a-z]*\./;

export const databaseRules = {
  'a database is private, and its connections are encrypted': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { PubliclyAccessible, DBParameterGroupName, CACertificateIdentifier, VPCSecurityGroups } =
        database.properties;
      const parameters = stage.referred(database.stack, DBParameterGroupName)?.properties.Parameters;
      const groups = listOf(VPCSecurityGroups).map((group) => stage.referred(database.stack, group));
      return [
        ...unless(PubliclyAccessible === false, database, 'is public'),
        ...unless(valueAt(parameters, 'rds.force_ssl') === '1', database, 'takes connections without TLS'),
        ...unless(
          CERTIFICATE_AUTHORITIES.includes(String(CACertificateIdentifier)),
          database,
          `has a certificate of ${String(CACertificateIdentifier)}`,
        ),
        ...unless(
          groups.length > 0 && groups.every((group) => group?.type === 'AWS::EC2::SecurityGroup'),
          database,
          'is in no security group of these templates',
        ),
      ];
    }),

  'a database is in subnets that nothing else is in': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const group = stage.referred(database.stack, database.properties.DBSubnetGroupName);
      if (group?.type !== 'AWS::RDS::DBSubnetGroup') return [found(database, 'is in the default subnets')];
      return listOf(group.properties.SubnetIds).flatMap((value) => {
        const subnet = stage.referred(group.stack, value);
        const users = subnet === undefined ? [] : stage.usersOf(subnet);
        const others = users.filter((user) => user !== group && user.type !== 'AWS::EC2::SubnetRouteTableAssociation');
        return unless(others.length === 0, database, `shares ${subnet?.id} with ${others[0]?.id}`);
      });
    }),

  'a database keeps its password to itself, and takes tokens': (stage) =>
    databasesOf(stage).flatMap((database) => [
      ...unless(
        database.properties.ManageMasterUserPassword === true,
        database,
        'has a password that RDS does not manage',
      ),
      ...unless(database.properties.MasterUserPassword === undefined, database, 'has a password in its template'),
      ...unless(database.properties.EnableIAMDatabaseAuthentication === true, database, 'takes no token of IAM'),
    ]),

  'a database is encrypted, on gp3, of the version that runs locally': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { StorageEncrypted, StorageType, Engine, EngineVersion, DBInstanceClass, EngineLifecycleSupport } =
        database.properties;
      const { KmsKeyId, DBSnapshotIdentifier } = database.properties;
      const { snapshotIdentifier } = stage.configuration.database;
      const key = stage.referred(database.stack, KmsKeyId);
      // A snapshot brings its own encryption, and CloudFormation wants to hear nothing of it.
      const isEncrypted =
        snapshotIdentifier === undefined
          ? StorageEncrypted === true && key?.type === 'AWS::KMS::Key'
          : StorageEncrypted === undefined && KmsKeyId === undefined;
      return [
        ...unless(isEncrypted, database, 'is not encrypted with its key'),
        ...unless(
          DBSnapshotIdentifier === snapshotIdentifier,
          database,
          `begins with the snapshot ${String(DBSnapshotIdentifier)}`,
        ),
        ...unless(StorageType === 'gp3', database, `is on ${String(StorageType)}`),
        ...unless(
          Engine === 'postgres' && VERSION.test(String(EngineVersion)),
          database,
          `is ${String(Engine)} ${String(EngineVersion)}`,
        ),
        ...unless(GRAVITON.test(String(DBInstanceClass)), database, `is a ${String(DBInstanceClass)}`),
        ...unless(
          EngineLifecycleSupport === 'open-source-rds-extended-support-disabled',
          database,
          'stays on an old version for money',
        ),
      ];
    }),

  'a database is as safe as its stage asks for': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { database: settings } = stage.configuration;
      const { MultiAZ, DeletionProtection, BackupRetentionPeriod, DeleteAutomatedBackups, CopyTagsToSnapshot } =
        database.properties;
      const expected = {
        destroy: 'Delete,Delete',
        snapshot: 'Snapshot,Snapshot',
        retain: 'RetainExceptOnCreate,Retain',
      }[settings.removalPolicy];
      const policies = ['DeletionPolicy', 'UpdateReplacePolicy'].map((name) => stage.attribute(database, name));
      return [
        ...unless(MultiAZ === settings.multiAz, database, settings.multiAz ? 'has no standby' : 'has a standby'),
        ...unless(
          DeletionProtection === settings.deletionProtection,
          database,
          'is protected otherwise than its stage says',
        ),
        ...unless(
          BackupRetentionPeriod === settings.backupRetentionDays,
          database,
          `keeps backups for ${String(BackupRetentionPeriod)} days`,
        ),
        ...unless(
          DeleteAutomatedBackups === (settings.removalPolicy === 'destroy'),
          database,
          'takes its backups along, or leaves them, against its stage',
        ),
        ...unless(CopyTagsToSnapshot === true, database, 'has snapshots without tags'),
        ...unless(policies.join() === expected, database, `goes as ${policies.join()}, not ${expected}`),
      ];
    }),

  'a database has the size that its stage says, and tells what it does': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { database: settings } = stage.configuration;
      const {
        AllocatedStorage,
        MaxAllocatedStorage,
        DBInstanceClass,
        EnableCloudwatchLogsExports,
        AutoMinorVersionUpgrade,
      } = database.properties;
      const logs = listOf(EnableCloudwatchLogsExports);
      return [
        ...unless(
          Number(AllocatedStorage) === settings.allocatedStorageGib,
          database,
          `begins with ${String(AllocatedStorage)} GiB`,
        ),
        ...unless(
          MaxAllocatedStorage === settings.maxAllocatedStorageGib,
          database,
          `grows to ${String(MaxAllocatedStorage)} GiB`,
        ),
        ...unless(DBInstanceClass === settings.instanceClass, database, `is a ${String(DBInstanceClass)}`),
        ...unless(
          ['postgresql', 'upgrade'].every((log) => logs.includes(log)),
          database,
          'keeps its logs to itself',
        ),
        ...unless(AutoMinorVersionUpgrade === true, database, 'is not patched'),
      ];
    }),

  'a database is watched and restarted as its stage says': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { database: settings } = stage.configuration;
      const expected: Record<string, unknown> = {
        PreferredBackupWindow: settings.backupWindow,
        PreferredMaintenanceWindow: settings.maintenanceWindow,
        DatabaseInsightsMode: settings.insightsMode,
        MonitoringInterval: settings.monitoringIntervalSeconds === 0 ? undefined : settings.monitoringIntervalSeconds,
        CACertificateIdentifier: settings.certificateAuthority,
        AllowMajorVersionUpgrade: false,
      };
      return Object.entries(expected).flatMap(([property, value]) =>
        unless(
          database.properties[property] === value,
          database,
          `has ${property} ${String(database.properties[property])}`,
        ),
      );
    }),

  'a database has the insights that its mode needs, and a role to tell what it does': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const {
        EnablePerformanceInsights,
        PerformanceInsightsRetentionPeriod: days,
        PerformanceInsightsKMSKeyId,
        DatabaseInsightsMode: mode,
        KmsKeyId,
        MonitoringInterval,
        MonitoringRoleArn,
      } = database.properties;
      const key = stage.referred(database.stack, KmsKeyId);
      const insightsKey = stage.referred(database.stack, PerformanceInsightsKMSKeyId);
      const role = stage.referred(database.stack, MonitoringRoleArn);
      return [
        ...unless(EnablePerformanceInsights === true, database, 'has no insights'),
        ...unless(
          days === INSIGHTS_DAYS[String(mode)],
          database,
          `keeps its insights for ${String(days)} days, which ${String(mode)} does not take`,
        ),
        ...unless(
          insightsKey !== undefined &&
            (isRestored(database) ? insightsKey.stack === database.stack : insightsKey === key),
          database,
          'has insights, statements among them, under another key',
        ),
        ...unless(
          MonitoringInterval === undefined || role?.type === 'AWS::IAM::Role',
          database,
          'has no role to write down what it does',
        ),
      ];
    }),

  'the lines of a database go to groups that are there before it': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { DBInstanceIdentifier, EnableCloudwatchLogsExports } = database.properties;
      return listOf(EnableCloudwatchLogsExports).flatMap((file) => {
        const name = `/aws/rds/instance/${String(DBInstanceIdentifier)}/${String(file)}`;
        const group = stage.of('AWS::Logs::LogGroup').find(({ properties }) => properties.LogGroupName === name);
        const days = stage.configuration.database.logRetentionDays;
        return [
          ...unless(
            group !== undefined && stage.dependencies(database).includes(group.id),
            database,
            `makes ${name} by itself, without a key and without an end`,
          ),
          ...unless(
            group?.properties.RetentionInDays === days,
            group ?? database,
            `keeps its lines not for ${days} days`,
          ),
        ];
      });
    }),

  'a database has the name of its stage, and is what workers are told': (stage) =>
    databasesOf(stage).flatMap((database) => {
      const { DBInstanceIdentifier, EngineVersion, DBParameterGroupName } = database.properties;
      const { instanceNumber } = stage.configuration.database;
      const family = stage.referred(database.stack, DBParameterGroupName)?.properties.Family;
      return [
        ...unless(
          DBInstanceIdentifier === `sluice-${stage.name}${instanceNumber === 1 ? '' : `-${instanceNumber}`}`,
          database,
          `is called ${String(DBInstanceIdentifier)}`,
        ),
        ...unless(
          family === `postgres${String(EngineVersion).split('.')[0]}`,
          database,
          `has parameters of ${String(family)}`,
        ),
        ...stage.fleets.flatMap(({ template, variables }) =>
          unless(
            variables.PGDATABASE === databaseNameOf(database),
            template,
            `connects to ${String(variables.PGDATABASE)}`,
          ),
        ),
      ];
    }),

  'a stage has one database': (stage) => {
    const databases = databasesOf(stage);
    return databases.length === 1
      ? []
      : [found({ stack: `sluice-${stage.name}-data`, id: 'Store' }, `has ${databases.length} databases`)];
  },
} satisfies Record<string, Rule>;

function databasesOf(stage: Stage) {
  return stage.of('AWS::RDS::DBInstance');
}

/** Its snapshot says what the template does not: names and key. */
function isRestored({ properties }: Resource): boolean {
  return properties.DBSnapshotIdentifier !== undefined;
}

/** Snapshots are of databases of this app. */
export function databaseNameOf(database: Resource | undefined): unknown {
  return database !== undefined && isRestored(database) ? 'sluice' : database?.properties.DBName;
}

export function ownerNameOf(database: Resource | undefined): unknown {
  return database !== undefined && isRestored(database) ? 'sluice' : database?.properties.MasterUsername;
}
