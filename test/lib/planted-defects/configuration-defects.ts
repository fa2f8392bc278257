/** What can be wrong with a configuration, one at a time; and what a construct can be asked that cannot work. */
import type { Stack } from 'aws-cdk-lib';
import { Duration } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import { WorkQueue, type WorkQueueProps } from '../../../lib/constructs/work-queue.ts';
import type { Defect } from './planting.ts';

/** One field of the configuration of prod, and the value that is wrong. */
export type ConfigurationDefect = Defect<{ readonly field: string; readonly value: unknown }>;
export type ConstructDefect = Defect<(stack: Stack) => void>;

const wrong = (what: string, field: string, value: unknown): ConfigurationDefect => ({ what, plant: { field, value } });

export const configurationDefects: readonly ConfigurationDefect[] = [
  wrong('a lease shorter than three receives', 'queues.orders.visibilityTimeoutSeconds', 30),
  wrong('a message of more than 1 MiB', 'queues.orders.maximumMessageSizeBytes', 1_048_577),
  wrong('maxReceiveCount 0', 'queues.ledger.maxReceiveCount', 0),
  wrong('dead letters that end before they arrive', 'queues.orders.deadLetterRetentionDays', 1),
  wrong('a setting of FIFO queues on a standard queue', 'queues.orders.highThroughput', true),
  wrong('an account of eleven digits that may send', 'queues.orders.producerAccountIds', ['11112222333']),
  wrong('more instances at least than at most', 'fleets.orders.minimum', 11),
  wrong('fleets larger than the database can serve', 'database.instanceClass', 'db.t4g.micro'),
  wrong('instances that cannot run the image', 'fleets.orders.instanceType', 'm7i.large'),
  wrong('a drain shorter than a long poll', 'fleets.ledger.drainSeconds', 5),
  wrong('a latency that CloudWatch cannot see', 'fleets.orders.acceptableLatencySeconds', 10),
  wrong('a latency above every age that a person can be told of', 'fleets.orders.acceptableLatencySeconds', 86_400),
  wrong('messages that are held back until they are late', 'queues.orders.deliveryDelaySeconds', 900),
  wrong('instances of a size that there is not', 'fleets.orders.instanceType', 'm7g.banana'),
  wrong('instances that a worker does not fit into', 'fleets.orders.instanceType', 't4g.nano'),
  wrong('a type for Spot twice', 'fleets.orders.spotInstanceTypes', ['c7g.large', 'c7g.large']),
  wrong('a type for Spot that the fleet has anyway', 'fleets.orders.spotInstanceTypes', ['m7g.medium']),
  wrong('instances on demand beside no others', 'fleets.ledger.onDemandBase', 4),
  wrong('storage that cannot grow', 'database.maxAllocatedStorageGib', 100),
  wrong('backups for no day', 'database.backupRetentionDays', 0),
  wrong('addresses of the internet', 'network.cidr', '8.8.0.0/16'),
  wrong('lines kept for days that CloudWatch does not know', 'watching.workerLogRetentionDays', 8),
  wrong('nobody who can be told', 'watching.alarmEmails', ['nobody']),
  wrong('a setting that is spelt wrong', 'network.natGateway', 1),
];

export const constructDefects: readonly ConstructDefect[] = [
  {
    what: 'a bucket that sends to a FIFO queue',
    plant: (stack) => workQueue(stack, { fifo: true }).acceptFromBucket(new s3.Bucket(stack, 'Bucket')),
  },
  {
    what: 'a standard topic that sends to a FIFO queue',
    plant: (stack) => void workQueue(stack, { fifo: true }).acceptFromTopic(new sns.Topic(stack, 'Topic')),
  },
  {
    what: 'a rule that sends to a FIFO queue without a group',
    plant: (stack) => {
      const rule = new events.Rule(stack, 'Rule', { eventPattern: { source: ['shop'] } });
      workQueue(stack, { fifo: true, contentBasedDeduplication: true }).acceptFromRule(rule);
    },
  },
  {
    what: 'a lease shorter than what handles a message',
    plant: (stack) => void workQueue(stack, { handlerTimeout: Duration.minutes(5) }),
  },
  {
    what: 'a producer that the key cannot let in',
    plant: (stack) => {
      const encryptionKey = kms.Key.fromKeyArn(stack, 'Imported', 'arn:aws:kms:eu-central-1:111122223333:key/1');
      workQueue(stack, { encryptionKey }).acceptFromAccount('111122223333');
    },
  },
];

function workQueue(stack: Stack, props: Partial<WorkQueueProps>): WorkQueue {
  return new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey: new kms.Key(stack, 'Key'), ...props });
}
