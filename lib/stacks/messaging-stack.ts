/** The queues that work waits in, and the one key that encrypts them. */
import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as kms from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { KEPT } from '../constructs/kept.ts';
import { WorkQueue, type WorkQueueProps } from '../constructs/work-queue.ts';
import type { FifoQueueSettings, QueueSettings, StageSettings } from '../settings.ts';
import { constructId, perWorkload, type WorkloadName, workloadNames } from '../workloads.ts';

export interface MessagingStackProps extends StackProps {
  /** Name of the stage; part of the queues' names. */
  readonly stage: string;

  /** One object per queue. */
  readonly queues: StageSettings['queues'];

  /** What becomes of queues and key when the stack is deleted. */
  readonly queueRemovalPolicy: StageSettings['queueRemovalPolicy'];
}

export class MessagingStack extends Stack {
  readonly workQueues: Readonly<Record<WorkloadName, WorkQueue>>;

  constructor(scope: Construct, id: string, props: MessagingStackProps) {
    super(scope, id, props);
    const removalPolicy = props.queueRemovalPolicy === 'retain' ? KEPT : RemovalPolicy.DESTROY;
    const encryptionKey = new kms.Key(this, 'QueueKey', {
      description: `Messages of the work queues of sluice-${props.stage} and of their dead-letter queues`,
      enableKeyRotation: true,
      removalPolicy,
    });
    const workQueue = (name: string, queue: QueueSettings | FifoQueueSettings) => {
      const built = new WorkQueue(this, constructId(name), {
        queueName: `sluice-${props.stage}-${name}`,
        encryptionKey,
        ...fifoProps(queue),
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
    this.workQueues = perWorkload((name) => workQueue(name, props.queues[name]));
    for (const name of workloadNames) this.#outputs(constructId(name), this.workQueues[name]);
  }

  #outputs(id: string, workQueue: WorkQueue): void {
    new CfnOutput(this, `${id}QueueUrl`, {
      description: 'Where producers send',
      value: workQueue.queue.queueUrl,
    });
    new CfnOutput(this, `${id}DeadLetterQueueUrl`, {
      description: 'Where rejected messages and those received too often wait for a person',
      value: workQueue.deadLetterQueue.queueUrl,
    });
  }
}

/** Only a FIFO queue has settings of FIFO queues: the configuration is strict. */
function fifoProps(
  queue: QueueSettings | FifoQueueSettings,
): Pick<WorkQueueProps, 'fifo' | 'highThroughput' | 'contentBasedDeduplication'> {
  if (!('highThroughput' in queue)) return {};
  const { highThroughput, contentBasedDeduplication } = queue;
  return { fifo: true, highThroughput, contentBasedDeduplication };
}
