/**
 * A queue that work can wait in: encrypted, TLS only, long-polled, with a dead-letter queue of its own.
 *
 * Both queues have fixed physical names: the dead-letter queue has to name its source, and the source the
 * dead-letter queue, which CloudFormation can only do when one of the two names is known beforehand.
 */
import { ArnFormat, Duration, RemovalPolicy, Stack, Token } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import type * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { ProducerBucket } from './bucket-notifications.ts';
import { keptOnceMade } from './kept.ts';
import { QueueAccess } from './queue-access.ts';
import {
  DATA_KEY_REUSE_MAX_SECONDS,
  DATA_KEY_REUSE_MIN_SECONDS,
  DELIVERY_DELAY_MAX_SECONDS,
  MESSAGE_SIZE_MAX_BYTES,
  MESSAGE_SIZE_MIN_BYTES,
  QUEUE_NAME_MAX_CHARACTERS,
  RECEIVE_DEADLINE_SECONDS,
  RECEIVE_WAIT_SECONDS,
  RECEIVES_MAX,
  RECEIVES_MIN,
  RETENTION_MAX_DAYS,
  RETENTION_MIN_SECONDS,
  VISIBILITY_TIMEOUT_MAX_SECONDS,
  VISIBILITY_TIMEOUT_MIN_SECONDS,
} from './queue-limits.ts';
import {
  acceptBucket,
  acceptRule,
  acceptTopic,
  type BucketProducerOptions,
  type ProducerTarget,
  type RuleProducerOptions,
  type TopicProducerOptions,
} from './queue-producers.ts';

export interface WorkQueueProps {
  /**
   * Physical name of the queue, without `.fifo`; the dead-letter queue is called the same with `-dlq`.
   *
   * A change replaces both queues, and what waits in them is lost: empty them first.
   */
  readonly queueName: string;

  /**
   * Key that encrypts the messages of both queues at rest.
   *
   * One key per trust boundary: a topic or bucket that sends here needs a key of its own,
   * or the two key policies refer to each other and the stack cannot be created.
   *
   * @default a key of its own that rotates, and goes or stays with the queues
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * Whether messages of one group stay in order; the dead-letter queue is FIFO too, because SQS moves to no other.
   *
   * @default false
   */
  readonly fifo?: boolean;

  /**
   * Whether a FIFO queue counts throughput and duplicates by message group, which is SQS's high-throughput mode.
   *
   * One switch for two settings: SQS takes either without the other, and then gives low throughput without a word.
   * Without it, a deduplication id may come once in all groups together, and the whole queue takes 300 calls a second.
   *
   * @default true, because it costs nothing and a group of its own is all that order asks for; FIFO only
   */
  readonly highThroughput?: boolean;

  /**
   * Whether a FIFO queue takes the hash of the body for a deduplication id that is missing.
   *
   * @default false, because two equal orders are two orders: ids come from the producer; FIFO only
   */
  readonly contentBasedDeduplication?: boolean;

  /**
   * How long a received message stays hidden from other consumers, at most 12 hours.
   *
   * At least 60 seconds: a receive may take 26 of them, and extensions that hang need the rest.
   *
   * @default 120 seconds, so that what a worker held when it ended comes again soon, and a pause of the network does not
   * end a lease
   */
  readonly visibilityTimeout?: Duration;

  /**
   * How long a consumer may take that does not extend its leases, such as a Lambda function.
   *
   * The visibility timeout has to hold it and the receive before it, or messages would come again while they are handled.
   *
   * @default none: consumers extend their leases as long as they need, as the workers here do
   */
  readonly handlerTimeout?: Duration;

  /**
   * How long every message waits before it can be received, at most 15 minutes.
   *
   * @default none, because work is to be done
   */
  readonly deliveryDelay?: Duration;

  /**
   * How long a message waits for a consumer before SQS drops it, 1 minute to 14 days.
   *
   * @default 4 days, which outlasts a long weekend and leaves ten more as a dead letter
   */
  readonly retentionPeriod?: Duration;

  /**
   * How long a dead letter waits for a person; `retentionPeriod` to 14 days, because a dead letter keeps its age.
   *
   * @default 14 days, the longest that SQS keeps anything
   */
  readonly deadLetterRetentionPeriod?: Duration;

  /**
   * How often a message is received before it becomes a dead letter, 4 to 1000.
   *
   * With fewer, a message that ends its worker takes others with it: it is handled alone from its third receive on.
   *
   * @default 5, one more than that takes
   */
  readonly maxReceiveCount?: number;

  /**
   * The largest message that the queue takes, attributes included, 1024 to 1048576 bytes.
   *
   * @default 1048576 bytes: a message is one order, however long it is
   */
  readonly maximumMessageSizeBytes?: number;

  /**
   * How long SQS uses a data key before it asks KMS for another, 1 minute to 24 hours.
   *
   * Longer is cheaper, by three calls of KMS for a producer and a consumer each time; shorter makes a key that was
   * withdrawn work sooner.
   *
   * @default 5 minutes, as SQS has it
   */
  readonly dataKeyReuse?: Duration;

  /**
   * What becomes of both queues, their policies and a key of their own when they leave the stack; what is kept is not kept
   * where it could not be made.
   *
   * @default RemovalPolicy.DESTROY
   */
  readonly removalPolicy?: RemovalPolicy;
}

export class WorkQueue extends Construct implements ProducerTarget {
  /** Where work waits; its metrics are its own, such as `metricApproximateNumberOfMessagesVisible`. */
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.Queue;
  readonly visibilityTimeout: Duration;
  readonly contentBasedDeduplication: boolean;
  readonly encryptionKey: kms.IKey;

  constructor(scope: Construct, id: string, props: WorkQueueProps) {
    super(scope, id);
    const isFifo = props.fifo === true;
    const suffix = isFifo ? '.fifo' : '';
    const queueName = `${props.queueName}${suffix}`;
    const deadLetterQueueName = `${props.queueName}-dlq${suffix}`;
    const visibilityTimeout = props.visibilityTimeout ?? Duration.seconds(120);
    const retentionPeriod = props.retentionPeriod ?? Duration.days(4);
    const deadLetterRetentionPeriod = props.deadLetterRetentionPeriod ?? Duration.days(RETENTION_MAX_DAYS);
    const maxReceiveCount = props.maxReceiveCount ?? 5;
    const dataKeyReuse = props.dataKeyReuse ?? Duration.minutes(5);
    const maxMessageSizeBytes = props.maximumMessageSizeBytes ?? MESSAGE_SIZE_MAX_BYTES;
    this.contentBasedDeduplication = props.contentBasedDeduplication === true;
    this.#checkName(props.queueName, deadLetterQueueName);
    this.#checkFifo(props);
    this.#checkVisibility(visibilityTimeout, props.handlerTimeout);
    this.#checkRetention(retentionPeriod, deadLetterRetentionPeriod);
    this.#checkDuration('deliveryDelay', props.deliveryDelay, 0, DELIVERY_DELAY_MAX_SECONDS);
    this.#checkDuration('dataKeyReuse', dataKeyReuse, DATA_KEY_REUSE_MIN_SECONDS, DATA_KEY_REUSE_MAX_SECONDS);
    this.#checkWhole('maxReceiveCount', maxReceiveCount, RECEIVES_MIN, RECEIVES_MAX);
    this.#checkWhole('maximumMessageSizeBytes', maxMessageSizeBytes, MESSAGE_SIZE_MIN_BYTES, MESSAGE_SIZE_MAX_BYTES);

    const removalPolicy = keptOnceMade(props.removalPolicy ?? RemovalPolicy.DESTROY);
    this.encryptionKey = props.encryptionKey ?? this.#key(queueName, removalPolicy);
    const common: sqs.QueueProps = {
      encryption: sqs.QueueEncryption.KMS,
      encryptionMasterKey: this.encryptionKey,
      dataKeyReuse,
      enforceSSL: true,
      maxMessageSizeBytes,
      removalPolicy,
      ...(isFifo ? { fifo: true, ...((props.highThroughput ?? true) ? highThroughputProps : {}) } : {}),
    };
    this.deadLetterQueue = new sqs.Queue(this, 'DeadLetterQueue', {
      ...common,
      queueName: deadLetterQueueName,
      retentionPeriod: deadLetterRetentionPeriod,
      visibilityTimeout,
      // Workers give their copies an id, and SQS keeps the one that a message has.
      ...(isFifo ? { contentBasedDeduplication: false } : {}),
      // Whoever drains it by hand or by a script should not pay for empty answers either.
      receiveMessageWaitTime: Duration.seconds(RECEIVE_WAIT_SECONDS),
      // What is moved here from another queue could not be told from what belongs here, nor be moved back.
      redriveAllowPolicy: {
        redrivePermission: sqs.RedrivePermission.BY_QUEUE,
        sourceQueues: [this.#namedQueue('Source', queueName)],
      },
    });
    this.queue = new sqs.Queue(this, 'Queue', {
      ...common,
      queueName,
      retentionPeriod,
      visibilityTimeout,
      ...(isFifo ? { contentBasedDeduplication: this.contentBasedDeduplication } : {}),
      ...(props.deliveryDelay === undefined ? {} : { deliveryDelay: props.deliveryDelay }),
      receiveMessageWaitTime: Duration.seconds(RECEIVE_WAIT_SECONDS),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount },
    });
    this.#keepPolicies(removalPolicy);
    this.visibilityTimeout = visibilityTimeout;
  }

  /**
   * Lets whatever another account allows to send here, such as `111122223333`.
   *
   * That account's own policies have to allow it too, for the queue and for the key.
   */
  acceptFromAccount(accountId: string): void {
    QueueAccess.of(this.queue).admitAccount(accountId);
  }

  /**
   * Lets whatever any account of an organization allows to send here, such as `o-a1b2c3d4e5`.
   *
   * A service that sends on behalf of a resource is no principal of an organization: accept that resource by itself.
   */
  acceptFromOrganization(organizationId: string): void {
    QueueAccess.of(this.queue).admitOrganization(organizationId);
  }

  /**
   * Has a bucket send a message here for every event of its objects; standard queues only.
   *
   * The first message is S3's own test, `s3:TestEvent`. A bucket of another stack must have no notifications there,
   * unless the feature flag `@aws-cdk/aws-s3:keepNotificationInImportedBucket` is on: each stack would undo the other's.
   */
  acceptFromBucket(bucket: ProducerBucket, options: BucketProducerOptions = {}): void {
    acceptBucket(this, bucket, options);
  }

  /** Subscribes the queue to a topic; a FIFO queue to FIFO topics only. */
  acceptFromTopic(topic: sns.ITopic, options: TopicProducerOptions = {}): sns.Subscription {
    return acceptTopic(this, topic, options);
  }

  /**
   * Has a rule send the events that it matches here; a FIFO queue needs `messageGroupId` and content-based deduplication.
   *
   * A rule of another stack is deployed before the queue is: what it matches until then goes nowhere. An imported rule is
   * let in only, and gets its target where it is made.
   */
  acceptFromRule(rule: events.IRule, options: RuleProducerOptions = {}): void {
    acceptRule(this, rule, options);
  }

  /** Lets `grantee` send to the queue, and nothing else. */
  grantProduce(grantee: iam.IGrantable): iam.Grant {
    return this.#grant(grantee, this.queue, ['sqs:SendMessage', 'sqs:GetQueueUrl', 'sqs:GetQueueAttributes']).combine(
      this.#grantKey(grantee),
    );
  }

  /**
   * Lets `grantee` take messages out of the queue, and put what it rejects into the dead-letter queue.
   *
   * A worker rejects by sending the message there with its reason, then deleting it here.
   */
  grantConsume(grantee: iam.IGrantable): iam.Grant {
    const consume = [
      'sqs:ReceiveMessage',
      'sqs:DeleteMessage',
      'sqs:ChangeMessageVisibility',
      'sqs:GetQueueAttributes',
    ];
    return this.#grant(grantee, this.queue, consume)
      .combine(this.#grant(grantee, this.deadLetterQueue, ['sqs:SendMessage', 'sqs:GetQueueAttributes']))
      .combine(this.#grantKey(grantee));
  }

  #grant(grantee: iam.IGrantable, queue: sqs.IQueue, actions: string[]): iam.Grant {
    return iam.Grant.addToPrincipal({ grantee, actions, resourceArns: [queue.queueArn] });
  }

  #key(queueName: string, removalPolicy: RemovalPolicy): kms.Key {
    return new kms.Key(this, 'Key', {
      description: `Messages of ${queueName} and of its dead-letter queue`,
      enableKeyRotation: true,
      removalPolicy,
    });
  }

  /**
   * SQS encrypts with a data key on behalf of the caller: a sender has to be able to make one, a receiver to read it.
   *
   * Through SQS alone: whoever gets hold of the caller's credentials decrypts nothing by another way.
   */
  #grantKey(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resourceArns: [this.encryptionKey.keyArn],
      conditions: { StringEquals: { 'kms:ViaService': `sqs.${Stack.of(this).region}.amazonaws.com` } },
    });
  }

  /** A queue that is kept without its policy would take requests without TLS. */
  #keepPolicies(removalPolicy: RemovalPolicy): void {
    for (const queue of [this.queue, this.deadLetterQueue]) {
      const policy = queue.node.findAll().find((construct) => construct instanceof sqs.QueuePolicy);
      policy?.applyRemovalPolicy(removalPolicy);
    }
  }

  #namedQueue(id: string, queueName: string): sqs.IQueue {
    const queueArn = Stack.of(this).formatArn({
      service: 'sqs',
      resource: queueName,
      arnFormat: ArnFormat.NO_RESOURCE_NAME,
    });
    return sqs.Queue.fromQueueAttributes(this, id, { queueArn, fifo: queueName.endsWith('.fifo') });
  }

  #checkName(queueName: string, deadLetterQueueName: string): void {
    if (Token.isUnresolved(queueName) || !/^[A-Za-z0-9_-]+$/.test(queueName)) {
      throw new Error(
        `${this.node.path}: queueName is ${JSON.stringify(queueName)}; allowed: letters, digits, - and _, without .fifo`,
      );
    }
    if (deadLetterQueueName.length > QUEUE_NAME_MAX_CHARACTERS) {
      const allowed = QUEUE_NAME_MAX_CHARACTERS - (deadLetterQueueName.length - queueName.length);
      throw new Error(
        `${this.node.path}: queueName has ${queueName.length} characters; allowed: at most ${allowed}, so that ${deadLetterQueueName} fits`,
      );
    }
  }

  #checkFifo({ fifo, highThroughput, contentBasedDeduplication }: WorkQueueProps): void {
    if (fifo === true) return;
    for (const [field, value] of Object.entries({ highThroughput, contentBasedDeduplication })) {
      if (value === true) throw new Error(`${this.node.path}: ${field} is true; allowed: true on a FIFO queue only`);
    }
  }

  #checkVisibility(visibilityTimeout: Duration, handlerTimeout: Duration | undefined): void {
    const seconds = visibilityTimeout.toSeconds();
    if (seconds < VISIBILITY_TIMEOUT_MIN_SECONDS || seconds > VISIBILITY_TIMEOUT_MAX_SECONDS) {
      throw new Error(
        `${this.node.path}: visibilityTimeout is ${seconds} s; allowed: at least ${VISIBILITY_TIMEOUT_MIN_SECONDS} s, since a receive may take ${RECEIVE_DEADLINE_SECONDS} s of it, and at most ${VISIBILITY_TIMEOUT_MAX_SECONDS} s`,
      );
    }
    if (handlerTimeout === undefined) return;
    const needed = RECEIVE_DEADLINE_SECONDS + handlerTimeout.toSeconds();
    if (seconds < needed) {
      throw new Error(
        `${this.node.path}: visibilityTimeout is ${seconds} s; allowed: at least ${needed} s, the handlerTimeout of ${handlerTimeout.toSeconds()} s and the ${RECEIVE_DEADLINE_SECONDS} s that a receive may take`,
      );
    }
  }

  #checkRetention(retentionPeriod: Duration, deadLetterRetentionPeriod: Duration): void {
    const longest = Duration.days(RETENTION_MAX_DAYS).toSeconds();
    this.#checkDuration('retentionPeriod', retentionPeriod, RETENTION_MIN_SECONDS, longest);
    this.#checkDuration('deadLetterRetentionPeriod', deadLetterRetentionPeriod, RETENTION_MIN_SECONDS, longest);
    if (deadLetterRetentionPeriod.toSeconds() < retentionPeriod.toSeconds()) {
      throw new Error(
        `${this.node.path}: deadLetterRetentionPeriod is ${deadLetterRetentionPeriod.toSeconds()} s; allowed: at least the retentionPeriod of ${retentionPeriod.toSeconds()} s, because a dead letter keeps its age`,
      );
    }
  }

  #checkDuration(field: string, value: Duration | undefined, minimum: number, maximum: number): void {
    if (value === undefined) return;
    const seconds = value.toSeconds();
    if (seconds < minimum || seconds > maximum) {
      throw new Error(`${this.node.path}: ${field} is ${seconds} s; allowed: ${minimum} to ${maximum} s`);
    }
  }

  #checkWhole(field: string, value: number, minimum: number, maximum: number): void {
    if (!Number.isInteger(value) || value < minimum || value > maximum) {
      throw new Error(`${this.node.path}: ${field} is ${value}; allowed: ${minimum} to ${maximum}`);
    }
  }
}

/** SQS takes either without the other, and then gives low throughput without a word. */
const highThroughputProps: sqs.QueueProps = {
  deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
  fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
};
