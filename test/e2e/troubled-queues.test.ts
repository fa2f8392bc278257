/** A server of queues that fails now and then, and a queue with what no worker can read yet: a run ends, or says why not. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { describe, expect, test } from '@jest/globals';
import { EMBEDDED_ACCOUNT_ID } from '../../local/servers.ts';
import { ORDER_SCHEMA, ORDER_VERSION } from '../../workers/messages/order.ts';
import { startFaultyProxy } from '../faults/faulty-sqs.ts';
import { afterwards, eventually, temporaryFolder } from '../local/machine/machine.ts';
import { messyFile } from './messy-file.ts';
import { serversForTests } from './own-servers.ts';
import { Sluice, synthesizedBefore } from './sluice.ts';

const RUN_MS_MAX = 120_000;
/** A message whose delete fails five times comes back after the visibility timeout of a minute. */
const FAULTY_RUN_MS_MAX = 170_000;

const servers = serversForTests();

describe('an SQS server that fails one call in five, the look at its queues too', () => {
  test(
    'costs requests and nothing else',
    async () => {
      // The same numbers in every run, and no rhythm that could hit one kind of call again and again.
      let dice = 1;
      let fails = false;
      const proxy = await startFaultyProxy(Number(new URL(servers.AWS_ENDPOINT_URL).port), () => {
        dice = (dice * 48_271) % 2_147_483_647;
        return fails && dice % 5 === 0 ? 'answer 503' : 'pass';
      });
      afterwards(() => proxy.stop());
      const folder = await temporaryFolder();
      const input = join(folder, 'orders.csv');
      await writeFile(input, messyFile(500));
      const report = join(folder, 'report.json');
      const run = new Sluice(
        ['start', '--once', '--input', input, '--report', report, ...(await synthesizedBefore())],
        folder,
        {
          ...servers,
          AWS_ENDPOINT_URL: proxy.endpoint,
        },
      );
      await run.prints('Sending');
      fails = true;
      const { status, stdout, stderr } = await run.ended;
      expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining('exact ✓') });
      expect(JSON.parse(await readFile(report, 'utf8'))).toMatchObject({ exact: true, complete: true });
    },
    FAULTY_RUN_MS_MAX,
  );
});

describe('a message that a newer producer sent', () => {
  test(
    'keeps a run waiting, which says why and for how long, in lines of 80 columns',
    async () => {
      const folder = await temporaryFolder();
      const client = new SQSClient({
        endpoint: servers.AWS_ENDPOINT_URL,
        region: 'us-east-1',
        credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      });
      afterwards(() => client.destroy());
      const QueueUrl = `${servers.AWS_ENDPOINT_URL}/${EMBEDDED_ACCOUNT_ID}/sluice-dev-orders`;
      const MessageBody = JSON.stringify({ schema: ORDER_SCHEMA, version: ORDER_VERSION + 1, payload: {} });
      const run = new Sluice(['start', '--once', ...(await synthesizedBefore())], folder, servers);
      // The run makes the queue, and some time later its workers.
      await eventually('a queue to send to', () =>
        client.send(new SendMessageCommand({ QueueUrl, MessageBody })).then(
          () => true,
          () => false,
        ),
      );
      await run.prints('Sending');
      await run.prints(
        `  orders: 1 message waits to come again: version ${ORDER_VERSION + 1} is newer than this worker\n    (next in `,
      );
      run.signal('SIGINT');
      const { status, stdout } = await run.ended;
      expect({ status, stdout }).toEqual({ status: 130, stdout: expect.stringContaining('exact ✓') });
      // The folder of the logs is as long as it is.
      const lines = stdout.split('\n').filter((line) => !line.includes(folder));
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
    },
    RUN_MS_MAX,
  );
});
