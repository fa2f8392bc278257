import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { RECEIVES_MIN, VISIBILITY_TIMEOUT_MIN_SECONDS } from '../../../lib/constructs/queue-limits.ts';
import { portOf } from '../../../local/machine/ports.ts';
import { isAccessDenied } from '../../../workers/runtime/access-denied.ts';
import { checkFacts, type SqsOperation, SqsQueue } from '../../../workers/runtime/queue-client.ts';
import { setEnvironment } from '../../environment.ts';
import { afterwards, eventually } from '../../local/machine/machine.ts';

interface Asked {
  readonly action: string;
  readonly body: Record<string, unknown>;
}

/** An SQS that answers each request as it is told. */
async function scriptedSqs(answer: (asked: Asked) => { status?: number; body: object } | 'never', suffix = '') {
  const asked: Asked[] = [];
  const counted: SqsOperation[] = [];
  const ended: SqsOperation[] = [];
  const denied: string[] = [];
  const damaged: unknown[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => {
      text += part;
    });
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).split('.').at(-1)!;
      asked.push({ action, body: JSON.parse(text) as Record<string, unknown> });
      const answered = answer(asked.at(-1)!);
      if (answered === 'never') return;
      response.writeHead(answered.status ?? 200, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(JSON.stringify(answered.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = portOf(server);
  setEnvironment({
    AWS_ENDPOINT_URL_SQS: `http://127.0.0.1:${port}`,
    AWS_ACCESS_KEY_ID: 'none',
    AWS_SECRET_ACCESS_KEY: 'none',
  });
  const queue = new SqsQueue({
    queueUrl: `http://127.0.0.1:${port}/000000000000/work${suffix}`,
    deadLetterQueueUrl: `http://127.0.0.1:${port}/000000000000/work-dlq${suffix}`,
    region: 'eu-central-1',
    onDamaged: (error) => damaged.push(error),
    onRequest: (operation) => {
      counted.push(operation);
      return (error) => {
        ended.push(operation);
        if (isAccessDenied(error)) denied.push(operation);
      };
    },
  });
  afterwards(() => {
    queue.close();
    server.closeAllConnections();
    server.close();
  });
  return { queue, asked, counted, ended, denied, damaged };
}

/** The SDK checks what it sent and received by it. */
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

const letter = {
  body: 'work',
  attributes: {},
  traceHeader: undefined,
  messageGroupId: 'tenant',
  deduplicationId: 'id:rejected',
};

describe('the edge to SQS', () => {
  test('reads each entry’s result by its id: stale, to be tried again, or throttled and so to be tried again too', async () => {
    const { queue, asked } = await scriptedSqs(() => ({
      body: {
        Successful: [{ Id: '3' }],
        Failed: [
          { Id: '2', SenderFault: true, Code: 'ReceiptHandleIsInvalid' },
          { Id: '0', SenderFault: false, Code: 'InternalError' },
          { Id: '1', SenderFault: true, Code: 'KMS.ThrottlingException' },
        ],
      },
    }));
    const results = ['failed', 'failed', 'gone', 'done'];
    const handles = ['a', 'a', 'b', 'c'];
    expect(await queue.deleteBatch(handles)).toEqual(results);
    const changes = handles.map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds: 0 }));
    expect(await queue.changeVisibilityBatch(changes)).toEqual(results);
    expect(asked[0]!.body.Entries).toEqual([
      { Id: '0', ReceiptHandle: 'a' },
      { Id: '1', ReceiptHandle: 'a' },
      { Id: '2', ReceiptHandle: 'b' },
      { Id: '3', ReceiptHandle: 'c' },
    ]);
  });

  test('tells a lease that may last no longer from one that is lost: they have the same code', async () => {
    const { queue } = await scriptedSqs(() => ({
      body: {
        Successful: [],
        Failed: [
          {
            Id: '0',
            SenderFault: true,
            Code: 'InvalidParameterValue',
            Message:
              'Value 900 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].',
          },
          { Id: '1', SenderFault: true, Code: 'InvalidParameterValue', Message: 'The receipt handle has expired.' },
        ],
      },
    }));
    const changes = ['a', 'b'].map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds: 900 }));
    expect(await queue.changeVisibilityBatch(changes)).toEqual(['refused', 'gone']);
  });

  test('asks for ten messages and 20 s, and reads what the runtime needs', async () => {
    const { queue, asked } = await scriptedSqs(() => ({
      body: {
        Messages: [
          {
            MessageId: 'm1',
            ReceiptHandle: 'h1',
            Body: 'work',
            MD5OfBody: md5('work'),
            Attributes: {
              ApproximateReceiveCount: '3',
              SentTimestamp: '1234',
              MessageGroupId: 'customer',
              SequenceNumber: '18849496460467696128',
              AWSTraceHeader: 'Root=1-a',
            },
          },
        ],
      },
    }));
    expect(await queue.receive(new AbortController().signal)).toEqual([
      {
        messageId: 'm1',
        receiptHandle: 'h1',
        body: 'work',
        receiveCount: 3,
        messageGroupId: 'customer',
        sequenceNumber: '18849496460467696128',
        sentTimestampMs: 1234,
        attributes: {},
        traceHeader: 'Root=1-a',
      },
    ]);
    expect(asked[0]!.body).toMatchObject({
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: 20,
      MessageSystemAttributeNames: [
        'ApproximateReceiveCount',
        'SentTimestamp',
        'MessageGroupId',
        'SequenceNumber',
        'AWSTraceHeader',
      ],
    });
  });

  const message = (id: string, group: string, body = 'work') => ({
    MessageId: id,
    ReceiptHandle: `h-${id}`,
    Body: body,
    MD5OfBody: md5('work'),
    Attributes: { MessageGroupId: group },
  });
  const idsOf = async (queue: SqsQueue) =>
    (await queue.receive(new AbortController().signal)).map(({ messageId }) => messageId);

  test('leaves a body that is not what was sent to come again, and takes the others', async () => {
    const messages = [message('m1', 'a', 'wo?k'), message('m2', 'a'), message('m3', 'b')];
    const { queue, damaged } = await scriptedSqs(() => ({ body: { Messages: messages } }));
    expect(await idsOf(queue)).toEqual(['m2', 'm3']);
    expect(damaged).toEqual([expect.objectContaining({ message: expect.stringMatching(/m1 .*another body/) })]);
  });

  test('leaves what stands behind it in its group to come again too, on a FIFO queue', async () => {
    const messages = [message('m1', 'a'), message('m2', 'a', 'wo?k'), message('m3', 'a'), message('m4', 'b')];
    const { queue } = await scriptedSqs(() => ({ body: { Messages: messages } }), '.fifo');
    expect(await idsOf(queue)).toEqual(['m1', 'm4']);
  });

  test('fails a receive of damaged bodies alone, and believes no copy that is not what was sent', async () => {
    const { queue } = await scriptedSqs(({ action }) => ({
      body:
        action === 'SendMessage'
          ? { MessageId: 'd1', MD5OfMessageBody: md5('wo?k') }
          : { Messages: [message('m2', 'a', 'wo?k')] },
    }));
    await expect(queue.receive(new AbortController().signal)).rejects.toThrow(/m2 .*another body/);
    await expect(queue.sendDeadLetter(letter)).rejects.toThrow(/d1 .*another body/);
  });

  test('lets go of a poll that is aborted', async () => {
    const { queue } = await scriptedSqs(() => 'never');
    const abort = new AbortController();
    const poll = queue.receive(abort.signal);
    abort.abort();
    await expect(poll).rejects.toThrow('abort');
  });

  test('leaves retrying to the runtime: one request that fails is one request', async () => {
    const fails = () => ({ status: 500, body: { __type: 'InternalError' } });
    const { queue, asked, counted, ended } = await scriptedSqs(fails);
    await expect(queue.deleteBatch(['a'])).rejects.toThrow();
    expect([asked.length, counted, ended]).toEqual([1, ['delete'], ['delete']]);
  });

  test.each(['com.amazonaws.sqs#KmsAccessDenied', 'com.amazonaws.sqs#KmsDisabled', 'AccessDeniedException'])(
    'tells with what error a request ended, and %s as a right that is missing',
    async (type) => {
      const refuses = () => ({ status: 400, body: { __type: type, message: 'not allowed' } });
      const { queue, denied } = await scriptedSqs(refuses);
      await expect(queue.receive(new AbortController().signal)).rejects.toThrow('not allowed');
      expect(denied).toEqual(['receive']);
    },
  );

  test('gives a poll longer than SQS may wait for messages, and everything else less than a lease', () => {
    const deadlines: number[] = [];
    new SqsQueue({
      queueUrl: 'http://127.0.0.1/work',
      deadLetterQueueUrl: 'http://127.0.0.1/work-dlq',
      region: 'eu-central-1',
      onRequest: () => () => {},
      onDamaged: () => {},
      openClient: (deadlineMs) => {
        deadlines.push(deadlineMs);
        return { send: () => Promise.resolve({}), destroy: () => {} };
      },
    });
    expect(deadlines).toEqual([26_000, 10_000]);
  });

  test('settles although more polls wait than there are sockets for them', async () => {
    const isPoll = ({ action }: Asked) => action === 'ReceiveMessage';
    const { queue, asked } = await scriptedSqs((one) => (isPoll(one) ? 'never' : { body: { Successful: [] } }));
    const abort = new AbortController();
    const polls = Array.from({ length: 40 }, () => queue.receive(abort.signal).catch(() => {}));
    await eventually('as many polls as there are sockets', () => asked.filter(isPoll).length === 32);
    expect(await queue.deleteBatch(['a'])).toEqual(['done']);
    abort.abort();
    await Promise.all(polls);
  });

  test('gives a dead letter its group if it has one, and its deduplication id on a FIFO queue alone', async () => {
    const standard = await scriptedSqs(() => ({ body: { MessageId: 'd1', MD5OfMessageBody: md5('work') } }));
    await standard.queue.sendDeadLetter(letter);
    expect(standard.asked[0]!.body).toEqual({
      QueueUrl: expect.stringMatching(/work-dlq$/),
      MessageBody: 'work',
      MessageAttributes: {},
      MessageGroupId: 'tenant',
    });
    await standard.queue.sendDeadLetter({ ...letter, messageGroupId: undefined });
    expect(standard.asked[1]!.body).not.toHaveProperty('MessageGroupId');
    const fifo = await scriptedSqs(() => ({ body: { MessageId: 'd1', MD5OfMessageBody: md5('work') } }), '.fifo');
    await fifo.queue.sendDeadLetter(letter);
    expect(fifo.asked[0]!.body).toMatchObject({ MessageGroupId: 'tenant', MessageDeduplicationId: 'id:rejected' });
  });

  test('gives a dead letter the trace that its message was part of', async () => {
    const { queue, asked } = await scriptedSqs(() => ({ body: { MessageId: 'd1', MD5OfMessageBody: md5('work') } }));
    await queue.sendDeadLetter({ ...letter, traceHeader: 'Root=1-a' });
    expect(asked[0]!.body).toMatchObject({
      MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-a' } },
    });
  });

  test('knows what the queue is', async () => {
    const attributes = {
      VisibilityTimeout: '120',
      FifoQueue: 'true',
      RedrivePolicy: '{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:dlq.fifo","maxReceiveCount":"5"}',
      MaximumMessageSize: '262144',
      CreatedTimestamp: '1700000000',
    };
    const { queue } = await scriptedSqs(() => ({ body: { Attributes: attributes } }));
    expect(await queue.describe()).toEqual({
      visibilityTimeoutSeconds: 120,
      fifo: true,
      maxReceiveCount: 5,
      messageBytesMax: 262_144,
      createdTimestamp: '1700000000',
    });
  });

  test('takes maxReceiveCount as a number too, and knows a queue without a dead-letter queue', async () => {
    const answers = [{ VisibilityTimeout: '60', RedrivePolicy: '{"maxReceiveCount":3}' }, { VisibilityTimeout: '60' }];
    const { queue } = await scriptedSqs(() => ({ body: { Attributes: answers.shift()! } }));
    expect(await queue.describe()).toMatchObject({ maxReceiveCount: 3, fifo: false });
    expect(await queue.describe()).toMatchObject({ maxReceiveCount: undefined, messageBytesMax: 1_048_576 });
  });
});

describe('a queue that a worker refuses', () => {
  const facts = {
    visibilityTimeoutSeconds: 60,
    fifo: false,
    maxReceiveCount: 5,
    messageBytesMax: 1_048_576,
    createdTimestamp: '1700000000',
  };

  test('has less than 60 s of visibility, or nowhere to put what fails', () => {
    expect(() => checkFacts(facts, 'work')).not.toThrow();
    expect(() => checkFacts({ ...facts, visibilityTimeoutSeconds: 59 }, 'work')).toThrow('work is 59 s; at least 60 s');
    expect(() => checkFacts({ ...facts, visibilityTimeoutSeconds: Number.NaN }, 'work')).toThrow('at least 60 s');
    expect(() => checkFacts({ ...facts, maxReceiveCount: undefined }, 'work')).toThrow('work has no dead-letter queue');
  });

  test('moves messages away after three receives, before those beside a suspect have come again', () => {
    expect(() => checkFacts({ ...facts, maxReceiveCount: 3 }, 'work')).toThrow(
      'cannot start: the maxReceiveCount of work is 3; at least 4 are needed',
    );
  });

  test('has less than the template allows', () => {
    const least = { visibilityTimeoutSeconds: VISIBILITY_TIMEOUT_MIN_SECONDS, maxReceiveCount: RECEIVES_MIN };
    expect(() => checkFacts({ ...facts, ...least }, 'work')).not.toThrow();
  });
});
