/** The SQS client of the producer, and the one thing that sending asks of it. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import {
  SendMessageBatchCommand,
  type SendMessageBatchCommandInput,
  type SendMessageBatchResult,
  SQSClient,
  type SQSClientConfig,
} from '@aws-sdk/client-sqs';
import { namesSqsEndpoint } from '../workers/runtime/named-endpoint.ts';
import { SEND_LIMITS } from './send-limits.ts';

/** Sends one batch, once: whoever calls it retries. */
export type SendBatch = (input: SendMessageBatchCommandInput) => Promise<SendMessageBatchResult>;

export interface Deadlines {
  /** From the request to the end of its answer; after it the answer is taken for lost and the batch is sent again. */
  readonly requestMs: number;
  readonly connectionMs: number;
}

/** A megabyte goes up a slow line in ten seconds. */
const DEADLINES: Deadlines = { requestMs: 10_000, connectionMs: 3_000 };

/** Both queues at their limit. */
const SOCKETS_MAX = 2 * SEND_LIMITS.requestsInFlightMax;

/**
 * A client with a deadline on everything and no retries of its own, since sending retries by entry.
 *
 * Region, credentials and endpoint come from the SDK's own chain unless they are given.
 */
export function createProducerClient(
  config: Pick<SQSClientConfig, 'region' | 'endpoint' | 'credentials'> = {},
  deadlines: Deadlines = DEADLINES,
): SQSClient {
  const agent = { keepAlive: true, maxSockets: SOCKETS_MAX };
  return new SQSClient({
    ...config,
    // An endpoint among the options the SDK heeds by itself.
    useQueueUrlAsEndpoint: !namesSqsEndpoint(process.env),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: deadlines.connectionMs,
      requestTimeout: deadlines.requestMs,
      throwOnRequestTimeout: true,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
    },
  });
}

export function sendBatchWith(client: SQSClient): SendBatch {
  return (input) => client.send(new SendMessageBatchCommand(input));
}
