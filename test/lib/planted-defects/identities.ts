/** What can be wrong with roles and names in a template, one at a time. */
import { BUNDLE_RIGHT, RIGHTS } from './places.ts';
import { property, removed, statement, type TemplateDefect, text } from './planting.ts';

export const identities: readonly TemplateDefect[] = [
  {
    what: 'a role of instances that no instance can take',
    plant: text('compute/OrdersFleetRole', 'ec2.amazonaws.com', 'ecs-tasks.amazonaws.com'),
  },
  {
    what: 'a role of flow logs that those of another account can take',
    plant: statement('network/FlowLogRole', 'sts:AssumeRole', (found) =>
      Reflect.deleteProperty(Object(found.Condition), 'StringEquals'),
    ),
  },
  { what: 'a flow log that may write nothing', plant: removed('network/FlowLogRoleDefaultPolicy') },
  {
    what: 'a watching of the database that may write nothing',
    plant: property('data/StoreMonitoringRole', ['Policies'], []),
  },
  {
    what: 'a migration that may not read the password',
    plant: text('schema/MigrationRoleDefaultPolicy', 'secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'),
  },
  { what: 'a migration without a role', plant: property('schema/MigrationFunction', ['Role'], undefined) },
  {
    what: 'a key that its own account cannot administer',
    plant: statement('data/StoreKey', 'kms:*', (found) => Object.assign(found, { Action: 'kms:Describe*' })),
  },
  { what: 'a right to log in to what is no database', plant: text(RIGHTS, ':rds-db:', ':rds:db:') },
  {
    what: 'a right in no partition',
    plant: text(BUNDLE_RIGHT, '["arn:",{"Ref":"AWS::Partition"},":s3:::"', '["arn:",":s3:::"'),
  },
  {
    what: 'a role to watch another database',
    plant: text('data/StoreMonitoringRole', ':db:sluice-prod', ':db:sluice-dev'),
  },
];
