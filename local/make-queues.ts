/** Makes the queues of the template on the SQS server, and tells what an earlier send left in them. */
import { queueUrl, type Servers, type System } from './assembly/system.ts';
import { numberOf } from './screen.ts';
import type { SqsControl } from './sqs-control.ts';

/** @param onEvent told of messages that are there already: they are worked off with this run's, and may come before them. */
export async function makeQueues(
  { queues }: System,
  servers: Servers,
  control: SqsControl,
  onEvent: (event: string) => void,
): Promise<void> {
  for (const queue of queues) await control.createQueue(queue);
  for (const { name, deadLetterQueueName } of queues) {
    if (deadLetterQueueName === undefined) continue;
    const { visible, inFlight, delayed } = await control.depth(queueUrl(servers, name));
    const left = visible + inFlight + delayed;
    if (left > 0) onEvent(`${name} holds ${numberOf(left, 'message')} of an earlier send, to be worked off too`);
  }
}
