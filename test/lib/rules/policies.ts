/**
 * Every policy of every template says exactly who may do what with which resource.
 *
 * A policy is whatever has statements, wherever it stands: of a role, inline or by itself, of a queue, a topic, a key, a
 * bucket or an endpoint, who may take a role, and who may call a function. What is permitted all the same stands in
 * permitted-wildcards.ts.
 */
import { z } from 'zod';
import { type PermittedWildcard, permittedWildcards } from '../permitted-wildcards.ts';
import { type Resource, valuesIn } from '../synthesized.ts';
import { type Finding, found, listOf, type Rule, type Stage, textOf } from './stage.ts';

const oneOrMore = z.unknown().optional().transform(listOf);
const statementSchema = z.looseObject({
  Effect: z.enum(['Allow', 'Deny']),
  Action: oneOrMore,
  Resource: oneOrMore,
  Principal: z.unknown().optional(),
  Condition: z.record(z.string(), z.record(z.string(), oneOrMore)).default({}),
});

export type Statement = z.infer<typeof statementSchema>;

/** Keys that say on whose behalf a service acts. */
const SOURCE_KEYS = [
  'aws:SourceArn',
  'aws:SourceAccount',
  'aws:SourceOrgID',
  // CloudWatch Logs names the log group so, and no source.
  'kms:EncryptionContext:aws:logs:arn',
];
/** Keys that make of everybody a named circle. */
const CIRCLE_KEYS = ['aws:PrincipalOrgID', 'aws:PrincipalAccount', 'aws:SourceAccount', 'kms:CallerAccount'];
/** What is encrypted by a key, and the service that asks KMS for it. */
const ENCRYPTERS: Readonly<Record<string, string>> = {
  'AWS::SQS::Queue': 'sqs',
  'AWS::SNS::Topic': 'sns',
  'AWS::RDS::DBInstance': 'rds',
  'AWS::S3::Bucket': 's3',
  'AWS::SecretsManager::Secret': 'secretsmanager',
};
const NEGATIONS = ['NotAction', 'NotResource', 'NotPrincipal'];
/** With these an identity can give itself whatever it lacks. */
const ESCALATIONS =
  /^(iam:(Put|Attach|Create|Update|Delete|Add|Set|Pass)\w*|sts:AssumeRole|kms:(PutKeyPolicy|CreateGrant))$/;

const known = new WeakMap<object, readonly Statement[]>();

export function statementsOf({ properties }: Pick<Resource, 'properties'>): readonly Statement[] {
  const statements = known.get(properties) ?? [...valuesIn(properties)].flatMap(({ value }) => readStatements(value));
  known.set(properties, statements);
  return statements;
}

function readStatements(value: unknown): Statement[] {
  if (typeof value === 'string' && value.startsWith('{') && value.includes('"Statement"')) {
    return [...valuesIn(JSON.parse(value))].flatMap((each) => readStatements(each.value));
  }
  if (typeof value !== 'object' || value === null || !('Effect' in value)) return [];
  const statement = statementSchema.safeParse(value);
  return statement.success ? [statement.data] : [];
}

export const policyRules = {
  'policies allow exact actions on exact resources to named principals': (stage) =>
    wildcardFindings(stage).filter((finding) => !permittedWildcards.some((entry) => isAbout(entry, finding, stage))),

  'functions are called by a service on behalf of a named source': (stage) =>
    stage.of('AWS::Lambda::Permission').flatMap((resource) => {
      const { Principal: principal, SourceArn: arn, SourceAccount: account } = resource.properties;
      const isService = textOf(principal).endsWith('.amazonaws.com');
      if (principal === '*') return [found(resource, 'lets everybody call a function')];
      if (!isService || arn !== undefined || account !== undefined) return [];
      return [found(resource, `lets ${textOf(principal)} call a function on behalf of anybody`)];
    }),

  'an identity comes to a key through the service that encrypts for it': (stage) =>
    stage.of('AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy', 'AWS::IAM::Role').flatMap((resource) =>
      statementsOf(resource)
        .filter(
          ({ Effect, Action }) => Effect === 'Allow' && Action.some((action) => textOf(action).startsWith('kms:')),
        )
        .flatMap(({ Condition, Resource: resources }) => {
          const services = listOf(Condition.StringEquals?.['kms:ViaService']).map(textOf);
          const names = resources.flatMap((on) => encryptersOf(stage, stage.referred(resource.stack, on)));
          const wrong = services.filter((service) => !names.includes(service));
          if (services.length === 0) return [found(resource, 'uses a key by itself, not through a service')];
          return wrong.map((service) =>
            found(resource, `uses a key through ${service}, and it encrypts for ${names.join(', ')}`),
          );
        }),
    ),

  'the code of a function may not do what only Lambda has to': (stage) =>
    stage.of('AWS::IAM::Policy').flatMap((resource) => {
      const statements = statementsOf(resource).map(({ Effect, Action, Condition }) => ({
        isDenial: Effect === 'Deny' && Condition.ArnEquals?.['lambda:SourceFunctionArn'] !== undefined,
        actions: Action.map(textOf).filter((action) => action.startsWith('ec2:')),
      }));
      const denied = statements.filter(({ isDenial }) => isDenial).flatMap(({ actions }) => actions);
      const open = statements
        .filter(({ isDenial }) => !isDenial)
        .flatMap(({ actions }) => actions.filter((action) => !denied.includes(action)));
      return open.map((action) => found(resource, `lets code do ${action}`));
    }),

  'nobody has keys, and nobody a managed policy': (stage) => [
    ...stage
      .of('AWS::IAM::User', 'AWS::IAM::AccessKey', 'AWS::IAM::Group')
      .map((resource) => found(resource, 'is there: people and programs take roles')),
    ...stage.resources.flatMap((resource) =>
      listOf(resource.properties.ManagedPolicyArns).map((arn) =>
        found(resource, `has the managed policy ${textOf(arn)}, which says more than one role needs`),
      ),
    ),
  ],
} satisfies Record<string, Rule>;

/** As `kms:ViaService` names the services of what a key encrypts, in the region of the stack. */
function encryptersOf(stage: Stage, key: Resource | undefined): string[] {
  const types = key === undefined ? [] : stage.usersOf(key).map(({ type }) => type);
  const names = types.flatMap((type) => ENCRYPTERS[type] ?? []);
  return [...new Set(names)].map((name) => textOf(regional(name)));
}

function regional(name: string) {
  return { 'Fn::Join': ['', [`${name}.`, { Ref: 'AWS::Region' }, '.amazonaws.com']] };
}

/** All of it, permitted or not, so that a test can tell which permissions nobody needs any more. */
export function wildcardFindings(stage: Stage): Finding[] {
  return stage.resources.flatMap((resource) =>
    statementsOf(resource).flatMap((statement) =>
      problemsOf(statement, resource).map((problem) => found(resource, problem)),
    ),
  );
}

export function isAbout({ stack, logicalId, problem }: PermittedWildcard, finding: Finding, stage: Stage): boolean {
  const where = patternOf(`sluice-${stage.name}-${stack}/${logicalId}`, '[0-9A-F]{8}');
  return patternOf(problem).test(finding.problem) && where.test(finding.where);
}

/** `<Name>` stands for one word or several with hyphens, everything else for itself. */
function patternOf(text: string, end = ''): RegExp {
  const parts = text.split(/<[A-Z]\w*>/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[\\w-]+')}${end}$`);
}

function problemsOf(statement: Statement, resource: Resource): string[] {
  const negations = NEGATIONS.filter((name) => statement[name] !== undefined).map(
    (name) => `says ${name}: whatever will be added later is in it`,
  );
  if (statement.Effect === 'Deny') return negations;
  const actions = statement.Action.map(textOf);
  // Who may take a role is said without a resource: it is the role. In the policy of a key, * is that key.
  const isOfKey = resource.type === 'AWS::KMS::Key';
  const resources = statement.Resource.map(textOf).filter((one) => !(isOfKey && one === '*'));
  return [
    ...negations,
    ...actions.filter((action) => action.includes('*')).map((action) => `allows ${action}`),
    ...resources.filter((one) => one.includes('*')).map((one) => `allows it on ${one}`),
    // Where a principal is named it is about the resource itself: who may take a role, who may administer a key.
    ...(statement.Principal === undefined ? actions.filter((action) => ESCALATIONS.test(action)) : []).map(
      (action) => `allows ${action}, by which it gets more`,
    ),
    ...principalProblems(statement),
  ];
}

function principalProblems({ Principal: principal, Condition: conditions }: Statement): string[] {
  const keys = Object.entries(conditions).flatMap(([operator, values]) =>
    // With IfExists, and with Null, a condition holds where the key is not there at all.
    /IfExists$|^Null$|Not/.test(operator)
      ? []
      : Object.entries(values)
          .filter(([, allowed]) => allowed.length > 0 && !allowed.some((value) => /^[*?]*$/.test(textOf(value))))
          .map(([key]) => key),
  );
  const { AWS: accounts = [], Service: services = [] } = principalsOf(principal);
  const problems: string[] = [];
  if (accounts.some((account) => account.includes('*')) && !keys.some((key) => CIRCLE_KEYS.includes(key)))
    problems.push('lets in everybody');
  if (!keys.some((key) => SOURCE_KEYS.includes(key))) {
    problems.push(...services.map((service) => `lets in ${service} on behalf of anybody`));
  }
  return problems;
}

function principalsOf(principal: unknown): Record<string, string[]> {
  if (principal === undefined) return {};
  if (principal === '*') return { AWS: ['*'] };
  return Object.fromEntries(Object.entries(Object(principal)).map(([kind, ids]) => [kind, listOf(ids).map(textOf)]));
}
