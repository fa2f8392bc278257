/** The queues that work waits in, and the one key that encrypts them. */
import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import type { QueueSettings, StageSettings } from '../config.ts';
import { WorkQueue, type WorkQueueProps } from '../constructs/work-queue.ts';

export interface MessagingStackProps extends StackProps {
  /** Name of the stage; part of the queues' names. */
  readonly stage: string;

  /** One object per queue. */
  readonly queues: StageSettings['queues'];

  /** What becomes of queues and key when the stack is deleted. */
  readonly queueRemovalPolicy: StageSettings['queueRemovalPolicy'];
}

type FifoProps = Pick<WorkQueueProps, 'fifo' | 'highThroughput' | 'contentBasedDeduplication'>;

export class MessagingStack extends Stack {
  readonly orders: WorkQueue;
  readonly ledger: WorkQueue;

  constructor(scope: Construct, id: string, props: MessagingStackProps) {
    super(scope, id, props);
    const removalPolicy = props.queueRemovalPolicy === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    const encryptionKey = new kms.Key(this, 'QueueKey', {
      description: `Messages of the work queues of sluice-${props.stage} and of their dead-letter queues`,
      enableKeyRotation: true,
      removalPolicy,
    });
    const workQueue = (id: string, name: string, queue: QueueSettings, fifo: FifoProps = {}) => {
      const built = new WorkQueue(this, id, {
        queueName: `sluice-${props.stage}-${name}`,
        encryptionKey,
        ...fifo,
        visibilityTimeout: Duration.seconds(queue.visibilityTimeoutSeconds),
        deliveryDelay: Duration.seconds(queue.deliveryDelaySeconds),
        retentionPeriod: Duration.days(queue.retentionDays),
        deadLetterRetentionPeriod: Duration.days(queue.deadLetterRetentionDays),
        maxReceiveCount: queue.maxReceiveCount,
        maximumMessageSizeBytes: queue.maximumMessageSizeBytes,
        dataKeyReuse: Duration.minutes(queue.dataKeyReuseMinutes),
        removalPolicy,
      });
      for (const accountId of queue.producerAccountIds) built.acceptFromAccount(accountId);
      for (const organizationId of queue.producerOrganizationIds) built.acceptFromOrganization(organizationId);
      return built;
    };
    const { orders, ledger } = props.queues;
    this.orders = workQueue('Orders', 'orders', orders);
    // A customer's entries stay in order: one message group per customer.
    this.ledger = workQueue('Ledger', 'ledger', ledger, {
      fifo: true,
      highThroughput: ledger.highThroughput,
      contentBasedDeduplication: ledger.contentBasedDeduplication,
    });

    this.#outputs('Orders', this.orders);
    this.#outputs('Ledger', this.ledger);
  }

  #outputs(name: string, workQueue: WorkQueue): void {
    new CfnOutput(this, `${name}QueueUrl`, {
      description: 'Where producers send',
      value: workQueue.queue.queueUrl,
    });
    new CfnOutput(this, `${name}DeadLetterQueueUrl`, {
      description: 'Where rejected messages and those received too often wait for a person',
      value: workQueue.deadLetterQueue.queueUrl,
    });
  }
}
