/** A server that speaks SQS, at an endpoint; its queues are deleted when the case is over. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateQueueCommand, DeleteQueueCommand, ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { credentialsFrom } from '../../local/credentials.ts';
import { GROUP_SEARCH_MAX, IN_FLIGHT_MAX } from '../simulation/sqs-attributes.ts';
import { check } from './expectations.ts';
import type { Target } from './target.ts';

/** Longer than a long poll. */
const CALL_DEADLINE_MS = 40_000;
const CONNECT_DEADLINE_MS = 5_000;
/** The cases run at once, and each may have a few long polls. */
const SOCKETS_MAX = 500;

export interface Endpoint {
  readonly url: string;
  readonly region: string;
}

/** @throws Error in one sentence when no SQS server answers there. */
export async function openClient({ url, region }: Endpoint): Promise<SQSClient> {
  const { provider } = credentialsFrom(process.env);
  const client = new SQSClient({
    endpoint: url,
    region,
    ...(provider === undefined ? {} : { credentials: provider }),
    requestHandler: {
      connectionTimeout: CONNECT_DEADLINE_MS,
      requestTimeout: CALL_DEADLINE_MS,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
    },
  });
  try {
    await client.send(new ListQueuesCommand({ MaxResults: 1 }));
    return client;
  } catch (error) {
    client.destroy();
    const reason = error instanceof Error ? error.message || error.name : String(error);
    throw new Error(`cannot reach an SQS server at ${url} (${reason}). Start it, or name another endpoint.`, {
      cause: error,
    });
  }
}

export class ServerTarget implements Target {
  readonly kind = 'server';
  readonly limits = { inFlightMax: IN_FLIGHT_MAX, groupSearchMax: GROUP_SEARCH_MAX };
  readonly client: SQSClient;
  readonly #urls: string[] = [];

  constructor(client: SQSClient) {
    this.client = client;
  }

  async createQueue(attributes: Readonly<Record<string, string>>): Promise<string> {
    const suffix = attributes.FifoQueue === 'true' ? '.fifo' : '';
    const { QueueUrl: url } = await this.client.send(
      new CreateQueueCommand({ QueueName: `conformance-${randomUUID()}${suffix}`, Attributes: { ...attributes } }),
    );
    check(url !== undefined, 'a queue is made without a URL');
    this.#urls.push(url);
    return url;
  }

  pass(ms: number): Promise<void> {
    return sleep(ms);
  }

  async close(): Promise<void> {
    await Promise.all(this.#urls.map((url) => this.client.send(new DeleteQueueCommand({ QueueUrl: url }))));
  }
}
