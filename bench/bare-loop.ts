/**
 * The yardstick: `node bare-loop.ts RECEIVERS`, the least that takes messages from a queue and deletes them.
 *
 * Long polls without a pause, deletes apart from them in batches of ten, and a bound on what is not yet deleted. It asks
 * for the same attributes as the workers do; it has no leases, no retries, no deadlines and reads no body.
 */
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

const receivers = Number(process.argv[2]);
const QueueUrl = process.env.QUEUE_URL;
/** As many deletes under way as receives: a receive more waits until one is done. */
const deletesMax = receivers;
const ENTRIES_PER_DELETE = 10;

const requestHandler = { httpAgent: { keepAlive: true, maxSockets: receivers } };
const polls = new SQSClient({ maxAttempts: 1, requestHandler });
const calls = new SQSClient({ maxAttempts: 1, requestHandler });
const handles: string[] = [];
const deletes = new Set<Promise<unknown>>();

process.once('SIGTERM', () => process.exit());
await Promise.all(Array.from({ length: receivers }, receiveForEver));

async function receiveForEver(): Promise<never> {
  for (;;) {
    const { Messages = [] } = await polls.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        WaitTimeSeconds: 20,
        MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp', 'MessageGroupId', 'SequenceNumber'],
        MessageAttributeNames: ['All'],
      }),
    );
    for (const { ReceiptHandle } of Messages) handles.push(ReceiptHandle ?? '');
    while (handles.length >= ENTRIES_PER_DELETE) {
      while (deletes.size >= deletesMax) await Promise.race(deletes);
      deleteTen();
    }
  }
}

function deleteTen(): void {
  const Entries = handles
    .splice(0, ENTRIES_PER_DELETE)
    .map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
  const deleting = calls
    .send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
    .finally(() => deletes.delete(deleting));
  deletes.add(deleting);
}
