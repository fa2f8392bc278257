import { describe, expect, test } from '@jest/globals';
import { Duration, Stack } from 'aws-cdk-lib';
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

  test.each<[string, Partial<WorkQueueProps>, string]>([
    [
      'a visibility timeout that a receive and its extensions do not fit into',
      { visibilityTimeout: Duration.seconds(59) },
      'stack/Work: visibilityTimeout is 59 s; allowed: at least 60 s',
    ],
    ...[3, 1_001].map((maxReceiveCount): [string, Partial<WorkQueueProps>, string] => [
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
