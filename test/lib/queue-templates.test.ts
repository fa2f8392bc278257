/** What holds over the queues of every template of every stage, and that each rule finds what breaks it. */
import { describe, expect, test } from '@jest/globals';
import { Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import { buildApp } from '../../lib/app.ts';
import { configurationOf, stageNames } from '../../lib/config.ts';
import { WorkQueue } from '../../lib/constructs/work-queue.ts';
import { checkedConfiguration } from '../../lib/settings.ts';
import { workloadNames } from '../../lib/workloads.ts';
import { circlesIn, queueModel, requestsOfAccount, takes } from './queue-model.ts';
import { keyReferences, queueProblems } from './queue-rules.ts';
import { synthesized, synthesizedStage, type Template, valuesIn } from './synthesized.ts';

describe.each(stageNames)('every template of stage %s', (stage) => {
  const { templates } = synthesizedStage(stage);

  test('has queues, policies and keys without a fault', () => {
    const model = queueModel(templates);
    expect(model.queues).toHaveLength(2 * workloadNames.length);
    expect(queueProblems(model)).toEqual([]);
    expect(keyReferences(templates)).toEqual([]);
    expect(circlesIn(templates)).toEqual([]);
  });
});

describe('the settings of a stage', () => {
  const { stage, ...settings } = structuredClone(configurationOf('dev'));
  const accountId = '444455556666';
  const organizationId = 'o-a1b2c3d4e5';
  const orders = {
    deliveryDelaySeconds: 5,
    producerAccountIds: [accountId],
    producerOrganizationIds: [organizationId],
  };
  const ledger = { highThroughput: false, contentBasedDeduplication: true };
  const { templates } = synthesized((app) => {
    const queues = {
      ...settings.queues,
      orders: { ...settings.queues.orders, ...orders },
      ledger: { ...settings.queues.ledger, ...ledger },
    };
    buildApp(app, checkedConfiguration(stage, { ...settings, queues }));
  });
  const { queues } = queueModel(templates);
  const named = (name: string) => queues.find(({ properties }) => properties.QueueName === `sluice-dev-${name}`)!;

  test('reach the queue that they are of', () => {
    expect(named('orders').properties).toMatchObject({ DelaySeconds: 5 });
    expect(named('ledger.fifo').properties).toMatchObject({ DelaySeconds: 0, ContentBasedDeduplication: true });
    expect(named('ledger.fifo').properties).not.toHaveProperty('DeduplicationScope');
  });

  test('let producers into that queue alone', () => {
    for (const requests of [requestsOfAccount(accountId), requestsOfAccount('777788889999', organizationId)]) {
      expect(queues.filter((queue) => takes(queue, requests)).map(({ properties }) => properties.QueueName)).toEqual([
        'sluice-dev-orders',
      ]);
    }
    expect(queueProblems({ queues, deliveries: [] })).toEqual([]);
  });
});

describe('the rules for queues find', () => {
  const good = synthesized((app) => {
    const stack = new Stack(app, 'stack');
    const encryptionKey = new kms.Key(stack, 'Key');
    const queue = new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey });
    queue.acceptFromAccount('444455556666');
    queue.acceptFromOrganization('o-a1b2c3d4e5');
    queue.acceptFromBucket(new s3.Bucket(stack, 'Bucket'));
    queue.acceptFromTopic(new sns.Topic(stack, 'Topic'));
    queue.acceptFromRule(new events.Rule(stack, 'Rule', { eventPattern: { source: ['shop'] } }));
    new WorkQueue(stack, 'Ledger', { queueName: 'ledger', encryptionKey, fifo: true });
  });

  type Spoil = (templates: Record<string, Template>) => void;

  function spoilt(spoil: Spoil): Record<string, Template> {
    const templates = structuredClone(good.templates);
    spoil(templates);
    expect(templates).not.toEqual(good.templates);
    return templates;
  }

  /** The properties of the resource whose logical id begins with `id`. */
  function propertiesOf(templates: Record<string, Template>, id: string): Record<string, unknown> {
    const found = Object.entries(templates.stack!.Resources).find(([name]) => name.startsWith(id));
    if (found === undefined) throw new Error(`no resource ${id}`);
    return found[1].Properties;
  }

  /** Changes the statement of a policy that speaks of `about`; of the first resource that begins with `id`. */
  function inStatement(id: string, about: string, change: (statement: object) => void): Spoil {
    return (templates) => {
      const statement = [...valuesIn(propertiesOf(templates, id))]
        .map(({ value }) => value)
        .find(
          (value) => typeof value === 'object' && value !== null && 'Effect' in value && textOf(value).includes(about),
        );
      if (typeof statement !== 'object' || statement === null) throw new Error(`${id} has no statement about ${about}`);
      change(statement);
    };
  }
  const textOf = (value: unknown) => JSON.stringify(value);
  const without = (key: string) => (from: object) => void Reflect.deleteProperty(from, key);
  const having = (key: string, value: unknown) => (into: object) => void Reflect.set(into, key, value);
  const changing =
    (id: string, change: (properties: object) => void): Spoil =>
    (templates) =>
      change(propertiesOf(templates, id));

  test('nothing in what is good', () => {
    expect(queueProblems(queueModel(good.templates))).toEqual([]);
  });

  test.each<[string, Spoil, RegExp]>([
    [
      'one setting of high throughput',
      changing('LedgerQueue', without('DeduplicationScope')),
      /one of the two settings/,
    ],
    ['the other setting of high throughput', changing('LedgerQueue', without('FifoThroughputLimit')), /one of the two/],
    [
      'a topic that is let in on behalf of anybody',
      inStatement('WorkQueuePolicy', 'sns.amazonaws.com', without('Condition')),
      /WorkQueue\w+: lets in sns.amazonaws.com on behalf of anybody/,
    ],
    [
      'a rule whose source is a pattern',
      inStatement(
        'WorkQueuePolicy',
        'events.amazonaws.com',
        having('Condition', { ArnLike: { 'aws:SourceArn': '*' } }),
      ),
      /lets in events.amazonaws.com on behalf of anybody/,
    ],
    [
      'a bucket of whomever',
      inStatement('WorkQueuePolicy', 's3.amazonaws.com', (statement) =>
        without('StringEquals')(Reflect.get(statement, 'Condition')),
      ),
      /lets in a bucket whoever owns it/,
    ],
    [
      'an organization without its id',
      inStatement('WorkQueuePolicy', 'PrincipalOrgID', without('Condition')),
      /WorkQueue\w+: lets in everybody/,
    ],
    [
      'an action that no producer needs',
      inStatement('WorkQueuePolicy', '444455556666', having('Action', ['sqs:SendMessage', 'sqs:PurgeQueue'])),
      /allows sqs:PurgeQueue/,
    ],
    [
      'a policy that speaks of another queue',
      inStatement('WorkQueuePolicy', '444455556666', having('Resource', '*')),
      /speaks of \*/,
    ],
    [
      'an action on the key that no producer needs',
      inStatement('Key', '444455556666', having('Action', ['kms:GenerateDataKey', 'kms:Encrypt'])),
      /a key that allows kms:Encrypt/,
    ],
    [
      'a key that encrypts for an account itself',
      inStatement('Key', '444455556666', without('Condition')),
      /encrypts for others than SQS/,
    ],
    [
      'a key that serves anybody through a topic',
      inStatement('Key', 'sns.amazonaws.com', without('Condition')),
      /serves anybody through a service/,
    ],
    [
      'a key that does not let in whom the queue does',
      inStatement('Key', 'sns.amazonaws.com', having('Effect', 'Deny')),
      /WorkFrom\w+: is not let in by stack\/WorkQueue/,
    ],
    [
      'a dead-letter queue that does not let in what could not be delivered',
      inStatement('WorkDeadLetterQueuePolicy', 'events.amazonaws.com', having('Effect', 'Deny')),
      /stack\/Rule\w+: is not let in by stack\/WorkDeadLetterQueue/,
    ],
    ['a queue without an access policy', changing('WorkQueuePolicy', having('Queues', [])), /has 0 access policies/],
    ['a queue without a key', changing('WorkQueue', without('KmsMasterKeyId')), /not encrypted with a key/],
    [
      'a dead-letter queue of the other kind',
      (templates) => {
        changing('LedgerDeadLetterQueue', without('FifoQueue'))(templates);
        changing('LedgerDeadLetterQueue', having('QueueName', 'ledger-dlq'))(templates);
      },
      /LedgerQueue\w+: has a dead-letter queue of the other kind/,
    ],
    ['a delivery to nowhere', changing('WorkFrom', having('Endpoint', 'arn:aws:sqs:::none')), /which is not there/],
  ])('%s', (_, spoil, problem) => {
    expect(queueProblems(queueModel(spoilt(spoil))).join('\n')).toMatch(problem);
  });

  test('a key that waits for the queue that it encrypts', () => {
    const templates = spoilt((templates) => {
      const id = Object.keys(templates.stack!.Resources).find((name) => name.startsWith('WorkQueue'))!;
      inStatement('Key', 's3.amazonaws.com', having('Resource', { 'Fn::GetAtt': [id, 'Arn'] }))(templates);
    });
    expect(keyReferences(templates)).toEqual([expect.stringMatching(/^stack\/Key/)]);
    expect(circlesIn(templates)).not.toEqual([]);
    expect(circlesIn(good.templates)).toEqual([]);
  });
});
