/** Where there are no queues to send to, a person is told why in one sentence. */
import { expect, test } from '@jest/globals';
import { urlOf } from '../../local/send-destination.ts';
import { createProducerClient } from '../../producer/send-orders.ts';
import { afterwards } from './machine/machine.ts';
import { startWebServer } from './web-server.ts';

test('an HTTP server that is not SQS is called so', async () => {
  const endpoint = await startWebServer(200, '<h1>Welcome</h1>');
  const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
  const client = createProducerClient({ endpoint, region: 'us-east-1', credentials });
  afterwards(() => client.destroy());
  const destination = { client, stage: 'dev', journal: undefined };
  await expect(urlOf(destination, 'orders', new AbortController().signal)).rejects.toThrow(
    /^cannot find the queue orders \(what answers is not an SQS server, HTTP status 200\)\. Name one in AWS_ENDPOINT_URL, or unset it to send to AWS\.$/,
  );
});
