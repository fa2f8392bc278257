/** What can be wrong with queues in a template, one at a time. */
import { attribute, property, removed, type TemplateDefect, text } from './planting.ts';

export const queues: readonly TemplateDefect[] = [
  { what: 'maxReceiveCount 0', plant: property('messaging/OrdersQueue', ['RedrivePolicy', 'maxReceiveCount'], 0) },
  {
    what: 'maxReceiveCount 1, which lets no message come twice',
    plant: property('messaging/LedgerQueue', ['RedrivePolicy', 'maxReceiveCount'], 1),
  },
  {
    what: 'a queue without a dead-letter queue',
    plant: property('messaging/OrdersQueue', ['RedrivePolicy'], undefined),
  },
  {
    what: 'a dead-letter queue that takes from every queue',
    plant: property('messaging/OrdersDeadLetterQueue', ['RedriveAllowPolicy'], { redrivePermission: 'allowAll' }),
  },
  {
    what: 'a standard dead-letter queue of a FIFO queue',
    plant: text('messaging/LedgerDeadLetterQueue', '"FifoQueue":true,', ''),
  },
  {
    what: 'dead letters that are kept for four days',
    plant: property('messaging/OrdersDeadLetterQueue', ['MessageRetentionPeriod'], 345_600),
  },
  { what: 'a queue without a key', plant: property('messaging/OrdersQueue', ['KmsMasterKeyId'], undefined) },
  {
    what: 'a dead-letter queue with the key that AWS manages',
    plant: property('messaging/OrdersDeadLetterQueue', ['KmsMasterKeyId'], 'alias/aws/sqs'),
  },
  {
    what: 'a dead-letter queue that takes requests without TLS',
    plant: removed('messaging/OrdersDeadLetterQueuePolicy'),
  },
  {
    what: 'a denial of requests with TLS in place of those without',
    plant: text('messaging/LedgerQueuePolicy', '"aws:SecureTransport":"false"', '"aws:SecureTransport":"true"'),
  },
  {
    what: 'one of the two settings of high throughput',
    plant: property('messaging/LedgerQueue', ['FifoThroughputLimit'], undefined),
  },
  { what: 'a lease of 30 s', plant: property('messaging/OrdersQueue', ['VisibilityTimeout'], 30) },
  { what: 'short polls', plant: property('messaging/OrdersQueue', ['ReceiveMessageWaitTimeSeconds'], 0) },
  {
    what: 'messages of 256 KiB at most, where the configuration says 1 MiB',
    plant: property('messaging/OrdersQueue', ['MaximumMessageSize'], 262_144),
  },
  {
    what: 'a queue with the name of another stage',
    plant: property('messaging/OrdersQueue', ['QueueName'], 'sluice-dev-orders'),
  },
  {
    what: 'a queue of prod that goes with its stack',
    plant: attribute('messaging/OrdersQueue', ['DeletionPolicy'], 'Delete'),
  },
  {
    what: 'a queue that stays, and keeps its name, when its stack could not be made',
    plant: attribute('messaging/OrdersQueue', ['DeletionPolicy'], 'Retain'),
  },
  {
    what: 'a queue that takes two orders of the same content for one',
    plant: property('messaging/LedgerQueue', ['ContentBasedDeduplication'], true),
  },
  {
    what: 'a dead-letter queue that takes two dead letters of the same content for one',
    plant: property('messaging/LedgerDeadLetterQueue', ['ContentBasedDeduplication'], true),
  },
  {
    what: 'a queue of low throughput, against its stage',
    plant: text(
      'messaging/LedgerQueue',
      /"DeduplicationScope":"messageGroup",|"FifoThroughputLimit":"perMessageGroupId",/g,
      '',
    ),
  },
  {
    what: 'a dead-letter queue that hides what comes for a quarter of an hour',
    plant: property('messaging/OrdersDeadLetterQueue', ['DelaySeconds'], 900),
  },
  {
    what: 'a dead letter that is hidden for hours from whoever looks next',
    plant: property('messaging/OrdersDeadLetterQueue', ['VisibilityTimeout'], 43_200),
  },
];
