/** The queues of an assembly, made on an embedded SQS server, and what that holds of them then. */
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { AssemblyStack } from '../../../local/assembly/assembly.ts';
import { queueUrl, readSystem, type Servers, type SystemQueue } from '../../../local/assembly/system.ts';
import { startEmbeddedSqs } from '../../../local/machine/embedded-sqs.ts';
import { SqsControl } from '../../../local/sqs-control.ts';
import { afterwards, makeRun } from '../machine/machine.ts';

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

/** Where nothing listens: enough to read an assembly with. */
export const servers: Servers = {
  accountId: '000000000000',
  region: 'us-east-1',
  sqsEndpoint: 'http://127.0.0.1:9324',
  databaseHost: '127.0.0.1',
  databasePort: 54_321,
};

export interface MadeQueue extends SystemQueue {
  /** What the server says of those attributes that the template has. */
  readonly held: Readonly<Record<string, string>>;
}

export async function madeQueues(stacks: readonly AssemblyStack[]): Promise<MadeQueue[]> {
  const sqs = await startEmbeddedSqs({ run: await makeRun() });
  afterwards(() => sqs.stop());
  const here = { ...servers, sqsEndpoint: sqs.endpoint };
  const control = new SqsControl(sqs.endpoint, here.region, { provider: credentials, environment: {} });
  const client = new SQSClient({ endpoint: sqs.endpoint, region: here.region, credentials });
  afterwards(() => {
    control.close();
    client.destroy();
  });
  const { queues } = readSystem(stacks, here);
  for (const queue of queues) await control.createQueue(queue);
  const made: MadeQueue[] = [];
  for (const queue of queues) {
    const QueueUrl = queueUrl(here, queue.name);
    const { Attributes = {} } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
    const held = Object.entries(Attributes).filter(([attribute]) => attribute in queue.attributes);
    made.push({ ...queue, held: Object.fromEntries(held) });
  }
  return made;
}
