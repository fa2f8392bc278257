/** What every queue of every template is held to; a list of sentences, empty when all is well. */
import type { Queue, QueueModel, Statement } from './queue-model.ts';
import { requestsOf, takes } from './queue-model.ts';
import { type Template, valuesIn } from './synthesized.ts';

const SEND = ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl', 'sqs:SendMessage'];
const USE_KEY = ['kms:Decrypt', 'kms:GenerateDataKey'];
/** AWS's quotas for an access policy of SQS. */
const STATEMENTS_MAX = 20;
const CONDITIONS_MAX = 10;
const PRINCIPALS_MAX = 50;

export function queueProblems({ queues, deliveries }: QueueModel): string[] {
  const ofQueues = queues.flatMap((queue) =>
    [...settingProblems(queue, queues), ...accessProblems(queue), ...keyProblems(queue)].map(
      (problem) => `${queue.where}: ${problem}`,
    ),
  );
  const ofDeliveries = deliveries.flatMap((delivery) => {
    const queue = queues.find(({ arn }) => arn === delivery.queueArn);
    if (queue === undefined) return [`${delivery.where}: sends to ${delivery.queueArn}, which is not there`];
    return takes(queue, requestsOf(delivery)) ? [] : [`${delivery.where}: is not let in by ${queue.where}`];
  });
  return [...ofQueues, ...ofDeliveries];
}

/** A key whose policy refers to a resource waits for it, and so does all that is encrypted. */
export function keyReferences(templates: Readonly<Record<string, Template>>): string[] {
  return Object.entries(templates).flatMap(([stack, { Resources }]) =>
    Object.entries(Resources)
      .filter(([, { Type }]) => Type === 'AWS::KMS::Key')
      .filter(([, { Properties }]) =>
        [...valuesIn(Properties.KeyPolicy)].some(
          ({ key, value }) =>
            key === 'Fn::GetAtt' || key === 'Fn::ImportValue' || (key === 'Ref' && !String(value).startsWith('AWS::')),
        ),
      )
      .map(([id]) => `${stack}/${id}`),
  );
}

function settingProblems({ properties }: Queue, queues: readonly Queue[]): string[] {
  const problems: string[] = [];
  const isScoped = properties.DeduplicationScope === 'messageGroup';
  const isLimited = properties.FifoThroughputLimit === 'perMessageGroupId';
  if (isScoped !== isLimited) problems.push('has one of the two settings of high throughput');
  if (properties.FifoQueue !== properties.QueueName.endsWith('.fifo')) problems.push('has a name of the other kind');
  const target = properties.RedrivePolicy?.deadLetterTargetArn;
  if (target !== undefined) {
    const deadLetterQueue = queues.find(({ arn }) => arn === target);
    if (deadLetterQueue?.properties.FifoQueue !== properties.FifoQueue) {
      problems.push('has a dead-letter queue of the other kind');
    }
  }
  return problems;
}

function accessProblems({ arn, policies }: Queue): string[] {
  const [statements, ...more] = policies;
  if (statements === undefined || more.length > 0) return [`has ${policies.length} access policies`];
  const conditions = statements.flatMap(({ Condition }) => Object.values(Condition).flatMap(Object.keys));
  const principals = statements.flatMap(({ Principal }) => Object.values(Principal).flat());
  const problems = statements
    .filter(({ Effect }) => Effect === 'Allow')
    .flatMap((statement) => allowProblems(statement, arn));
  if (statements.length > STATEMENTS_MAX) problems.push(`has ${statements.length} statements`);
  if (conditions.length > CONDITIONS_MAX) problems.push(`has ${conditions.length} conditions`);
  if (principals.length > PRINCIPALS_MAX) problems.push(`has ${principals.length} principals`);
  return problems;
}

function allowProblems({ Action, Condition, Principal, Resource }: Statement, arn: string): string[] {
  const problems: string[] = [];
  const services = Principal.Service ?? [];
  const allowed = services.length > 0 ? ['sqs:SendMessage'] : SEND;
  const beyond = Action.filter((action) => !allowed.includes(action));
  if (beyond.length > 0) problems.push(`allows ${beyond.join(', ')}`);
  if (Resource.some((resource) => resource !== arn)) problems.push(`speaks of ${Resource.join(', ')}`);
  if (services.length > 0) {
    const sources = [Condition.ArnEquals, Condition.ArnLike].flatMap((keys) => keys?.['aws:SourceArn'] ?? []);
    if (sources.length === 0 || sources.some((source) => source.includes('*'))) {
      problems.push(`lets in ${services.join(', ')} on behalf of anybody`);
    }
    if (services.includes('s3.amazonaws.com') && Condition.StringEquals?.['aws:SourceAccount'] === undefined) {
      problems.push('lets in a bucket whoever owns it');
    }
  }
  return [...problems, ...strangerProblems(Principal, Condition)];
}

function keyProblems({ keyPolicy }: Queue): string[] {
  if (keyPolicy === undefined) return ['is not encrypted with a key of these templates'];
  return keyPolicy
    .filter(({ Action }) => !Action.includes('kms:*'))
    .flatMap(({ Action, Condition, Principal }) => {
      const problems = strangerProblems(Principal, Condition);
      const beyond = Action.filter((action) => !USE_KEY.includes(action));
      if (beyond.length > 0) problems.push(`has a key that allows ${beyond.join(', ')}`);
      const keys = Object.values(Condition).flatMap(Object.keys);
      const isScoped = keys.includes('aws:SourceAccount') || keys.includes('aws:SourceArn');
      if (Principal.Service !== undefined && !isScoped)
        problems.push('has a key that serves anybody through a service');
      if (Principal.AWS !== undefined && !keys.includes('kms:ViaService')) {
        problems.push('has a key that encrypts for others than SQS');
      }
      return problems;
    });
}

function strangerProblems(principal: Statement['Principal'], condition: Statement['Condition']): string[] {
  const isAnybody = (principal.AWS ?? []).includes('*');
  return isAnybody && condition.StringEquals?.['aws:PrincipalOrgID'] === undefined ? ['lets in everybody'] : [];
}
