/**
 * What the assembly says that there is to run: queues with exactly their attributes, and fleets with what
 * they run, where and how many.
 *
 * There is no second list: a queue or fleet added to the CDK app appears here by itself, and a property that
 * is not understood is an error rather than a difference between here and AWS.
 */
import { z } from 'zod';
import type { AssemblyStack } from './assembly.ts';
import { Intrinsics, type KnownResources, type PseudoParameters } from './intrinsics.ts';

export interface SystemQueue {
  readonly name: string;
  /** As CreateQueue takes them. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly fifo: boolean;
  /** The queue that SQS moves its messages to after too many receives; undefined for a dead-letter queue. */
  readonly deadLetterQueueName: string | undefined;
}

export interface SystemFleet {
  readonly name: string;
  /** The worker's script, absolute. */
  readonly entryPath: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly minimum: number;
  readonly maximum: number;
}

export interface System {
  /** Dead-letter queues come before the queues that name them. */
  readonly queues: readonly SystemQueue[];
  readonly fleets: readonly SystemFleet[];
}

/** Where the servers of this machine are, in the template's terms. */
export interface Servers extends PseudoParameters {
  readonly sqsEndpoint: string;
  readonly databaseHost: string;
  readonly databasePort: number;
}

export function readSystem(stacks: readonly AssemblyStack[], servers: Servers): System {
  const intrinsics = new Intrinsics(stacks, knownOn(servers), servers);
  const queues = stacks.flatMap((stack) => readQueues(stack, intrinsics));
  const fleets = stacks.flatMap((stack) => readFleets(stack, stacks, intrinsics));
  checkQueues(queues);
  return { queues: deadLettersFirst(queues), fleets };
}

function knownOn(servers: Servers): KnownResources {
  return {
    ref: (type, properties, stack, logicalId) => {
      if (type === 'AWS::SQS::Queue') return queueUrl(servers, queueNameOf(properties));
      return producerArn(servers, type, 'Ref', `${stack.stackName}-${logicalId}`);
    },
    attribute: (type, attribute, properties, stack, logicalId) => {
      if (type === 'AWS::SQS::Queue' && attribute === 'Arn') {
        return `arn:aws:sqs:${servers.region}:${servers.accountId}:${queueNameOf(properties)}`;
      }
      if (type === 'AWS::SQS::Queue' && attribute === 'QueueName') return queueNameOf(properties);
      // Stored with the queue and read by nobody here: the embedded server does not encrypt.
      if (type === 'AWS::KMS::Key' && attribute === 'Arn') {
        return `arn:aws:kms:${servers.region}:${servers.accountId}:key/${stack.stackName}-${logicalId}`;
      }
      const arn = producerArn(servers, type, attribute, `${stack.stackName}-${logicalId}`);
      if (arn !== undefined) return arn;
      if (type !== 'AWS::RDS::DBInstance') return undefined;
      if (attribute === 'Endpoint.Address') return servers.databaseHost;
      if (attribute === 'Endpoint.Port') return String(servers.databasePort);
      return undefined;
    },
  };
}

/** Who else sends to a queue stands in its policy, which is stored with it; here there are none of them. */
function producerArn(servers: Servers, type: string, attribute: string, name: string): string | undefined {
  const { region, accountId } = servers;
  switch (`${type} ${attribute}`) {
    case 'AWS::SNS::Topic Ref':
    case 'AWS::SNS::Topic TopicArn':
      return `arn:aws:sns:${region}:${accountId}:${name}`;
    case 'AWS::Events::Rule Arn':
      return `arn:aws:events:${region}:${accountId}:rule/${name}`;
    case 'AWS::S3::Bucket Arn':
      return `arn:aws:s3:::${name.toLowerCase()}`;
    default:
      return undefined;
  }
}

export function queueUrl(servers: Servers, queueName: string): string {
  return `${servers.sqsEndpoint}/${servers.accountId}/${queueName}`;
}

function queueNameOf(properties: Record<string, unknown>): string {
  const name = properties.QueueName;
  if (typeof name === 'string') return name;
  throw new Error('a queue of the assembly has no QueueName; give it one, since redrive allow policies need it');
}

/** Template properties that are CreateQueue attributes of the same name, whatever their type there. */
const QUEUE_ATTRIBUTES = new Set([
  'ContentBasedDeduplication',
  'DeduplicationScope',
  'DelaySeconds',
  'FifoQueue',
  'FifoThroughputLimit',
  'KmsDataKeyReusePeriodSeconds',
  'KmsMasterKeyId',
  'MaximumMessageSize',
  'MessageRetentionPeriod',
  'ReceiveMessageWaitTimeSeconds',
  'RedriveAllowPolicy',
  'RedrivePolicy',
  'SqsManagedSseEnabled',
  'VisibilityTimeout',
]);
/** Template properties that CreateQueue takes elsewhere, or that only describe. */
const OTHER_QUEUE_PROPERTIES = new Set(['QueueName', 'Tags']);

const redrivePolicySchema = z.object({ deadLetterTargetArn: z.string(), maxReceiveCount: z.coerce.number() });

function readQueues(stack: AssemblyStack, intrinsics: Intrinsics): SystemQueue[] {
  const policies = readQueuePolicies(stack, intrinsics);
  return Object.entries(stack.template.Resources)
    .filter(([, { Type }]) => Type === 'AWS::SQS::Queue')
    .map(([logicalId, { Properties: properties }]) => {
      const name = queueNameOf(properties);
      const attributes: Record<string, string> = {};
      for (const [property, value] of Object.entries(properties)) {
        if (OTHER_QUEUE_PROPERTIES.has(property)) continue;
        if (!QUEUE_ATTRIBUTES.has(property)) {
          throw new Error(
            `${stack.stackName}: ${logicalId} has the property ${property}, which the local run does not know; add it to local/assembly/system.ts`,
          );
        }
        attributes[property] = attributeText(intrinsics.resolve(value, stack));
      }
      const policy = policies.get(queueReference(logicalId));
      if (policy !== undefined) attributes.Policy = policy;
      const redrive = attributes.RedrivePolicy;
      const target =
        redrive === undefined ? undefined : redrivePolicySchema.parse(JSON.parse(redrive)).deadLetterTargetArn;
      return {
        name,
        attributes,
        fifo: attributes.FifoQueue === 'true',
        deadLetterQueueName: target?.split(':').at(-1),
      };
    });
}

function attributeText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function queueReference(logicalId: string): string {
  return JSON.stringify({ Ref: logicalId });
}

/** The policies of a stack's queues, by the reference that names the queue. */
function readQueuePolicies(stack: AssemblyStack, intrinsics: Intrinsics): Map<string, string> {
  const policies = new Map<string, string>();
  for (const { Type: type, Properties: properties } of Object.values(stack.template.Resources)) {
    if (type !== 'AWS::SQS::QueuePolicy' || !Array.isArray(properties.Queues)) continue;
    const document = JSON.stringify(intrinsics.resolve(properties.PolicyDocument, stack));
    for (const queue of properties.Queues) policies.set(JSON.stringify(queue), document);
  }
  return policies;
}

/** What SQS would refuse and an emulator may accept in silence. */
function checkQueues(queues: readonly SystemQueue[]): void {
  const byName = new Map(queues.map((queue) => [queue.name, queue]));
  for (const { name, fifo, deadLetterQueueName } of queues) {
    if (fifo !== name.endsWith('.fifo'))
      throw new Error(`queue ${name}: the name of a FIFO queue, and of no other, ends with .fifo`);
    if (deadLetterQueueName === undefined) continue;
    const target = byName.get(deadLetterQueueName);
    if (target === undefined)
      throw new Error(`queue ${name}: its dead-letter queue ${deadLetterQueueName} is not in the assembly`);
    if (target.fifo !== fifo) {
      throw new Error(
        `queue ${name}: its dead-letter queue ${target.name} must be ${fifo ? 'a FIFO' : 'a standard'} queue too`,
      );
    }
  }
}

function deadLettersFirst(queues: readonly SystemQueue[]): SystemQueue[] {
  const hasNone = (queue: SystemQueue) => queue.deadLetterQueueName === undefined;
  return [...queues.filter(hasNone), ...queues.filter((queue) => !hasNone(queue))];
}

/** The variable map of Fn::Sub in the user data: `FLEET_` names describe the fleet, all others are its environment. */
const userDataSchema = z.object({
  UserData: z.object({
    'Fn::Base64': z.object({ 'Fn::Sub': z.tuple([z.string(), z.record(z.string(), z.unknown())]) }),
  }),
});

const fleetSchema = z.object({
  FLEET_NAME: z.string().min(1),
  FLEET_ENTRY: z.string().min(1),
  FLEET_BUNDLE_KEY: z.string().min(1),
  FLEET_MINIMUM: z.coerce.number().int().min(0),
  FLEET_MAXIMUM: z.coerce.number().int().min(1),
});

function readFleets(stack: AssemblyStack, stacks: readonly AssemblyStack[], intrinsics: Intrinsics): SystemFleet[] {
  return Object.entries(stack.template.Resources)
    .filter(([, { Type }]) => Type === 'AWS::EC2::LaunchTemplate')
    .map(([logicalId, { Properties: properties }]) => {
      const data = userDataSchema.safeParse(properties.LaunchTemplateData);
      if (!data.success) {
        throw new Error(
          `${stack.stackName}: the user data of ${logicalId} is not the Fn::Sub with a map that WorkerFleet writes`,
          { cause: data.error },
        );
      }
      const map = data.data.UserData['Fn::Base64']['Fn::Sub'][1];
      const values = Object.entries(map).map(
        ([name, value]) => [name, String(intrinsics.resolve(value, stack))] as const,
      );
      const fleet = fleetSchema.parse(Object.fromEntries(values.filter(([name]) => name.startsWith('FLEET_'))));
      return {
        name: fleet.FLEET_NAME,
        entryPath: `${bundleFolder(fleet.FLEET_BUNDLE_KEY, stacks)}/${fleet.FLEET_ENTRY}`,
        environment: Object.fromEntries(values.filter(([name]) => !name.startsWith('FLEET_'))),
        minimum: fleet.FLEET_MINIMUM,
        maximum: fleet.FLEET_MAXIMUM,
      };
    });
}

/** The asset's key in its bucket is the hash and an extension. */
function bundleFolder(key: string, stacks: readonly AssemblyStack[]): string {
  const hash = key.split('/').at(-1)!.split('.')[0]!;
  for (const { assetPaths } of stacks) {
    const path = assetPaths.get(hash);
    if (path !== undefined) return path;
  }
  throw new Error(`the bundle ${key} is not among the assets of the assembly; synthesize without skipping bundling`);
}
