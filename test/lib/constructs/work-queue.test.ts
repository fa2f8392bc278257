import { describe, expect, test } from '@jest/globals';
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { WorkQueue, type WorkQueueProps } from '../../../lib/constructs/work-queue.ts';
import { synthesized } from '../synthesized.ts';

interface Built {
  readonly queue: WorkQueue;
  readonly role: iam.Role;
}

/** The template of a stack with a work queue, a role, and what `use` does with them. */
function templateOf(props: Partial<WorkQueueProps> = {}, use: (built: Built) => void = () => {}): Template {
  const { templates } = synthesized((app) => {
    const stack = new Stack(app, 'stack');
    const encryptionKey = new kms.Key(stack, 'Key');
    const role = new iam.Role(stack, 'Role', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') });
    use({ queue: new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey, ...props }), role });
  });
  return Template.fromJSON(templates.stack!);
}

const queuesOf = (template: Template) =>
  Object.values(template.findResources('AWS::SQS::Queue')).map(({ Properties }) => Properties);

describe('a work queue', () => {
  test('is complete without a single option', () => {
    const [deadLetterQueue, queue] = queuesOf(templateOf());
    expect(queue).toMatchObject({
      QueueName: 'work',
      VisibilityTimeout: 120,
      ReceiveMessageWaitTimeSeconds: 20,
      MessageRetentionPeriod: 345_600,
      MaximumMessageSize: 1_048_576,
      KmsDataKeyReusePeriodSeconds: 300,
      RedrivePolicy: { maxReceiveCount: 5 },
    });
    expect(deadLetterQueue).toMatchObject({ QueueName: 'work-dlq', MessageRetentionPeriod: 1_209_600 });
  });

  test('that is FIFO has a FIFO dead-letter queue, and both names end as SQS demands', () => {
    const queues = queuesOf(templateOf({ fifo: true }));
    expect(queues.map(({ QueueName, FifoQueue }) => [QueueName, FifoQueue])).toEqual([
      ['work-dlq.fifo', true],
      ['work.fifo', true],
    ]);
  });

  test.each([true, undefined])('that is FIFO, with highThroughput %p, has both of its settings', (highThroughput) => {
    for (const queue of queuesOf(
      templateOf({ fifo: true, ...(highThroughput === undefined ? {} : { highThroughput }) }),
    )) {
      expect(queue).toMatchObject({
        DeduplicationScope: 'messageGroup',
        FifoThroughputLimit: 'perMessageGroupId',
        ContentBasedDeduplication: false,
      });
    }
  });

  test('that is FIFO without high throughput has neither', () => {
    for (const queue of queuesOf(templateOf({ fifo: true, highThroughput: false }))) {
      expect(queue).toMatchObject({ FifoQueue: true });
      expect(queue).not.toHaveProperty('DeduplicationScope');
      expect(queue).not.toHaveProperty('FifoThroughputLimit');
    }
  });

  test('takes every setting that it has', () => {
    const [deadLetterQueue, queue] = queuesOf(
      templateOf({
        fifo: true,
        contentBasedDeduplication: true,
        visibilityTimeout: Duration.minutes(10),
        handlerTimeout: Duration.minutes(9),
        deliveryDelay: Duration.seconds(30),
        retentionPeriod: Duration.minutes(1),
        deadLetterRetentionPeriod: Duration.days(7),
        maxReceiveCount: 10,
        maximumMessageSizeBytes: 262_144,
        dataKeyReuse: Duration.hours(24),
      }),
    );
    expect(queue).toMatchObject({
      VisibilityTimeout: 600,
      DelaySeconds: 30,
      MessageRetentionPeriod: 60,
      MaximumMessageSize: 262_144,
      KmsDataKeyReusePeriodSeconds: 86_400,
      ContentBasedDeduplication: true,
      RedrivePolicy: { maxReceiveCount: 10 },
    });
    // What is dead is to be seen at once, and what workers send there has an id.
    expect(deadLetterQueue).toMatchObject({ MessageRetentionPeriod: 604_800, ContentBasedDeduplication: false });
    expect(deadLetterQueue).not.toHaveProperty('DelaySeconds');
  });

  test.each([RemovalPolicy.RETAIN, RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE])(
    'is kept with policies and key as %s, and not where it could not be made',
    (removalPolicy) => {
      const { resources, templates } = synthesized((app) => {
        new WorkQueue(new Stack(app, 'stack'), 'Work', { queueName: 'work', removalPolicy });
      });
      expect(resources.map(({ type }) => type).sort()).toEqual([
        'AWS::KMS::Key',
        'AWS::SQS::Queue',
        'AWS::SQS::Queue',
        'AWS::SQS::QueuePolicy',
        'AWS::SQS::QueuePolicy',
      ]);
      for (const { id } of resources) {
        expect(templates.stack!.Resources[id]).toMatchObject({
          DeletionPolicy: 'RetainExceptOnCreate',
          UpdateReplacePolicy: 'Retain',
        });
      }
    },
  );

  test('denies what comes without TLS, in its dead-letter queue too', () => {
    const policies = Object.values(templateOf().findResources('AWS::SQS::QueuePolicy'));
    expect(policies.map(({ Properties }) => Properties.PolicyDocument.Statement)).toEqual([
      [expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } })],
      [expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } })],
    ]);
  });

  test.each<[string, Partial<WorkQueueProps>, string]>([
    [
      'a visibility timeout that a receive and its extensions do not fit into',
      { visibilityTimeout: Duration.seconds(59) },
      'stack/Work: visibilityTimeout is 59 s; allowed: at least 60 s',
    ],
    [
      'a visibility timeout that is longer than SQS hides a message',
      { visibilityTimeout: Duration.hours(13) },
      'stack/Work: visibilityTimeout is 46800 s; allowed: at least 60 s, since a receive may take 26 s of it, and at most 43200 s',
    ],
    [
      'a visibility timeout that a handler without extensions does not fit into',
      { visibilityTimeout: Duration.seconds(120), handlerTimeout: Duration.seconds(95) },
      'stack/Work: visibilityTimeout is 120 s; allowed: at least 121 s, the handlerTimeout of 95 s and the 26 s that a receive may take',
    ],
    [
      'high throughput on a standard queue',
      { highThroughput: true },
      'stack/Work: highThroughput is true; allowed: true on a FIFO queue only',
    ],
    [
      'content-based deduplication on a standard queue',
      { contentBasedDeduplication: true },
      'stack/Work: contentBasedDeduplication is true; allowed: true on a FIFO queue only',
    ],
    [
      'a delay of more than 15 minutes',
      { deliveryDelay: Duration.seconds(901) },
      'stack/Work: deliveryDelay is 901 s; allowed: 0 to 900 s',
    ],
    [
      'a retention of less than a minute',
      { retentionPeriod: Duration.seconds(59) },
      'stack/Work: retentionPeriod is 59 s; allowed: 60 to 1209600 s',
    ],
    [
      'dead letters kept for longer than SQS keeps anything',
      { deadLetterRetentionPeriod: Duration.days(15) },
      'stack/Work: deadLetterRetentionPeriod is 1296000 s; allowed: 60 to 1209600 s',
    ],
    [
      'a data key for more than a day',
      { dataKeyReuse: Duration.hours(25) },
      'stack/Work: dataKeyReuse is 90000 s; allowed: 60 to 86400 s',
    ],
    ...[1_023, 1_048_577, 2_000.5].map((bytes): [string, Partial<WorkQueueProps>, string] => [
      `messages of ${bytes} bytes`,
      { maximumMessageSizeBytes: bytes },
      `stack/Work: maximumMessageSizeBytes is ${bytes}; allowed: 1024 to 1048576`,
    ]),
    ...[3, 4.5, 1_001].map((maxReceiveCount): [string, Partial<WorkQueueProps>, string] => [
      `${maxReceiveCount} receives`,
      { maxReceiveCount },
      `stack/Work: maxReceiveCount is ${maxReceiveCount}; allowed: 4 to 1000`,
    ]),
    [
      'dead letters that are dropped before their source would drop them',
      { deadLetterRetentionPeriod: Duration.days(3) },
      'stack/Work: deadLetterRetentionPeriod is 259200 s; allowed: at least the retentionPeriod of 345600 s',
    ],
    [
      'a name with the suffix in it',
      { queueName: 'work.fifo' },
      'stack/Work: queueName is "work.fifo"; allowed: letters',
    ],
    [
      'a name that leaves no room for the dead-letter queue',
      { queueName: 'w'.repeat(72), fifo: true },
      'stack/Work: queueName has 72 characters; allowed: at most 71',
    ],
  ])('refuses %s', (_, props, message) => {
    expect(() => templateOf(props)).toThrow(message);
  });

  test('lets a producer send and nothing else', () => {
    expect(grantedBy((queue, role) => queue.grantProduce(role))).toEqual([
      ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl', 'sqs:SendMessage'],
      ['kms:Decrypt', 'kms:GenerateDataKey'],
    ]);
  });

  test('lets a consumer receive, settle, and send to the dead-letter queue', () => {
    expect(grantedBy((queue, role) => queue.grantConsume(role))).toEqual([
      ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'],
      ['sqs:GetQueueAttributes', 'sqs:SendMessage'],
      ['kms:Decrypt', 'kms:GenerateDataKey'],
    ]);
  });

  function grantedBy(grant: (queue: WorkQueue, role: iam.Role) => void): string[][] {
    const template = templateOf({}, ({ queue, role }) => grant(queue, role));
    const [policy] = Object.values(template.findResources('AWS::IAM::Policy'));
    return policy!.Properties.PolicyDocument.Statement.map(({ Action }: { Action: string[] }) => [...Action].sort());
  }
});
