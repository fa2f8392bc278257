/** Everything that may send to a work queue, in every combination that SQS takes, judged by the templates. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { App, Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { BucketProducerOptions } from '../../../lib/constructs/queue-producers.ts';
import { WorkQueue, type WorkQueueProps } from '../../../lib/constructs/work-queue.ts';
import { temporaryFolder } from '../../local/machine/machine.ts';
import { circlesIn, type Queue, queueModel, requestsOf, requestsOfAccount, takes } from '../queue-model.ts';
import { keyReferences, queueProblems } from '../queue-rules.ts';
import { synthesized } from '../synthesized.ts';

const ACCOUNT_ID = '444455556666';
const ORGANIZATION_ID = 'o-a1b2c3d4e5';

type Kind =
  | 'account'
  | 'organization'
  | 'bucket'
  | 'standard topic'
  | 'FIFO topic'
  | 'rule'
  | 'rule with a dead-letter queue';
type ProducerKey = 'none' | 'own' | 'the queue’s';
type KeyPlace = 'queues' | 'producers' | 'keys';

interface Combination {
  readonly kind: Kind;
  readonly isFifo: boolean;
  /** Whether the producer is in the queue's stack. */
  readonly isTogether: boolean;
  /** What the producer is encrypted with. */
  readonly producerKey: ProducerKey;
  /** The stack that the queue's key is in. */
  readonly keyPlace: KeyPlace;
  /** How many queues share the key and accept the producer. */
  readonly queueCount: number;
}

const kinds: readonly Kind[] = [
  'account',
  'organization',
  'bucket',
  'standard topic',
  'FIFO topic',
  'rule',
  'rule with a dead-letter queue',
];
const isEncrypted = (kind: Kind) => kind === 'bucket' || kind.endsWith('topic');
const isResource = (kind: Kind) => kind !== 'account' && kind !== 'organization';

const combinations: readonly Combination[] = kinds.flatMap((kind) =>
  (kind === 'bucket' || kind === 'standard topic' ? [false] : [false, true]).flatMap((isFifo) =>
    (isResource(kind) ? [true, false] : [true]).flatMap((isTogether) =>
      (isEncrypted(kind) ? (['none', 'own', 'the queue’s'] as const) : (['none'] as const)).flatMap((producerKey) =>
        (isTogether ? (['queues', 'keys'] as const) : (['queues', 'producers', 'keys'] as const))
          // Refused below: what is encrypted with a key of the queue's stack needs that, and the queue needs what sends.
          .filter((keyPlace) => isTogether || producerKey !== 'the queue’s' || keyPlace !== 'queues')
          .flatMap((keyPlace) =>
            [1, 2].map((queueCount) => ({ kind, isFifo, isTogether, producerKey, keyPlace, queueCount })),
          ),
      ),
    ),
  ),
);

/** How the combination is called in a failure. */
function called({ kind, isFifo, isTogether, producerKey, keyPlace, queueCount }: Combination): string {
  const where = isTogether ? 'the same stack' : 'another stack';
  const key = producerKey === 'none' ? '' : ` under ${producerKey} key`;
  return `${kind}${key} in ${where}, ${queueCount} ${isFifo ? 'FIFO' : 'standard'}, key in ${keyPlace}`;
}

function build(app: App, combination: Combination, name: string): void {
  const { kind, isFifo, isTogether, producerKey, keyPlace, queueCount } = combination;
  const stacks = new Map<string, Stack>();
  const stackOf = (place: string) => {
    const stack = stacks.get(place) ?? new Stack(app, `${name}-${place}`);
    stacks.set(place, stack);
    return stack;
  };
  const queueStack = stackOf('queues');
  const producerStack = isTogether ? queueStack : stackOf('producers');
  const encryptionKey = new kms.Key(stackOf(keyPlace), 'QueueKey', { enableKeyRotation: true });
  const ownKey = () => new kms.Key(producerStack, 'ProducerKey', { enableKeyRotation: true });
  const key = producerKey === 'none' ? undefined : producerKey === 'own' ? ownKey() : encryptionKey;
  const accept = producer(kind, producerStack, key);
  for (let index = 0; index < queueCount; index += 1) {
    const queue = new WorkQueue(queueStack, `Work${index}`, {
      queueName: `${name}-${index}`,
      encryptionKey,
      fifo: isFifo,
      contentBasedDeduplication: isFifo,
    });
    accept(queue, index);
  }
}

/** The producer, made, and how a queue accepts it. */
function producer(kind: Kind, stack: Stack, key: kms.IKey | undefined): (queue: WorkQueue, index: number) => void {
  switch (kind) {
    case 'account':
      return (queue) => queue.acceptFromAccount(ACCOUNT_ID);
    case 'organization':
      return (queue) => queue.acceptFromOrganization(ORGANIZATION_ID);
    case 'bucket': {
      const bucket = new s3.Bucket(stack, 'Bucket', key === undefined ? {} : { encryptionKey: key });
      // S3 sends an event to one destination: two queues share a bucket by prefix.
      return (queue, index) => queue.acceptFromBucket(bucket, { filters: [{ prefix: `${index}/` }] });
    }
    case 'standard topic':
    case 'FIFO topic': {
      const fifo = kind === 'FIFO topic';
      const topic = new sns.Topic(stack, 'Topic', { fifo, ...(key === undefined ? {} : { masterKey: key }) });
      return (queue) => void queue.acceptFromTopic(topic);
    }
    default: {
      const rule = ruleIn(stack);
      const deadLetterKey = new kms.Key(stack, 'DeadLetterKey', { enableKeyRotation: true });
      const deadLetterQueue = new sqs.Queue(stack, 'Undelivered', {
        queueName: `${stack.stackName}-undelivered`,
        encryptionMasterKey: deadLetterKey,
        enforceSSL: true,
      });
      const given = kind === 'rule' ? {} : { deadLetterQueue };
      return (queue) => queue.acceptFromRule(rule, { messageGroupId: 'events', ...given });
    }
  }
}

function ruleIn(stack: Stack): events.Rule {
  return new events.Rule(stack, 'Rule', { eventPattern: { source: ['shop'] } });
}

/** What the combination has to deliver: one for each queue, and one for each queue where its failures go. */
function deliveryCount({ kind, isFifo, queueCount }: Combination): number {
  if (!isResource(kind)) return 0;
  if (kind === 'bucket') return queueCount;
  const hasNowhereToFail = kind === 'rule' ? isFifo : kind === 'FIFO topic' && !isFifo;
  return queueCount * (hasNowhereToFail ? 1 : 2);
}

describe('a work queue and whoever it accepts', () => {
  const nameOf = (index: number) => `case${index}`;
  let app: ReturnType<typeof synthesized>;

  beforeAll(() => {
    app = synthesized((root) => {
      for (const [index, combination] of combinations.entries()) build(root, combination, nameOf(index));
    });
  });

  const templatesOf = (index: number) =>
    Object.fromEntries(Object.entries(app.templates).filter(([stack]) => stack.startsWith(`${nameOf(index)}-`)));

  test('come in every combination', () => {
    expect(combinations.length).toBeGreaterThan(150);
    expect(new Set(combinations.map(called)).size).toBe(combinations.length);
  });

  describe.each(combinations.map((combination, index) => ({ combination, index, name: called(combination) })))(
    '$name',
    ({ combination, index }) => {
      test('can be created, and everything that is sent is let in', () => {
        const templates = templatesOf(index);
        const model = queueModel(templates);
        expect(circlesIn(templates)).toEqual([]);
        expect(keyReferences(templates)).toEqual([]);
        expect(queueProblems(model)).toEqual([]);
        expect(model.deliveries).toHaveLength(deliveryCount(combination));

        const queues = model.queues.filter(({ properties }) => properties.RedrivePolicy !== undefined);
        expect(queues).toHaveLength(combination.queueCount);
        for (const queue of queues) {
          expect(takes(queue, requestsOfAccount(ACCOUNT_ID))).toBe(combination.kind === 'account');
          expect(takes(queue, requestsOfAccount('777788889999', ORGANIZATION_ID))).toBe(
            combination.kind === 'organization',
          );
          for (const request of strangers) expect(takes(queue, request)).toBe(false);
        }
      });
    },
  );
});

/** Sources that nothing accepts: of this account, and of another that asks through the same service. */
const strangers = [
  requestsOf({ service: 's3.amazonaws.com', sourceArn: 'arn:aws:s3:::stranger' }),
  requestsOf({ service: 'sns.amazonaws.com', sourceArn: 'arn:aws:sns:eu-central-1:111122223333:stranger' }),
  requestsOf({ service: 'events.amazonaws.com', sourceArn: 'arn:aws:events:eu-central-1:111122223333:rule/stranger' }),
  requestsOfAccount('777788889999', 'o-stranger000'),
];

interface Built {
  readonly app: App;
  readonly stack: Stack;
  readonly queue: WorkQueue;
}

/** A stack with one work queue, and what `use` does with it. */
function withQueue(props: Partial<WorkQueueProps>, use: (built: Built) => void): ReturnType<typeof synthesized> {
  return synthesized((app) => {
    const stack = new Stack(app, 'stack');
    const encryptionKey = new kms.Key(stack, 'Key', { enableKeyRotation: true });
    use({ app, stack, queue: new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey, ...props }) });
  });
}

const queueNamed = (app: ReturnType<typeof synthesized>, name: string): Queue =>
  queueModel(app.templates).queues.find(({ properties }) => properties.QueueName === name)!;

describe('a work queue that accepts all kinds at once', () => {
  let app: ReturnType<typeof synthesized>;
  beforeAll(() => {
    app = withQueue({}, ({ app, stack, queue }) => {
      const apart = new Stack(app, 'apart');
      for (const accountId of ['111111111111', '222222222222', '333333333333']) queue.acceptFromAccount(accountId);
      for (const organizationId of [ORGANIZATION_ID, 'o-b1b2c3d4e5']) queue.acceptFromOrganization(organizationId);
      for (const where of [stack, apart]) {
        for (const index of [0, 1, 2]) {
          queue.acceptFromBucket(new s3.Bucket(where, `Bucket${index}`));
          queue.acceptFromTopic(new sns.Topic(where, `Topic${index}`));
          queue.acceptFromRule(new events.Rule(where, `Rule${index}`, { eventPattern: { source: ['shop'] } }));
        }
      }
    });
  });

  test('stays within what SQS takes in one policy', () => {
    expect(queueProblems(queueModel(app.templates))).toEqual([]);
    const [statements] = queueNamed(app, 'work').policies;
    expect(statements).toHaveLength(6);
    // A rule has a target and its dead-letter queue, a subscription too, and a bucket a queue alone.
    expect(queueModel(app.templates).deliveries).toHaveLength(6 + 12 + 12);
  });

  test('lets a role of an accepted account encrypt through SQS, and not for itself', () => {
    const queue = queueNamed(app, 'work');
    const requests = requestsOfAccount('222222222222');
    expect(takes(queue, requests)).toBe(true);
    expect(
      takes(
        queue,
        requests.map((request) => ({ ...request, context: {} })),
      ),
    ).toBe(false);
  });

  test('lets in no service for an organization', () => {
    const [request] = requestsOf({ service: 'sqs.amazonaws.com', sourceArn: 'arn:aws:s3:::stranger' });
    const asOrganization = { ...request!, context: { ...request!.context, 'aws:PrincipalOrgID': ORGANIZATION_ID } };
    expect(takes(queueNamed(app, 'work'), [asOrganization])).toBe(false);
  });
});

describe('a dead-letter queue of a third stack', () => {
  test('lets in what a rule could not deliver, and its key does', () => {
    const app = withQueue({ fifo: true, contentBasedDeduplication: true }, ({ app, queue }) => {
      const third = new Stack(app, 'third');
      const encryptionMasterKey = new kms.Key(third, 'Key');
      const deadLetterQueue = new sqs.Queue(third, 'Dead', {
        queueName: 'dead',
        encryptionMasterKey,
        enforceSSL: true,
      });
      queue.acceptFromRule(ruleIn(new Stack(app, 'apart')), { messageGroupId: 'shop', deadLetterQueue });
    });
    const model = queueModel(app.templates);
    expect(queueProblems(model)).toEqual([]);
    expect(model.deliveries.map(({ queueArn }) => queueArn.split(':').at(-1))).toEqual(['work.fifo', 'dead']);
  });
});

describe('a bucket of another stack', () => {
  test('has one resource for its notifications in a stack with two queues', () => {
    const { resources } = synthesized((app) => {
      const bucket = new s3.Bucket(new Stack(app, 'apart'), 'Bucket');
      const stack = new Stack(app, 'stack');
      const encryptionKey = new kms.Key(stack, 'Key');
      for (const name of ['one', 'two']) {
        const queue = new WorkQueue(stack, name, { queueName: name, encryptionKey });
        queue.acceptFromBucket(bucket, { filters: [{ prefix: name }] });
      }
    });
    const notifications = resources.filter(({ type }) => type === 'Custom::S3BucketNotifications');
    expect(notifications.map(({ stack }) => stack)).toEqual(['stack']);
  });
});

describe('two notifications of a bucket', () => {
  const { OBJECT_CREATED, OBJECT_CREATED_PUT, OBJECT_REMOVED } = s3.EventType;
  const build = (one: BucketProducerOptions, other: BucketProducerOptions) => () =>
    synthesized((app) => {
      const stack = new Stack(app, 'stack');
      const encryptionKey = new kms.Key(stack, 'Key');
      const bucket = new s3.Bucket(new Stack(app, 'apart'), 'Bucket');
      new WorkQueue(stack, 'One', { queueName: 'one', encryptionKey }).acceptFromBucket(bucket, one);
      new WorkQueue(stack, 'Other', { queueName: 'other', encryptionKey }).acceptFromBucket(bucket, other);
    });

  test.each<[BucketProducerOptions, BucketProducerOptions]>([
    [{}, {}],
    [{ events: [OBJECT_CREATED] }, { events: [OBJECT_REMOVED, OBJECT_CREATED_PUT] }],
    [{ filters: [{ prefix: 'a/' }] }, { filters: [{ prefix: 'a/b/' }] }],
    [{ filters: [{ prefix: 'a/' }] }, { filters: [{ suffix: '.csv' }] }],
    [{ filters: [{ suffix: '.gz' }] }, { filters: [{ prefix: 'a/', suffix: '.csv.gz' }] }],
  ])('for %j and %j are refused, since S3 would refuse all', (one, other) => {
    expect(build(one, other)).toThrow(
      'stack/Other: bucket is apart/Bucket; allowed: filters that tell the objects apart, since s3:ObjectCreated:* of some of them goes to stack/One already',
    );
  });

  test.each<[BucketProducerOptions, BucketProducerOptions]>([
    [{ events: [OBJECT_CREATED] }, { events: [OBJECT_REMOVED] }],
    [{ filters: [{ prefix: 'a/' }] }, { filters: [{ prefix: 'b/' }] }],
    [{ filters: [{ prefix: 'a/', suffix: '.csv' }] }, { filters: [{ prefix: 'a/', suffix: '.gz' }] }],
  ])('for %j and %j stand side by side', (one, other) => {
    expect(build(one, other)).not.toThrow();
  });
});

describe('what a producer delivers', () => {
  test('is the message as it was published, by default', () => {
    const { resources } = withQueue({}, ({ stack, queue }) => {
      queue.acceptFromTopic(new sns.Topic(stack, 'Raw'));
      queue.acceptFromTopic(new sns.Topic(stack, 'Wrapped'), { rawMessageDelivery: false });
    });
    const subscriptions = resources.filter(({ type }) => type === 'AWS::SNS::Subscription');
    expect(subscriptions.map(({ properties }) => properties.RawMessageDelivery)).toEqual([true, false]);
  });

  test('waits for the access policy', () => {
    const { templates } = withQueue({}, ({ stack, queue }) => {
      queue.acceptFromTopic(new sns.Topic(stack, 'Topic'));
      queue.acceptFromBucket(new s3.Bucket(stack, 'Bucket'));
    });
    const waiting = Object.values(templates.stack!.Resources).filter(({ Type }) =>
      ['AWS::SNS::Subscription', 'Custom::S3BucketNotifications'].includes(Type),
    );
    expect(waiting).toHaveLength(2);
    for (const { DependsOn } of waiting) expect(DependsOn).toContainEqual(expect.stringMatching(/^WorkQueuePolicy/));
  });

  test('carries the rule’s message group, retries and body', () => {
    const { resources } = withQueue({ fifo: true, contentBasedDeduplication: true }, ({ stack, queue }) => {
      queue.acceptFromRule(ruleIn(stack), {
        messageGroupId: 'shop',
        message: events.RuleTargetInput.fromEventPath('$.detail'),
        maxEventAge: Duration.hours(2),
        retryAttempts: 3,
      });
    });
    expect(resources.find(({ type }) => type === 'AWS::Events::Rule')!.properties.Targets).toMatchObject([
      {
        SqsParameters: { MessageGroupId: 'shop' },
        InputPath: '$.detail',
        RetryPolicy: { MaximumEventAgeInSeconds: 7200, MaximumRetryAttempts: 3 },
      },
    ]);
  });
});

describe('a work queue refuses', () => {
  const fifo = { fifo: true, contentBasedDeduplication: true };
  const inRegion = (app: App, region: string, account = '111122223333') =>
    new Stack(app, 'there', { env: { region, account } });

  test.each<[string, Partial<WorkQueueProps>, (built: Built) => void, string]>([
    ...['123', '1234567890123', 'o-a1b2c3d4e5', ''].map((id): [string, object, (built: Built) => void, string] => [
      `account ${JSON.stringify(id)}`,
      {},
      ({ queue }) => queue.acceptFromAccount(id),
      `stack/Work/Queue: accountId is ${JSON.stringify(id)}; allowed: 12 digits, such as 111122223333`,
    ]),
    ...['444455556666', 'o-short', 'o-A1B2C3D4E5', 'ou-a1b2c3d4e5', '*'].map(
      (id): [string, object, (built: Built) => void, string] => [
        `organization ${JSON.stringify(id)}`,
        {},
        ({ queue }) => queue.acceptFromOrganization(id),
        `stack/Work/Queue: organizationId is ${JSON.stringify(id)}; allowed: o- and 10 to 32 lower-case letters and digits`,
      ],
    ),
    [
      'a bucket on a FIFO queue',
      fifo,
      ({ stack, queue }) => queue.acceptFromBucket(new s3.Bucket(stack, 'Bucket')),
      'stack/Work: bucket is stack/Bucket; allowed: no bucket, because S3 sends to no FIFO queue',
    ],
    [
      'a standard topic on a FIFO queue',
      fifo,
      ({ stack, queue }) => void queue.acceptFromTopic(new sns.Topic(stack, 'Topic')),
      'stack/Work: topic is stack/Topic; allowed: a FIFO topic, because the queue is FIFO',
    ],
    [
      'a rule without a message group on a FIFO queue',
      fifo,
      ({ stack, queue }) => queue.acceptFromRule(ruleIn(stack)),
      'stack/Work: messageGroupId is missing; allowed: 1 to 128 characters, because a FIFO queue',
    ],
    ...(['bucket', 'topic'] as const).map((kind): [string, object, (built: Built) => void, string] => [
      `a ${kind} of another stack under the key of the queue’s stack`,
      {},
      ({ app, queue }) => {
        const apart = new Stack(app, 'apart');
        const key = queue.queue.encryptionMasterKey!;
        if (kind === 'bucket') queue.acceptFromBucket(new s3.Bucket(apart, 'Source', { encryptionKey: key }));
        else queue.acceptFromTopic(new sns.Topic(apart, 'Source', { masterKey: key }));
      },
      `stack/Work: ${kind} is apart/Source; allowed: one with a key of its own, or the stacks apart and stack need each other`,
    ]),
    [
      'a message group that is too long',
      fifo,
      ({ stack, queue }) => queue.acceptFromRule(ruleIn(stack), { messageGroupId: 'g'.repeat(129) }),
      'stack/Work: messageGroupId has 129 characters; allowed: 1 to 128',
    ],
    [
      'a rule on a FIFO queue whose messages would have no deduplication id',
      { fifo: true },
      ({ stack, queue }) => queue.acceptFromRule(ruleIn(stack), { messageGroupId: 'group' }),
      'stack/Work: contentBasedDeduplication is false; allowed: true for a FIFO queue that a rule sends to',
    ],
    [
      'a FIFO dead-letter queue for a rule',
      {},
      ({ stack, queue }) =>
        queue.acceptFromRule(ruleIn(stack), { deadLetterQueue: new sqs.Queue(stack, 'Dead', { fifo: true }) }),
      'stack/Work: deadLetterQueue is stack/Dead; allowed: a standard queue, because EventBridge',
    ],
    [
      'a standard dead-letter queue for a FIFO topic',
      fifo,
      ({ stack, queue }) =>
        void queue.acceptFromTopic(new sns.Topic(stack, 'Topic', { fifo: true }), {
          deadLetterQueue: new sqs.Queue(stack, 'Dead'),
        }),
      'stack/Work: deadLetterQueue is stack/Dead; allowed: a FIFO queue, because the topic is FIFO',
    ],
    [
      'a dead-letter queue whose key AWS manages',
      {},
      ({ stack, queue }) =>
        queue.acceptFromRule(ruleIn(stack), {
          deadLetterQueue: new sqs.Queue(stack, 'Dead', { encryption: sqs.QueueEncryption.KMS_MANAGED }),
        }),
      'stack/Dead: encryptionMasterKey is the key that AWS manages, whose policy lets in no events.amazonaws.com',
    ],
    [
      'a dead-letter queue without a name in a third stack',
      {},
      ({ app, stack, queue }) =>
        queue.acceptFromRule(ruleIn(stack), { deadLetterQueue: new sqs.Queue(new Stack(app, 'third'), 'Dead') }),
      "stack/Work: deadLetterQueue is third/Dead; allowed: a queue of the rule's stack, stack, or one with a fixed name",
    ],
    [
      'an imported dead-letter queue, whose policy is elsewhere',
      {},
      ({ stack, queue }) =>
        queue.acceptFromRule(ruleIn(stack), {
          deadLetterQueue: sqs.Queue.fromQueueArn(stack, 'Dead', 'arn:aws:sqs:eu-central-1:111122223333:dead'),
        }),
      'stack/Dead: the queue was imported, so its access policy cannot be written; allowed: a queue of this app',
    ],
    [
      'events older than EventBridge keeps them',
      {},
      ({ stack, queue }) => queue.acceptFromRule(ruleIn(stack), { maxEventAge: Duration.hours(25) }),
      'stack/Work: maxEventAge is 90000 s; allowed: 60 to 86400 s',
    ],
    [
      'more attempts than EventBridge makes',
      {},
      ({ stack, queue }) => queue.acceptFromRule(ruleIn(stack), { retryAttempts: 186 }),
      'stack/Work: retryAttempts is 186; allowed: a whole number, 0 to 185',
    ],
    [
      'the same rule twice',
      {},
      ({ stack, queue }) => {
        const rule = ruleIn(stack);
        queue.acceptFromRule(rule);
        queue.acceptFromRule(rule);
      },
      'stack/Work: rule is stack/Rule; allowed: each rule once',
    ],
    [
      'the same topic twice',
      {},
      ({ stack, queue }) => {
        const topic = new sns.Topic(stack, 'Topic');
        queue.acceptFromTopic(topic);
        queue.acceptFromTopic(topic);
      },
      'stack/Work: topic is stack/Topic; allowed: each topic once',
    ],
    [
      'more producers than an access policy holds',
      {},
      ({ queue }) => {
        for (let index = 0; index < 41; index += 1) queue.acceptFromAccount(String(100_000_000_000 + index));
      },
      'stack/Work/Queue: 41 producers are accepted; allowed: at most 40',
    ],
    [
      'buckets of more accounts than an access policy has conditions for',
      {},
      ({ stack, queue }) => {
        for (let index = 0; index < 5; index += 1) {
          const account = String(100_000_000_000 + index);
          const bucketArn = `arn:aws:s3:::bucket-${index}`;
          queue.acceptFromBucket(s3.Bucket.fromBucketAttributes(stack, `Bucket${index}`, { bucketArn, account }));
        }
      },
      'stack/Work/Queue: the access policy has 11 conditions; allowed: at most 10',
    ],
  ])('%s', (_, props, use, message) => {
    expect(() => withQueue(props, use)).toThrow(message);
  });

  test('a producer that its imported key cannot let in', () => {
    const build = () =>
      synthesized((app) => {
        const stack = new Stack(app, 'stack');
        const keyArn = 'arn:aws:kms:eu-central-1:111122223333:key/1';
        const encryptionKey = kms.Key.fromKeyArn(stack, 'Key', keyArn);
        new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey }).acceptFromAccount(ACCOUNT_ID);
      });
    expect(build).toThrow(
      `stack/Work/Queue: encryptionKey is stack/Key, which was imported, so its policy cannot let in account ${ACCOUNT_ID}; allowed: a key of this app`,
    );
  });

  test.each<[string, (app: App, queue: WorkQueue) => void, string]>([
    [
      'a bucket of another region',
      (app, queue) => queue.acceptFromBucket(new s3.Bucket(inRegion(app, 'eu-west-1'), 'Bucket')),
      'here/Work: bucket is there/Bucket; allowed: one in the region of the queue, eu-central-1; it is in eu-west-1',
    ],
    [
      'a rule of another account',
      (app, queue) => queue.acceptFromRule(ruleIn(inRegion(app, 'eu-central-1', '999988887777'))),
      'here/Work: rule is there/Rule; allowed: one in the account of the queue, 111122223333; it is in 999988887777',
    ],
  ])('%s', (_, use, message) => {
    const build = () =>
      synthesized((app) => {
        const here = new Stack(app, 'here', { env: { region: 'eu-central-1', account: '111122223333' } });
        use(app, new WorkQueue(here, 'Work', { queueName: 'work', encryptionKey: new kms.Key(here, 'Key') }));
      });
    expect(build).toThrow(message);
  });
});

describe('a producer under the queue’s own key', () => {
  test('is warned of, because who reads the queue can read it too', async () => {
    const options = { outdir: await temporaryFolder(), autoSynth: false, builtinCloudFormationValidation: false };
    const stack = new Stack(new App(options), 'stack');
    const encryptionKey = new kms.Key(stack, 'Key');
    const queue = new WorkQueue(stack, 'Work', { queueName: 'work', encryptionKey });
    queue.acceptFromTopic(new sns.Topic(stack, 'Shared', { masterKey: encryptionKey }));
    queue.acceptFromTopic(new sns.Topic(stack, 'Apart', { masterKey: new kms.Key(stack, 'TopicKey') }));
    const warnings = Annotations.fromStack(stack).findWarning('*', Match.stringLikeRegexp('encrypted with the key of'));
    expect(warnings.map(({ id, entry }) => [id, entry.data])).toEqual([
      ['/stack/Work', expect.stringContaining('stack/Shared is encrypted with the key of stack/Work')],
    ]);
  });
});
