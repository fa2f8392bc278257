/** The step that migrates the database can run, has its time, and comes with everything that it needs. */

import { NODE_MAJOR } from '../../../lib/constructs/fleet-programs.ts';
import { BUNDLE_ENTRY } from '../../../lib/constructs/worker-build.ts';
import { START_SECONDS_MAX } from '../../../workers/start-failure.ts';
import type { Resource } from '../synthesized.ts';
import { databaseNameOf, ownerNameOf } from './database.ts';
import { statementsOf } from './policies.ts';
import { found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';

/** What Lambda lets a function run. */
const FUNCTION_MAX_SECONDS = 900;
/** CloudFormation gives up a custom resource by itself after an hour. */
const SERVICE_MAX_SECONDS = 3_600;
const MEMORY_MIN_MIB = 256;

export const migrationRules = {
  'a stage has one migration, of its own database': (stage) => {
    const steps = stage.of('Custom::SluiceSchema');
    if (steps.length !== 1) {
      return [found({ stack: `sluice-${stage.name}-schema`, id: 'Migration' }, `is there ${steps.length} times`)];
    }
    return steps.flatMap((step) => {
      const { migrations, database, ServiceToken } = step.properties;
      return [
        ...unless(/^[0-9a-f]{64}$/.test(String(migrations)), step, 'does not change when a migration is added'),
        ...unless(
          stage.referred(step.stack, database)?.type === 'AWS::RDS::DBInstance',
          step,
          'does not run when the database is another',
        ),
        ...unless(
          stage.referred(step.stack, ServiceToken)?.type === 'AWS::Lambda::Function',
          step,
          'calls no function of these templates',
        ),
      ];
    });
  },

  'the migration has its time, and CloudFormation waits for its answer': (stage) =>
    called(stage).flatMap(({ step, code }) => {
      const runs = Number(code.properties.Timeout);
      const waits = Number(step.properties.ServiceTimeout);
      return [
        ...unless(runs > START_SECONDS_MAX && runs <= FUNCTION_MAX_SECONDS, code, `has ${runs} s for all migrations`),
        ...unless(waits > runs && waits <= SERVICE_MAX_SECONDS, step, `is given up after ${waits} s, and has ${runs}`),
      ];
    }),

  'the migration runs what is in its bundle, on the Node that it is built for': (stage) =>
    called(stage).flatMap(({ code }) => {
      const { Handler, Runtime, MemorySize } = code.properties;
      return [
        ...unless(
          Handler === BUNDLE_ENTRY.replace('.mjs', '.handler'),
          code,
          `calls ${String(Handler)}, and the bundle has ${BUNDLE_ENTRY}`,
        ),
        ...unless(Runtime === `nodejs${NODE_MAJOR}.x`, code, `runs on ${String(Runtime)}`),
        ...unless(Number(MemorySize) >= MEMORY_MIN_MIB, code, `has ${String(MemorySize)} MB`),
      ];
    }),

  'the migration is told its database and who owns it': (stage) =>
    called(stage).flatMap(({ code }) => {
      const told = valueAt(code.properties.Environment, 'Variables');
      const host = stage.referred(code.stack, valueAt(told, 'PGHOST'));
      const secret = stage.reference(code.stack, valueAt(told, 'DATABASE_SECRET_ARN'));
      return [
        ...unless(
          host?.type === 'AWS::RDS::DBInstance' && String(valueAt(told, 'PGPORT')) === String(host.properties.Port),
          code,
          'connects to no database of these templates',
        ),
        ...unless(
          valueAt(told, 'PGDATABASE') === databaseNameOf(host) && valueAt(told, 'PGUSER') === ownerNameOf(host),
          code,
          `logs in to ${textOf(valueAt(told, 'PGDATABASE'))} as ${textOf(valueAt(told, 'PGUSER'))}`,
        ),
        ...unless(
          secret?.id === host?.id && secret?.attribute === 'MasterUserSecret.SecretArn',
          code,
          'reads another password than that of the owner',
        ),
        ...unless(valueAt(told, 'PGSSLMODE') === 'verify-full', code, 'connects to a database that it does not verify'),
      ];
    }),

  'the migration may log in as the owner, and its code do nothing that only Lambda has to': (stage) =>
    called(stage).flatMap(({ code }) => {
      const host = stage.referred(code.stack, valueAt(code.properties.Environment, 'Variables', 'PGHOST'));
      const role = stage.referred(code.stack, code.properties.Role);
      const statements = stage
        .of('AWS::IAM::Policy')
        .filter(({ stack, properties }) =>
          listOf(properties.Roles).some((each) => stage.referred(stack, each) === role),
        )
        .flatMap(statementsOf);
      const mayLogIn = statements.some(
        ({ Effect, Action, Resource: resources }) =>
          Effect === 'Allow' &&
          Action.includes('rds-db:connect') &&
          resources.some((each) => textOf(each).endsWith(`>/${textOf(ownerNameOf(host))}`)),
      );
      const isBound = statements.some(
        ({ Effect, Resource: resources, Condition }) =>
          Effect === 'Deny' &&
          resources.includes('*') &&
          textOf(Condition.ArnEquals?.['lambda:SourceFunctionArn']?.[0]).endsWith(
            `:function:${textOf(code.properties.FunctionName)}`,
          ),
      );
      return [
        ...unless(mayLogIn, code, 'may not log in as the owner of its database'),
        ...unless(isBound, code, 'has code that may do what Lambda has to, because another function is denied it'),
      ];
    }),

  'the migration writes its lines where they are kept as its stage says': (stage) =>
    called(stage).flatMap(({ step, code }) => {
      const group = stage.referred(code.stack, valueAt(code.properties.LoggingConfig, 'LogGroup'));
      const days = stage.configuration.database.logRetentionDays;
      return [
        ...unless(
          group !== undefined && stage.dependencies(step).includes(group.id),
          code,
          'has no log group of its own when it is first called',
        ),
        ...unless(group?.properties.RetentionInDays === days, group ?? code, `keeps its lines not for ${days} days`),
      ];
    }),
} satisfies Record<string, Rule>;

/** Each custom resource that migrates with the function that it calls. */
function called(stage: Stage): { readonly step: Resource; readonly code: Resource }[] {
  return stage.of('Custom::SluiceSchema').flatMap((step) => {
    const code = stage.referred(step.stack, step.properties.ServiceToken);
    return code === undefined ? [] : [{ step, code }];
  });
}
