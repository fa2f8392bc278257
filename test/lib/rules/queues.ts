/** Every queue is encrypted, TLS only and long-polled, and has a dead-letter queue or is one. */
import { z } from 'zod';
import { queueModel } from '../queue-model.ts';
import { keyReferences, queueProblems } from '../queue-rules.ts';
import type { Resource } from '../synthesized.ts';
import { statementsOf } from './policies.ts';
import { type Finding, found, listOf, type Rule, type Stage, textOf, unless, valueAt } from './stage.ts';

/** Three receive deadlines, as queue-limits.ts says. */
const VISIBILITY_MIN_SECONDS = 60;
/** A suspect is handled alone from its third receive on; one more is what that takes. */
const RECEIVES_MIN = 4;
const RECEIVES_MAX = 1000;
const LONG_POLL_SECONDS = 20;
const KEPT_MIN_SECONDS = 24 * 60 * 60;
const DEAD_LETTERS_KEPT_SECONDS = 14 * 24 * 60 * 60;
const receivesSchema = z.number().int().min(RECEIVES_MIN).max(RECEIVES_MAX);

export const queueRules = {
  'queues and their keys let in named producers alone': (stage) =>
    queueProblems(queueModel(stage.templates)).map((sentence): Finding => {
      const [where = '', problem = ''] = sentence.split(/: (.*)/s);
      return { where, problem };
    }),

  'keys of queues refer to no resource': (stage) =>
    keyReferences(stage.templates).map((where) => ({ where, problem: 'has a policy that refers to a resource' })),

  'queues are encrypted with a key that rotates': (stage) =>
    queuesOf(stage).flatMap((queue) => {
      const key = stage.referred(queue.stack, queue.properties.KmsMasterKeyId);
      const isGood = key?.type === 'AWS::KMS::Key' && key.properties.EnableKeyRotation === true;
      const reuse = queue.properties.KmsDataKeyReusePeriodSeconds;
      return [
        ...unless(isGood, queue, 'is not encrypted with a key of these templates that rotates'),
        ...unless(
          typeof reuse === 'number' && reuse >= 60 && reuse <= 86_400,
          queue,
          `reuses a data key for ${reuse} s`,
        ),
      ];
    }),

  'queues deny whatever comes without TLS': (stage) =>
    queuesOf(stage).flatMap((queue) => unless(deniesPlain(stage, queue), queue, 'takes requests without TLS')),

  'queues have a dead-letter queue, or are one': (stage) => {
    const redrives = redrivesOf(stage);
    return queuesOf(stage).flatMap((queue) => {
      const roles = redrives.filter(({ source, deadLetterQueue }) => source === queue || deadLetterQueue === queue);
      return unless(roles.length === 1, queue, `is in ${roles.length} pairs of a queue and its dead-letter queue`);
    });
  },

  'messages become dead letters after 4 to 1000 receives': (stage) =>
    redrivesOf(stage).flatMap(({ source }) => {
      const receives = valueAt(source.properties.RedrivePolicy, 'maxReceiveCount');
      return unless(receivesSchema.safeParse(receives).success, source, `gives up after ${String(receives)} receives`);
    }),

  'dead letters come from their own queue alone, and are kept for 14 days': (stage) =>
    redrivesOf(stage).flatMap(({ source, deadLetterQueue }) => {
      if (deadLetterQueue === undefined) return [found(source, 'has a dead-letter queue that is not there')];
      const { RedriveAllowPolicy: allow, MessageRetentionPeriod: kept, FifoQueue: fifo } = deadLetterQueue.properties;
      const arns = listOf(valueAt(allow, 'sourceQueueArns')).map(textOf);
      const isBound =
        valueAt(allow, 'redrivePermission') === 'byQueue' &&
        arns.length === 1 &&
        arns.every((arn) => arn.endsWith(`:${String(source.properties.QueueName)}`));
      return [
        ...unless(isBound, deadLetterQueue, `takes dead letters from others than ${source.id}`),
        ...unless(kept === DEAD_LETTERS_KEPT_SECONDS, deadLetterQueue, `keeps dead letters for ${String(kept)} s`),
        ...unless(fifo === source.properties.FifoQueue, deadLetterQueue, `is of another kind than ${source.id}`),
      ];
    }),

  'queues are long-polled, and lease for a minute at least': (stage) =>
    queuesOf(stage).flatMap((queue) => {
      const {
        ReceiveMessageWaitTimeSeconds: wait,
        VisibilityTimeout: lease,
        MessageRetentionPeriod: kept,
      } = queue.properties;
      return [
        ...unless(wait === LONG_POLL_SECONDS, queue, `is polled for ${String(wait)} s`),
        ...unless(Number(lease) >= VISIBILITY_MIN_SECONDS, queue, `leases for ${String(lease)} s`),
        ...unless(Number(kept) >= KEPT_MIN_SECONDS, queue, `keeps messages for ${String(kept)} s`),
      ];
    }),

  'queues have names of their stage': (stage) =>
    queuesOf(stage).flatMap((queue) => {
      const name = textOf(queue.properties.QueueName);
      return unless(name.startsWith(`sluice-${stage.name}-`), queue, `is called ${name}`);
    }),
} satisfies Record<string, Rule>;

function queuesOf(stage: Stage): Resource[] {
  return stage.of('AWS::SQS::Queue');
}

/** Each queue that has a dead-letter queue, and that. */
export function redrivesOf(
  stage: Stage,
): { readonly source: Resource; readonly deadLetterQueue: Resource | undefined }[] {
  return queuesOf(stage).flatMap((source) => {
    const target = valueAt(source.properties.RedrivePolicy, 'deadLetterTargetArn');
    if (target === undefined) return [];
    const deadLetterQueue = stage.referred(source.stack, target);
    return [{ source, deadLetterQueue }];
  });
}

function deniesPlain(stage: Stage, queue: Resource): boolean {
  const policies = stage
    .of('AWS::SQS::QueuePolicy')
    .filter(({ stack, properties }) => listOf(properties.Queues).some((each) => stage.referred(stack, each) === queue));
  return policies.flatMap(statementsOf).some((statement) => {
    const { Effect, Action, Resource: resources, Principal, Condition } = statement;
    return (
      Effect === 'Deny' &&
      Action.includes('sqs:*') &&
      (Principal === '*' || listOf(valueAt(Principal, 'AWS')).includes('*')) &&
      resources.some((each) => stage.referred(queue.stack, each) === queue) &&
      JSON.stringify(Condition) === '{"Bool":{"aws:SecureTransport":["false"]}}'
    );
  });
}
