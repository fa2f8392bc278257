/** What can be wrong with the database in a template, one at a time. */
import { DATABASE } from './places.ts';
import { attribute, property, type TemplateDefect } from './planting.ts';

export const database: readonly TemplateDefect[] = [
  { what: 'a database that the internet reaches', plant: property(DATABASE, ['PubliclyAccessible'], true) },
  { what: 'a database that is not encrypted', plant: property(DATABASE, ['StorageEncrypted'], false) },
  {
    what: 'a database that takes connections without TLS',
    plant: property('data/StoreParameters', ['Parameters', 'rds.force_ssl'], '0'),
  },
  {
    what: 'a database with the parameters of AWS',
    plant: property(DATABASE, ['DBParameterGroupName'], 'default.postgres18'),
  },
  { what: 'a database of prod that can be deleted', plant: property(DATABASE, ['DeletionProtection'], false) },
  { what: 'a database of prod without a standby', plant: property(DATABASE, ['MultiAZ'], false) },
  { what: 'a database without backups', plant: property(DATABASE, ['BackupRetentionPeriod'], 0) },
  { what: 'a database that leaves no snapshot behind', plant: attribute(DATABASE, ['DeletionPolicy'], 'Delete') },
  {
    what: 'a database whose replacement leaves nothing behind',
    plant: attribute(DATABASE, ['UpdateReplacePolicy'], undefined),
  },
  {
    what: 'a password of the database in its template',
    plant: property(DATABASE, ['MasterUserPassword'], 'hunter2hunter2'),
  },
  {
    what: 'a database that restarts while it takes its backup',
    plant: property(DATABASE, ['PreferredMaintenanceWindow'], 'sun:02:30-sun:03:30'),
  },
  {
    what: 'a database that may change its major version by itself',
    plant: property(DATABASE, ['AllowMajorVersionUpgrade'], true),
  },
  {
    what: 'a database that takes no tokens',
    plant: property(DATABASE, ['EnableIAMDatabaseAuthentication'], false),
  },
  { what: 'a database with the key that AWS manages', plant: property(DATABASE, ['KmsKeyId'], undefined) },
  { what: 'a database that begins with another one', plant: property(DATABASE, ['DBSnapshotIdentifier'], 'rehearsal') },
  { what: 'a database on gp2', plant: property(DATABASE, ['StorageType'], 'gp2') },
  { what: 'a database that tells nothing', plant: property(DATABASE, ['EnableCloudwatchLogsExports'], []) },
  {
    what: 'a database of a class that the connections were not counted for',
    plant: property(DATABASE, ['DBInstanceClass'], 'db.t4g.micro'),
  },
  {
    what: 'a database whose certificates have run out',
    plant: property(DATABASE, ['CACertificateIdentifier'], 'rds-ca-2019'),
  },
  { what: 'a database in the default subnets', plant: property(DATABASE, ['DBSubnetGroupName'], undefined) },
  {
    what: 'a second database',
    plant: (templates) => {
      const { Resources } = templates['sluice-prod-data']!;
      Resources.Second = structuredClone(Object.values(Resources).find(({ Type }) => Type === 'AWS::RDS::DBInstance')!);
    },
  },
  { what: 'a database without insights', plant: property(DATABASE, ['EnablePerformanceInsights'], false) },
  {
    what: 'insights that are kept for a week, where the mode asks for 15 months',
    plant: property(DATABASE, ['PerformanceInsightsRetentionPeriod'], 7),
  },
  {
    what: 'insights with the key that AWS manages',
    plant: property(DATABASE, ['PerformanceInsightsKMSKeyId'], undefined),
  },
  { what: 'a database that nobody may watch', plant: property(DATABASE, ['MonitoringRoleArn'], undefined) },
  {
    what: 'a database with the name of another stage',
    plant: property(DATABASE, ['DBInstanceIdentifier'], 'sluice-dev'),
  },
  { what: 'a database that listens at another port', plant: property(DATABASE, ['Port'], '5433') },
  { what: 'parameters of another version', plant: property('data/StoreParameters', ['Family'], 'postgres17') },
  {
    what: 'a database that makes its log groups by itself',
    plant: property('data/StorePostgresqlLog', ['LogGroupName'], '/aws/rds/instance/sluice-prod/postgres'),
  },
  { what: 'a database that comes before its log groups', plant: attribute(DATABASE, ['DependsOn'], []) },
  {
    what: 'lines of the database that are kept for ten years',
    plant: property('data/StoreUpgradeLog', ['RetentionInDays'], 3653),
  },
];
