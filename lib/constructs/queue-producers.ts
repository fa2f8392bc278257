/**
 * How buckets, topics and rules send to a queue: let in by its policies, then connected.
 *
 * The CDK's own connections are not used: they let a service use the key for more than it needs, a bucket's without any
 * condition, and they give the key of a rule's dead-letter queue no statement at all (aws-cdk #33169).
 *
 * Holds always: what is made here is made in the queue's stack, which comes to depend on the producer's; nothing of the
 * producer's stack refers to the queue's. That is possible because a queue has a name that is known beforehand.
 */
import assert from 'node:assert/strict';
import { Annotations, ArnFormat, Duration, Names, Stack, Token } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { IResource } from 'aws-cdk-lib/core';
import type { IConstruct } from 'constructs';
import { bucketSeenFrom, overlappingNotification, type ProducerBucket } from './bucket-notifications.ts';
import { QueueAccess } from './queue-access.ts';
import { MESSAGE_GROUP_ID_MAX_CHARACTERS } from './queue-limits.ts';

export interface BucketProducerOptions {
  /**
   * What a message is sent for.
   *
   * @default [EventType.OBJECT_CREATED]
   */
  readonly events?: readonly s3.EventType[];

  /**
   * Objects that it is sent for, by prefix and suffix of their keys.
   *
   * @default [], all objects
   */
  readonly filters?: readonly s3.NotificationKeyFilter[];
}

export interface TopicProducerOptions {
  /**
   * Whether a message's body is what was published, not SNS's JSON around it.
   *
   * @default true, because a worker reads the body as the message
   */
  readonly rawMessageDelivery?: boolean;

  /**
   * Which messages are delivered, by their attributes.
   *
   * @default all
   */
  readonly filterPolicy?: Record<string, sns.SubscriptionFilter>;

  /**
   * Which messages are delivered, by their bodies; one of the two filters at most.
   *
   * @default all
   */
  readonly filterPolicyWithMessageBody?: Record<string, sns.FilterOrPolicy>;

  /**
   * Where SNS puts what it could not deliver; of the topic's kind, standard or FIFO.
   *
   * @default the work queue's dead-letter queue; none for a FIFO topic before a standard queue, whose kinds differ
   */
  readonly deadLetterQueue?: sqs.IQueue;
}

export interface RuleProducerOptions {
  /**
   * Message group of what the rule sends, 1 to 128 characters; needed on a FIFO queue.
   *
   * @default none
   */
  readonly messageGroupId?: string;

  /**
   * Body of the message.
   *
   * @default the whole event
   */
  readonly message?: events.RuleTargetInput;

  /**
   * How long EventBridge tries to deliver an event, 1 minute to 24 hours.
   *
   * @default 24 hours
   */
  readonly maxEventAge?: Duration;

  /**
   * How often EventBridge tries again, 0 to 185 times.
   *
   * @default 185
   */
  readonly retryAttempts?: number;

  /**
   * Where EventBridge puts what it could not deliver; a standard queue.
   *
   * @default the work queue's dead-letter queue; none where that is FIFO, which EventBridge cannot send to
   */
  readonly deadLetterQueue?: sqs.IQueue;
}

/** What a connection has to know of a work queue. */
export interface ProducerTarget extends IConstruct {
  readonly queue: sqs.IQueue;
  readonly deadLetterQueue: sqs.IQueue;
  readonly contentBasedDeduplication: boolean;
}

/** S3 sends to standard queues of the bucket's region only. */
export function acceptBucket(target: ProducerTarget, bucket: ProducerBucket, options: BucketProducerOptions): void {
  if (target.queue.fifo) {
    throw refused(target, 'bucket', bucket, 'no bucket, because S3 sends to no FIFO queue; use a rule for its events');
  }
  checkPlace(target, 'bucket', bucket, 'region');
  checkKey(target, 'bucket', bucket, bucket.encryptionKey);
  const access = QueueAccess.of(target.queue);
  access.admitService('s3', bucket.bucketArn, bucket.env);
  const destination: s3.IBucketNotificationDestination = {
    bind: () => ({
      arn: target.queue.queueArn,
      type: s3.BucketNotificationDestinationType.QUEUE,
      // S3 sends a test message at once, and refuses the configuration if that fails.
      dependencies: [target.queue],
    }),
  };
  const seen = bucketSeenFrom(Stack.of(target), bucket);
  const filters = options.filters ?? [];
  for (const event of options.events ?? [s3.EventType.OBJECT_CREATED]) {
    const overlapping = overlappingNotification(bucket, { event, filters, destinationPath: target.node.path });
    if (overlapping !== undefined) {
      const taken = `${overlapping.event} of some of them goes to ${overlapping.destinationPath} already`;
      throw refused(target, 'bucket', bucket, `filters that tell the objects apart, since ${taken}`);
    }
    seen.addEventNotification(event, destination, ...filters);
  }
}

/** SNS delivers to a FIFO queue from FIFO topics only; to a standard queue from both. */
export function acceptTopic(
  target: ProducerTarget,
  topic: sns.ITopic,
  options: TopicProducerOptions,
): sns.Subscription {
  const { queue } = target;
  if (queue.fifo && !topic.fifo) {
    throw refused(target, 'topic', topic, 'a FIFO topic, because the queue is FIFO');
  }
  checkPlace(target, 'topic', topic, 'region');
  const deadLetterQueue = undeliverableQueue(target, options.deadLetterQueue, {
    isTaken: ({ fifo }) => fifo === topic.fifo,
    allowed: topic.fifo ? 'a FIFO queue, because the topic is FIFO' : 'a standard queue, because the topic is standard',
  });
  checkKey(target, 'topic', topic, topic.masterKey);
  const access = QueueAccess.of(queue);
  if (!access.admitService('sns', topic.topicArn, topic.env)) {
    throw refused(target, 'topic', topic, 'each topic once, because SNS has one subscription for a queue');
  }
  const { filterPolicy, filterPolicyWithMessageBody } = options;
  const subscription = new sns.Subscription(target, `From${Names.nodeUniqueId(topic.node)}`, {
    topic,
    protocol: sns.SubscriptionProtocol.SQS,
    endpoint: queue.queueArn,
    rawMessageDelivery: options.rawMessageDelivery ?? true,
    ...(filterPolicy === undefined ? {} : { filterPolicy }),
    ...(filterPolicyWithMessageBody === undefined ? {} : { filterPolicyWithMessageBody }),
  });
  after(subscription, access);
  if (deadLetterQueue !== undefined) {
    const deadLetterAccess = QueueAccess.of(deadLetterQueue);
    deadLetterAccess.admitService('sns', topic.topicArn, topic.env);
    after(subscription, deadLetterAccess);
    // Set here and not by the construct, which would add a statement of its own for every topic.
    const resource = subscription.node.defaultChild;
    assert(resource instanceof sns.CfnSubscription, 'a subscription is an AWS::SNS::Subscription');
    resource.redrivePolicy = { deadLetterTargetArn: deadLetterQueue.queueArn };
  }
  return subscription;
}

/** EventBridge sends to queues of the rule's account and region; a rule of another app is let in, and connected there. */
export function acceptRule(target: ProducerTarget, rule: events.IRule, options: RuleProducerOptions): void {
  checkPlace(target, 'rule', rule, 'region');
  checkPlace(target, 'rule', rule, 'account');
  checkRuleOptions(target, options);
  const deadLetterQueue = undeliverableQueue(target, options.deadLetterQueue, {
    isTaken: ({ fifo }) => !fifo,
    allowed: 'a standard queue, because EventBridge puts what it cannot deliver into no other',
  });
  if (!QueueAccess.of(target.queue).admitService('events', rule.ruleArn, rule.env)) {
    throw refused(target, 'rule', rule, 'each rule once, or every event would come twice');
  }
  if (deadLetterQueue !== undefined) {
    QueueAccess.of(deadLetterQueue).admitService('events', rule.ruleArn, rule.env);
  }
  if (!(rule instanceof events.Rule)) return;
  const stack = Stack.of(rule);
  const { messageGroupId, message, maxEventAge, retryAttempts } = options;
  const config: events.RuleTargetConfig = {
    arn: arnSeenFrom(stack, target, 'queue', target.queue),
    retryPolicy: {
      maximumEventAgeInSeconds: (maxEventAge ?? Duration.hours(24)).toSeconds(),
      maximumRetryAttempts: retryAttempts ?? RETRY_ATTEMPTS_MAX,
    },
    ...(deadLetterQueue === undefined
      ? {}
      : { deadLetterConfig: { arn: arnSeenFrom(stack, target, 'deadLetterQueue', deadLetterQueue) } }),
    ...(messageGroupId === undefined ? {} : { sqsParameters: { messageGroupId } }),
    ...(message === undefined ? {} : { input: message }),
  };
  rule.addTarget({ bind: () => config });
}

/** EventBridge's own limits, which are its defaults too. */
const RETRY_ATTEMPTS_MAX = 185;
const EVENT_AGE_MIN_SECONDS = 60;
const EVENT_AGE_MAX_SECONDS = 86_400;

function checkRuleOptions(target: ProducerTarget, options: RuleProducerOptions): void {
  const { messageGroupId, maxEventAge, retryAttempts } = options;
  const path = target.node.path;
  const isNamed = messageGroupId !== undefined && messageGroupId.length > 0;
  if (target.queue.fifo ? !isNamed : messageGroupId === '') {
    throw new Error(
      `${path}: messageGroupId is ${JSON.stringify(messageGroupId) ?? 'missing'}; allowed: 1 to ${MESSAGE_GROUP_ID_MAX_CHARACTERS} characters, because a FIFO queue takes no message without a group`,
    );
  }
  if (isNamed && !Token.isUnresolved(messageGroupId) && messageGroupId.length > MESSAGE_GROUP_ID_MAX_CHARACTERS) {
    throw new Error(
      `${path}: messageGroupId has ${messageGroupId.length} characters; allowed: 1 to ${MESSAGE_GROUP_ID_MAX_CHARACTERS}`,
    );
  }
  if (target.queue.fifo && !target.contentBasedDeduplication) {
    throw new Error(
      `${path}: contentBasedDeduplication is false; allowed: true for a FIFO queue that a rule sends to, because EventBridge gives no deduplication id`,
    );
  }
  const age = maxEventAge?.toSeconds() ?? EVENT_AGE_MAX_SECONDS;
  if (age < EVENT_AGE_MIN_SECONDS || age > EVENT_AGE_MAX_SECONDS) {
    throw new Error(
      `${path}: maxEventAge is ${age} s; allowed: ${EVENT_AGE_MIN_SECONDS} to ${EVENT_AGE_MAX_SECONDS} s`,
    );
  }
  const attempts = retryAttempts ?? RETRY_ATTEMPTS_MAX;
  if (!Number.isInteger(attempts) || attempts < 0 || attempts > RETRY_ATTEMPTS_MAX) {
    throw new Error(`${path}: retryAttempts is ${attempts}; allowed: a whole number, 0 to ${RETRY_ATTEMPTS_MAX}`);
  }
}

interface Undeliverable {
  readonly isTaken: (queue: sqs.IQueue) => boolean;
  readonly allowed: string;
}

/** The queue that was given for what cannot be delivered, or the work queue's own where that will do. */
function undeliverableQueue(
  target: ProducerTarget,
  given: sqs.IQueue | undefined,
  { isTaken, allowed }: Undeliverable,
): sqs.IQueue | undefined {
  if (given !== undefined && !isTaken(given)) throw refused(target, 'deadLetterQueue', given, allowed);
  const queue = given ?? target.deadLetterQueue;
  return isTaken(queue) ? queue : undefined;
}

/** From another stack a queue is known by its name, which refers to nothing. */
function arnSeenFrom(stack: Stack, target: ProducerTarget, field: string, queue: sqs.IQueue): string {
  if (Stack.of(queue) === stack) return queue.queueArn;
  const resource = queue.node.defaultChild;
  const name = resource instanceof sqs.CfnQueue ? resource.queueName : undefined;
  if (name === undefined || Token.isUnresolved(name)) {
    throw refused(target, field, queue, `a queue of the rule's stack, ${stack.node.path}, or one with a fixed name`);
  }
  return stack.formatArn({ service: 'sqs', resource: name, arnFormat: ArnFormat.NO_RESOURCE_NAME });
}

/** Nothing may be sent before it is let in. */
function after(construct: IConstruct, access: QueueAccess): void {
  if (access.policy !== undefined) construct.node.addDependency(access.policy);
}

/** A key for each side of a trust boundary; from another stack, its key and the queue would wait for each other. */
function checkKey(target: ProducerTarget, field: string, producer: IResource, key: kms.IKey | undefined): void {
  if (key === undefined || key !== target.queue.encryptionMasterKey) return;
  if (Stack.of(producer) !== Stack.of(target) && Stack.of(key) === Stack.of(target)) {
    const stacks = `${Stack.of(producer).node.path} and ${Stack.of(target).node.path}`;
    throw refused(target, field, producer, `one with a key of its own, or the stacks ${stacks} need each other`);
  }
  Annotations.of(target).addWarningV2(
    'sluice:producerSharesKey',
    `${producer.node.path} is encrypted with the key of ${target.node.path}: whoever reads the queue can read that too; give each a key of its own`,
  );
}

function checkPlace(target: ProducerTarget, field: string, producer: IResource, place: 'account' | 'region'): void {
  const here = Stack.of(target)[place];
  const there = producer.env[place];
  if (isDifferent(here, there)) {
    throw refused(target, field, producer, `one in the ${place} of the queue, ${here}; it is in ${there}`);
  }
}

function isDifferent(here: string, there: string): boolean {
  return !Token.isUnresolved(here) && !Token.isUnresolved(there) && here !== there;
}

function refused(target: ProducerTarget, field: string, value: IConstruct, allowed: string): Error {
  return new Error(`${target.node.path}: ${field} is ${value.node.path}; allowed: ${allowed}`);
}
