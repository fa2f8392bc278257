/**
 * A queue that work can wait in: encrypted, TLS only, long-polled, with a dead-letter queue of its own.
 *
 * Both queues have fixed physical names: the dead-letter queue has to name its source, and the source the
 * dead-letter queue, which CloudFormation can only do when one of the two names is known beforehand.
 */
import { ArnFormat, Duration, type RemovalPolicy, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import {
  MESSAGE_SIZE_MAX_BYTES,
  QUEUE_NAME_MAX_CHARACTERS,
  RECEIVE_WAIT_SECONDS,
  RECEIVES_MAX,
  RECEIVES_MIN,
  RETENTION_MAX_DAYS,
  VISIBILITY_TIMEOUT_MIN_SECONDS,
} from './queue-limits.ts';

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
   */
  readonly encryptionKey: kms.IKey;

  /**
   * Whether messages of one group stay in order.
   *
   * Deduplication ids come from the producer, never from the content: two equal orders are two orders. Limits
   * hold per message group, which is SQS's high-throughput mode and costs nothing.
   *
   * @default false
   */
  readonly fifo?: boolean;

  /**
   * How long a received message stays hidden from other consumers.
   *
   * At least 60 seconds: a receive may take 26 of them, and extensions that hang need the rest.
   *
   * @default 120 seconds
   */
  readonly visibilityTimeout?: Duration;

  /**
   * How long a message waits for a consumer before SQS drops it.
   *
   * @default 4 days
   */
  readonly retentionPeriod?: Duration;

  /**
   * How long a dead letter waits for a person; at least `retentionPeriod`, because a dead letter keeps its age.
   *
   * @default 14 days, the longest that SQS keeps anything
   */
  readonly deadLetterRetentionPeriod?: Duration;

  /**
   * How often a message is received before it becomes a dead letter, 4 to 1000.
   *
   * With fewer, a message that ends its worker takes others with it: it is handled alone from its third receive on.
   *
   * @default 5
   */
  readonly maxReceiveCount?: number;

  /**
   * The largest message that the queue takes, 1024 to 1048576 bytes.
   *
   * @default 1048576 bytes
   */
  readonly maximumMessageSizeBytes?: number;

  /**
   * How long SQS uses a data key before it asks KMS for another, 1 minute to 24 hours.
   *
   * Longer is cheaper; shorter makes a key that was withdrawn work sooner.
   *
   * @default 5 minutes
   */
  readonly dataKeyReuse?: Duration;

  /**
   * What becomes of both queues when they leave the stack.
   *
   * @default RemovalPolicy.DESTROY
   */
  readonly removalPolicy?: RemovalPolicy;
}

export class WorkQueue extends Construct {
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.Queue;
  readonly visibilityTimeout: Duration;
  readonly #encryptionKey: kms.IKey;

  constructor(scope: Construct, id: string, props: WorkQueueProps) {
    super(scope, id);
    const suffix = props.fifo === true ? '.fifo' : '';
    const queueName = `${props.queueName}${suffix}`;
    const deadLetterQueueName = `${props.queueName}-dlq${suffix}`;
    const visibilityTimeout = props.visibilityTimeout ?? Duration.seconds(120);
    const retentionPeriod = props.retentionPeriod ?? Duration.days(4);
    const deadLetterRetentionPeriod = props.deadLetterRetentionPeriod ?? Duration.days(RETENTION_MAX_DAYS);
    this.#checkName(props.queueName, deadLetterQueueName);
    const maxReceiveCount = props.maxReceiveCount ?? 5;
    this.#checkTimes(visibilityTimeout, retentionPeriod, deadLetterRetentionPeriod);
    this.#checkReceives(maxReceiveCount);

    const common: sqs.QueueProps = {
      encryption: sqs.QueueEncryption.KMS,
      encryptionMasterKey: props.encryptionKey,
      dataKeyReuse: props.dataKeyReuse ?? Duration.minutes(5),
      enforceSSL: true,
      maxMessageSizeBytes: props.maximumMessageSizeBytes ?? MESSAGE_SIZE_MAX_BYTES,
      ...(props.removalPolicy === undefined ? {} : { removalPolicy: props.removalPolicy }),
      ...(props.fifo === true ? fifoProps : {}),
    };
    this.deadLetterQueue = new sqs.Queue(this, 'DeadLetterQueue', {
      ...common,
      queueName: deadLetterQueueName,
      retentionPeriod: deadLetterRetentionPeriod,
      visibilityTimeout,
      // Whoever drains it by hand or by a script should not pay for empty answers either.
      receiveMessageWaitTime: Duration.seconds(RECEIVE_WAIT_SECONDS),
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
      receiveMessageWaitTime: Duration.seconds(RECEIVE_WAIT_SECONDS),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount },
    });
    if (props.removalPolicy !== undefined) this.#keepPolicies(props.removalPolicy);
    this.visibilityTimeout = visibilityTimeout;
    this.#encryptionKey = props.encryptionKey;
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

  /** SQS encrypts with a data key on behalf of the caller: a sender has to be able to make one, a receiver to read it. */
  #grantKey(grantee: iam.IGrantable): iam.Grant {
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resourceArns: [this.#encryptionKey.keyArn],
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

  #checkTimes(visibilityTimeout: Duration, retentionPeriod: Duration, deadLetterRetentionPeriod: Duration): void {
    if (visibilityTimeout.toSeconds() < VISIBILITY_TIMEOUT_MIN_SECONDS) {
      throw new Error(
        `${this.node.path}: visibilityTimeout is ${visibilityTimeout.toSeconds()} s; allowed: at least ${VISIBILITY_TIMEOUT_MIN_SECONDS} s, since a receive may take 26 s of it`,
      );
    }
    if (deadLetterRetentionPeriod.toSeconds() < retentionPeriod.toSeconds()) {
      throw new Error(
        `${this.node.path}: deadLetterRetentionPeriod is ${deadLetterRetentionPeriod.toSeconds()} s; allowed: at least the retentionPeriod of ${retentionPeriod.toSeconds()} s, because a dead letter keeps its age`,
      );
    }
  }

  #checkReceives(maxReceiveCount: number): void {
    if (maxReceiveCount < RECEIVES_MIN || maxReceiveCount > RECEIVES_MAX) {
      throw new Error(
        `${this.node.path}: maxReceiveCount is ${maxReceiveCount}; allowed: ${RECEIVES_MIN} to ${RECEIVES_MAX}`,
      );
    }
  }
}

/** SQS takes either of the last two without the other, and then gives low throughput without a word. */
const fifoProps: sqs.QueueProps = {
  fifo: true,
  contentBasedDeduplication: false,
  deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
  fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
};
