/**
 * Workers as what they are on an instance, processes with nothing but their environment, and an SQS server per test file
 * with queues for them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll } from '@jest/globals';
import { COMPILE_CACHE_FOLDER } from '../../local/compile-cache.ts';
import { type EmbeddedSqs, startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { afterwards } from '../local/machine/machine.ts';
import type { TestPostgres } from './postgres.ts';

const REGION = 'eu-central-1';
/** SQS quotas. */
const ENTRIES_PER_BATCH_MAX = 10;
const BATCH_BYTES_MAX = 1_048_576;

export const entry = (worker: string) => fileURLToPath(new URL(`../../workers/${worker}/main.ts`, import.meta.url));

export interface TestQueue {
  readonly url: string;
  readonly deadLetterUrl: string;
}

/** Of a test file: starts with it, and goes with it. */
export class TestSqs {
  #run!: RunFolder;
  #server!: EmbeddedSqs;
  #client!: SQSClient;
  #queues = 0;

  constructor() {
    beforeAll(async () => {
      this.#run = createRunFolder();
      this.#server = await startEmbeddedSqs({ run: this.#run });
      const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };
      this.#client = new SQSClient({ endpoint: this.#server.endpoint, region: REGION, credentials });
    });
    afterAll(async () => {
      this.#client.destroy();
      await this.#server.stop();
      await this.#run.close();
    });
  }

  get endpoint(): string {
    return this.#server.endpoint;
  }

  get client(): SQSClient {
    return this.#client;
  }

  async makeQueue(attributes: Record<string, string> = {}, deadLetters = true): Promise<TestQueue> {
    this.#queues += 1;
    const suffix = attributes.FifoQueue ? '.fifo' : '';
    const create = async (QueueName: string, Attributes: Record<string, string>) =>
      (await this.#client.send(new CreateQueueCommand({ QueueName: `${QueueName}${suffix}`, Attributes }))).QueueUrl!;
    const kind: Record<string, string> = attributes.FifoQueue ? { FifoQueue: 'true' } : {};
    const deadLetterUrl = await create(`work-${this.#queues}-dlq`, kind);
    const { Attributes } = await this.#client.send(
      new GetQueueAttributesCommand({ QueueUrl: deadLetterUrl, AttributeNames: ['QueueArn'] }),
    );
    const policy = { deadLetterTargetArn: Attributes!.QueueArn!, maxReceiveCount: '5' };
    const url = await create(`work-${this.#queues}`, {
      VisibilityTimeout: '60',
      ...attributes,
      ...(deadLetters ? { RedrivePolicy: JSON.stringify(policy) } : {}),
    });
    return { url, deadLetterUrl };
  }

  /** Returns the message ids, in the order of the bodies. */
  async send(QueueUrl: string, bodies: readonly string[], group?: (index: number) => string): Promise<string[]> {
    const messageIds: string[] = [];
    const entries = bodies.map((MessageBody, index) => ({
      Id: String(index),
      MessageBody,
      ...(group && { MessageGroupId: group(index), MessageDeduplicationId: String(index) }),
    }));
    for (const Entries of batchesOf(entries)) {
      const { Successful = [], Failed = [] } = await this.#client.send(
        new SendMessageBatchCommand({ QueueUrl, Entries }),
      );
      if (Failed.length > 0) throw new Error(`the server took not every message: ${Failed[0]!.Message}`);
      for (const { Id, MessageId } of Successful) messageIds[Number(Id)] = MessageId!;
    }
    return messageIds;
  }

  async depth(QueueUrl: string): Promise<{ visible: number; inFlight: number }> {
    const { Attributes } = await this.#client.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
    );
    return {
      visible: Number(Attributes!.ApproximateNumberOfMessages),
      inFlight: Number(Attributes!.ApproximateNumberOfMessagesNotVisible),
    };
  }

  async isEmpty(url: string): Promise<boolean> {
    const { visible, inFlight } = await this.depth(url);
    return visible + inFlight === 0;
  }

  /** All that a worker has to be told. */
  environmentFor(queue: TestQueue, postgres: TestPostgres, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return {
      QUEUE_URL: queue.url,
      DEAD_LETTER_QUEUE_URL: queue.deadLetterUrl,
      DATABASE_URL: postgres.workerUrl,
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL_SQS: this.endpoint,
      AWS_ACCESS_KEY_ID: 'none',
      AWS_SECRET_ACCESS_KEY: 'none',
      METRICS_INTERVAL_SECONDS: '0.2',
      DRAIN_SECONDS: '10',
      // No worker asks for it; it saves the compiling of the same files in a hundred processes.
      NODE_COMPILE_CACHE: COMPILE_CACHE_FOLDER,
      ...more,
    };
  }
}

type Entry = SendMessageBatchRequestEntry & { readonly MessageBody: string };

/** As many in a batch as SQS takes, and as many bytes. */
function* batchesOf(entries: readonly Entry[]): Generator<Entry[]> {
  let batch: Entry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(entry.MessageBody);
    if (batch.length === ENTRIES_PER_BATCH_MAX || (batch.length > 0 && bytes + size > BATCH_BYTES_MAX)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

export class Worker {
  readonly lines: string[] = [];
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #process: ChildProcess;

  constructor(script: string, environment: NodeJS.ProcessEnv) {
    this.#process = spawn(process.execPath, [script], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process.stdout!.on('data', (text) => this.lines.push(...String(text).trimEnd().split('\n')));
    this.#process.stderr!.on('data', (text) => this.lines.push(`stderr: ${text}`));
    this.exited = new Promise((resolve) => {
      this.#process.on('close', (code, signal) => resolve(code ?? signal!));
    });
    afterwards(async () => {
      this.kill('SIGKILL');
      await this.exited;
    });
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  said(words: string): boolean {
    return this.lines.some((line) => line.includes(words));
  }

  /** What its metric lines add up to. */
  count(name: string): number {
    return this.lines
      .filter((line) => line.startsWith('{"_aws"'))
      .reduce((sum, line) => sum + Number((JSON.parse(line) as Record<string, unknown>)[name] ?? 0), 0);
  }

  /** The last line, once it has ended. */
  async lastWords(): Promise<{ status: number | NodeJS.Signals; message: string }> {
    const status = await this.exited;
    const last = this.lines.at(-1) ?? '';
    // One that crashed has not spoken as a worker does.
    return { status, message: last.startsWith('{') ? String((JSON.parse(last) as { msg?: unknown }).msg) : last };
  }
}
