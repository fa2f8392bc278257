/** What can be wrong with the step that migrates in a template, one at a time. */
import { attribute, property, removed, type TemplateDefect, text } from './planting.ts';

const CODE = 'schema/MigrationFunction';
const STEP = 'schema/Migration';
const TOLD = ['Environment', 'Variables'] as const;

export const migration: readonly TemplateDefect[] = [
  { what: 'a deploy that migrates nothing', plant: removed(STEP) },
  { what: 'a migration that runs at no change', plant: property(STEP, ['migrations'], 'always') },
  { what: 'another database that is not migrated', plant: property(STEP, ['database'], 'sluice') },
  { what: 'a migration of three seconds', plant: property(CODE, ['Timeout'], 3) },
  { what: 'a migration that is given up while it runs', plant: property(STEP, ['ServiceTimeout'], '600') },
  { what: 'a migration that is called by a wrong name', plant: property(CODE, ['Handler'], 'main.handler') },
  { what: 'a migration on another Node than it is built for', plant: property(CODE, ['Runtime'], 'nodejs22.x') },
  { what: 'a migration without memory', plant: property(CODE, ['MemorySize'], 128) },
  { what: 'a migration as a worker', plant: property(CODE, [...TOLD, 'PGUSER'], 'sluice_worker') },
  { what: 'a migration of another database', plant: property(CODE, [...TOLD, 'PGDATABASE'], 'postgres') },
  { what: 'a migration that verifies nobody', plant: property(CODE, [...TOLD, 'PGSSLMODE'], 'require') },
  { what: 'a migration that knows no password', plant: property(CODE, [...TOLD, 'DATABASE_SECRET_ARN'], undefined) },
  { what: 'a migration that is called before its log is there', plant: attribute(STEP, ['DependsOn'], []) },
  { what: 'a migration outside of the network', plant: property(CODE, ['VpcConfig'], undefined) },
  {
    what: 'a migration that is not let in by its database',
    plant: removed('schema/MigrationSecurityGroupsluiceproddataStoreSecurityGroup606B034B5432toC84E7150'),
  },
  { what: 'lines of migrations that are kept for a day', plant: property('schema/LogGroup', ['RetentionInDays'], 1) },
  {
    what: 'a migration that may log in as a worker alone',
    plant: text('schema/MigrationRoleDefaultPolicy', '"/sluice"', '"/sluice_worker"'),
  },
  {
    what: 'a denial of what another function may not do',
    plant: text(
      'schema/MigrationRoleDefaultPolicy',
      ':function:sluice-prod-migration',
      ':function:sluice-dev-migration',
    ),
  },
];
