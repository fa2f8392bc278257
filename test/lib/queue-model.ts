/**
 * The queues of synthesized templates as AWS would have them: every reference resolved, who sends to what, and what the
 * policies let in. It knows nothing of the constructs, so that what they wrote is judged by what stands there.
 */
import { z } from 'zod';
import { Intrinsics } from '../../local/assembly/intrinsics.ts';
import { type Template, valuesIn } from './synthesized.ts';

const ACCOUNT = '111122223333';
const REGION = 'eu-central-1';

const oneOrMore = z.union([z.array(z.string()), z.string().transform((one) => [one])]);
const conditionSchema = z.record(z.string(), z.record(z.string(), oneOrMore));
const principalsSchema = z.object({ AWS: oneOrMore.optional(), Service: oneOrMore.optional() });
const principalSchema = z.union([
  z.literal('*').transform(() => principalsSchema.parse({ AWS: '*' })),
  principalsSchema,
]);
const statementSchema = z.object({
  Effect: z.enum(['Allow', 'Deny']),
  Principal: principalSchema,
  Action: oneOrMore,
  Resource: oneOrMore,
  Condition: conditionSchema.default({}),
});
const documentSchema = z.object({ Statement: z.array(statementSchema) });

export type Statement = z.infer<typeof statementSchema>;

const queueSchema = z.looseObject({
  QueueName: z.string(),
  KmsMasterKeyId: z.string().optional(),
  FifoQueue: z.boolean().default(false),
  DeduplicationScope: z.string().optional(),
  FifoThroughputLimit: z.string().optional(),
  RedrivePolicy: z.object({ deadLetterTargetArn: z.string() }).optional(),
});
const subscriptionSchema = z.looseObject({
  TopicArn: z.string(),
  Endpoint: z.string(),
  RedrivePolicy: z.object({ deadLetterTargetArn: z.string() }).optional(),
});
const targetSchema = z.looseObject({ Arn: z.string(), DeadLetterConfig: z.object({ Arn: z.string() }).optional() });
const notificationsSchema = z.looseObject({
  BucketName: z.string(),
  NotificationConfiguration: z.object({
    QueueConfigurations: z.array(z.looseObject({ QueueArn: z.string() })).default([]),
  }),
});

export interface Queue {
  readonly where: string;
  readonly arn: string;
  readonly properties: z.infer<typeof queueSchema>;
  /** One policy, or SQS keeps the last that was set. */
  readonly policies: readonly (readonly Statement[])[];
  /** Of the key that encrypts it; undefined without one. */
  readonly keyPolicy: readonly Statement[] | undefined;
}

/** Something of the templates that sends to a queue without being asked. */
export interface Delivery {
  readonly where: string;
  readonly service: string;
  readonly sourceArn: string;
  readonly queueArn: string;
}

export interface QueueModel {
  readonly queues: readonly Queue[];
  readonly deliveries: readonly Delivery[];
}

interface Located {
  readonly where: string;
  readonly id: string;
  readonly stackName: string;
  readonly type: string;
  /** Resolved, of those types that are about queues. */
  readonly properties: Record<string, unknown>;
}

const ABOUT_QUEUES = new Set([
  'AWS::SQS::Queue',
  'AWS::SQS::QueuePolicy',
  'AWS::KMS::Key',
  'AWS::SNS::Subscription',
  'AWS::Events::Rule',
  'Custom::S3BucketNotifications',
]);

export function queueModel(templates: Readonly<Record<string, Template>>): QueueModel {
  const resources = resolved(templates);
  const of = (type: string) => resources.filter((resource) => resource.type === type);
  const keys = new Map(
    of('AWS::KMS::Key').map((key) => [
      arnOf(key.type, key.stackName, key.id, key.properties),
      documentSchema.parse(key.properties.KeyPolicy).Statement,
    ]),
  );
  const policies = of('AWS::SQS::QueuePolicy').map(({ properties }) => ({
    queues: z.array(z.string()).parse(properties.Queues),
    statements: documentSchema.parse(properties.PolicyDocument).Statement,
  }));
  const queues = of('AWS::SQS::Queue').map((queue) => {
    const properties = queueSchema.parse(queue.properties);
    const { KmsMasterKeyId: key } = properties;
    return {
      where: queue.where,
      arn: arnOf(queue.type, queue.stackName, queue.id, queue.properties),
      properties,
      policies: policies
        .filter((policy) => policy.queues.includes(urlOf(properties.QueueName)))
        .map((policy) => policy.statements),
      keyPolicy: key === undefined ? undefined : keys.get(key),
    };
  });
  return { queues, deliveries: resources.flatMap(deliveriesOf) };
}

function deliveriesOf({ where, id, stackName, type, properties }: Located): Delivery[] {
  switch (type) {
    case 'AWS::SNS::Subscription': {
      const { TopicArn: sourceArn, Endpoint, RedrivePolicy } = subscriptionSchema.parse(properties);
      const queues = [Endpoint, ...(RedrivePolicy === undefined ? [] : [RedrivePolicy.deadLetterTargetArn])];
      return queues.map((queueArn) => ({ where, service: 'sns.amazonaws.com', sourceArn, queueArn }));
    }
    case 'AWS::Events::Rule': {
      const sourceArn = arnOf(type, stackName, id, properties);
      const targets = z.array(targetSchema).default([]).parse(properties.Targets);
      const queues = targets.flatMap(({ Arn, DeadLetterConfig }) => [Arn, DeadLetterConfig?.Arn ?? []].flat());
      return queues.map((queueArn) => ({ where, service: 'events.amazonaws.com', sourceArn, queueArn }));
    }
    case 'Custom::S3BucketNotifications': {
      const { BucketName, NotificationConfiguration } = notificationsSchema.parse(properties);
      return NotificationConfiguration.QueueConfigurations.map(({ QueueArn: queueArn }) => ({
        where,
        service: 's3.amazonaws.com',
        sourceArn: `arn:aws:s3:::${BucketName}`,
        queueArn,
      }));
    }
    default:
      return [];
  }
}

/** Who asks, and on behalf of what. */
export interface Request {
  readonly principal: { readonly type: 'Service' | 'AWS'; readonly id: string };
  readonly action: string;
  readonly context: Readonly<Record<string, string>>;
}

/** Whether some statement allows it; what comes without TLS, which alone is denied anywhere, never asks here. */
export function lets(statements: readonly Statement[], { principal, action, context }: Request): boolean {
  return statements.some(
    (statement) =>
      statement.Effect === 'Allow' &&
      (statement.Principal[principal.type] ?? []).some((id) => id === '*' || id === principal.id) &&
      statement.Action.some((allowed) => isLike(action, allowed)) &&
      Object.entries(statement.Condition).every(([operator, keys]) =>
        Object.entries(keys).every(([key, allowed]) => isMet(operator, context[key], allowed)),
      ),
  );
}

/** What a service asks of queue and key when it delivers. */
export function requestsOf(
  { service, sourceArn }: Pick<Delivery, 'service' | 'sourceArn'>,
  account = ACCOUNT,
): Request[] {
  const context = { 'aws:SourceArn': sourceArn, 'aws:SourceAccount': account };
  const principal = { type: 'Service', id: service } as const;
  return ['sqs:SendMessage', 'kms:GenerateDataKey', 'kms:Decrypt'].map((action) => ({ principal, action, context }));
}

/** What a role of another account asks, of the queue and, through SQS, of the key. */
export function requestsOfAccount(account: string, organization = 'o-none'): Request[] {
  const principal = { type: 'AWS', id: `arn:aws:iam::${account}:root` } as const;
  const context = { 'aws:PrincipalOrgID': organization, 'kms:ViaService': `sqs.${REGION}.amazonaws.com` };
  return ['sqs:SendMessage', 'kms:GenerateDataKey', 'kms:Decrypt'].map((action) => ({ principal, action, context }));
}

/** Whether both policies of the queue let all of it through. */
export function takes(queue: Queue, requests: readonly Request[]): boolean {
  return requests.every((request) =>
    lets(request.action.startsWith('kms:') ? (queue.keyPolicy ?? []) : queue.policies.flat(), request),
  );
}

function isMet(operator: string, value: string | undefined, allowed: readonly string[]): boolean {
  if (value === undefined) return false;
  if (operator === 'StringEquals' || operator === 'ArnEquals') return allowed.includes(value);
  if (operator === 'ArnLike') return allowed.some((pattern) => isLike(value, pattern));
  throw new Error(`the condition operator ${operator} is not known here; teach it in test/lib/queue-model.ts`);
}

function isLike(value: string, pattern: string): boolean {
  const expression = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${expression.join('.*')}$`).test(value);
}

function resolved(templates: Readonly<Record<string, Template>>): Located[] {
  const stacks = Object.entries(templates).map(([stackName, template]) => ({
    stackName,
    template: {
      Resources: template.Resources,
      Parameters: {},
      Mappings: {},
      Outputs: outputsSchema.parse(template.Outputs),
    },
    assetPaths: new Map<string, string>(),
  }));
  const intrinsics = new Intrinsics(
    stacks,
    {
      ref: (type, properties, stack, id) => {
        if (type === 'AWS::SQS::Queue') return urlOf(String(properties.QueueName));
        if (type === 'AWS::SNS::Topic') return arnOf(type, stack.stackName, id, properties);
        return `${stack.stackName}-${id}`.toLowerCase();
      },
      attribute: (type, attribute, properties, stack, id) =>
        attribute.endsWith('Arn') ? arnOf(type, stack.stackName, id, properties) : `${id}.${attribute}`,
    },
    { accountId: ACCOUNT, region: REGION },
  );
  return stacks.flatMap((stack) =>
    Object.entries(stack.template.Resources)
      .filter(([, { Type }]) => ABOUT_QUEUES.has(Type))
      .map(([id, { Type: type, Properties }]) => ({
        where: `${stack.stackName}/${id}`,
        id,
        stackName: stack.stackName,
        type,
        properties: z.record(z.string(), z.unknown()).parse(intrinsics.resolve(Properties, stack)),
      })),
  );
}

const outputsSchema = z
  .record(z.string(), z.object({ Value: z.unknown(), Export: z.object({ Name: z.unknown() }).optional() }))
  .default({});

function urlOf(queueName: string): string {
  return `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${queueName}`;
}

function arnOf(type: string, stackName: string, id: string, properties: Record<string, unknown>): string {
  const name = `${stackName}-${id}`;
  const here = `${REGION}:${ACCOUNT}`;
  switch (type) {
    case 'AWS::SQS::Queue':
      return `arn:aws:sqs:${here}:${String(properties.QueueName)}`;
    case 'AWS::SNS::Topic':
      return `arn:aws:sns:${here}:${name}`;
    case 'AWS::S3::Bucket':
      return `arn:aws:s3:::${name.toLowerCase()}`;
    case 'AWS::Events::Rule':
      return `arn:aws:events:${here}:rule/${name}`;
    default:
      return `arn:aws:${type.split('::')[1]!.toLowerCase()}:${here}:${name}`;
  }
}

/** Resources that, by way of references, wait for themselves; each circle by one of its members. */
export function circlesIn(templates: Readonly<Record<string, Template>>): string[] {
  const needs = new Map<string, string[]>();
  const exported = new Map<unknown, string[]>();
  for (const [stack, template] of Object.entries(templates)) {
    for (const output of Object.values(outputsSchema.parse(template.Outputs))) {
      if (output.Export !== undefined) exported.set(output.Export.Name, referredIn(stack, output.Value, exported));
    }
  }
  for (const [stack, template] of Object.entries(templates)) {
    for (const [id, resource] of Object.entries(template.Resources)) {
      const dependsOn = z
        .array(z.string())
        .default([])
        .parse([resource.DependsOn ?? []].flat());
      needs.set(`${stack}/${id}`, [
        ...referredIn(stack, resource.Properties, exported),
        ...dependsOn.map((other) => `${stack}/${other}`),
      ]);
    }
  }
  const state = new Map<string, 'open' | 'done'>();
  const circles: string[] = [];
  const visit = (node: string): void => {
    if (state.get(node) === 'open') circles.push(node);
    if (state.has(node)) return;
    state.set(node, 'open');
    for (const other of needs.get(node) ?? []) visit(other);
    state.set(node, 'done');
  };
  for (const node of needs.keys()) visit(node);
  return circles;
}

function referredIn(stack: string, root: unknown, exported: ReadonlyMap<unknown, string[]>): string[] {
  return [...valuesIn(root)].flatMap(({ value }) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
    const { Ref: ref, 'Fn::GetAtt': getAtt, 'Fn::ImportValue': imported } = referenceSchema.parse(value);
    const local = [ref, Array.isArray(getAtt) ? getAtt[0] : getAtt?.split('.')[0]].filter((id) => id !== undefined);
    return [...local.map((id) => `${stack}/${id}`), ...(exported.get(imported) ?? [])];
  });
}

const referenceSchema = z.looseObject({
  Ref: z.string().optional().catch(undefined),
  'Fn::GetAtt': z
    .union([z.string(), z.array(z.string())])
    .optional()
    .catch(undefined),
  'Fn::ImportValue': z.string().optional().catch(undefined),
});
