/** `sluice send`: a file of orders to the queues of a stage, on AWS or of the run on this machine. */
import { GetQueueUrlCommand, QueueDoesNotExist } from '@aws-sdk/client-sqs';
import { type Progress, showProgress } from '../producer/progress.ts';
import { type FilePlan, readOrders, surveyRetailFile } from '../producer/retail-file.ts';
import { createProducerClient, type SendSummary, sendBatchWith, sendOrders } from '../producer/send-orders.ts';
import { credentialsFrom } from './credentials.ts';
import { wrapped } from './eighty-columns.ts';
import { findLiveRun } from './live-run.ts';
import { number, numberOf } from './screen.ts';
import { SentJournal } from './sent-journal.ts';

/** A file that is read sooner needs no progress. */
const READING_QUIET_MS = 1_000;

export interface SendCommandOptions {
  readonly file: string;
  readonly stage: string;
  /** To a run on this machine. */
  readonly local: boolean;
  /** Its name or folder. @default the only one that is going on */
  readonly run: string | undefined;
  readonly json: boolean;
  readonly environment: NodeJS.ProcessEnv;
  readonly output: NodeJS.WritableStream;
  readonly progress: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

type ProducerClient = ReturnType<typeof createProducerClient>;

/** @throws Error in one sentence; RetailFileError when the file is at fault and nothing was sent. */
export async function send(options: SendCommandOptions): Promise<SendSummary> {
  const run = options.local ? findLiveRun(options.run) : undefined;
  const journal = run === undefined ? undefined : new SentJournal(run.path);
  const { provider } = credentialsFrom(options.environment);
  const client = createProducerClient(
    run === undefined
      ? {}
      : {
          endpoint: run.sqsEndpoint,
          region: run.region,
          ...(provider === undefined ? {} : { credentials: provider }),
        },
  );
  try {
    if (run === undefined) await checkSettings(client);
    const plan = await survey(options);
    const messagesTotal = plan.messages.orders + plan.messages.ledger;
    const stage = run?.stage ?? options.stage;
    const queueUrls = {
      orders: await urlOf(client, `sluice-${stage}-orders`),
      ledger: await urlOf(client, `sluice-${stage}-ledger.fifo`),
    };
    const progress = showProgress({
      title: 'sending',
      unit: 'messages',
      total: messagesTotal,
      stream: options.progress,
    });
    const summary = await sendOrders({
      orders: readOrders(plan),
      queueUrls,
      sendBatch: sendBatchWith(client),
      messagesTotal,
      signal: options.signal,
      onAccepted: (message) => journal?.accepted(message),
      onProgress: ({ acceptedMessages }) => progress.update(acceptedMessages),
    }).finally(() => progress.end());
    options.output.write(`${options.json ? JSON.stringify(summary, null, 2) : wrapped(sentence(summary))}\n`);
    return summary;
  } finally {
    client.destroy();
    await journal?.close();
  }
}

/** Known before the file is read rather than after it. */
async function checkSettings({ config }: ProducerClient): Promise<void> {
  const instead = 'for the run on this machine add --local.';
  await config.region().catch((cause) => {
    throw new Error(
      `no region is set, so the queues cannot be found. Set AWS_REGION, or AWS_PROFILE to a profile that has one; ${instead}`,
      { cause },
    );
  });
  await config.credentials().catch((cause) => {
    throw new Error(
      `no AWS credentials were found (${reasonOf(cause)}). Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; ${instead}`,
      { cause },
    );
  });
}

async function survey({ file, signal, progress: stream }: SendCommandOptions): Promise<FilePlan> {
  let reading: Progress | undefined;
  try {
    return await surveyRetailFile(file, {
      signal,
      onProgress: ({ kilobytesRead, kilobytesTotal: total }) => {
        reading ??= showProgress({ title: 'reading', unit: 'kB', total, stream, quietMs: READING_QUIET_MS });
        reading.update(kilobytesRead);
      },
    });
  } finally {
    reading?.end();
  }
}

async function urlOf(client: ProducerClient, queueName: string): Promise<string> {
  try {
    const { QueueUrl: url } = await client.send(new GetQueueUrlCommand({ QueueName: queueName }));
    if (url !== undefined) return url;
  } catch (error) {
    const advice =
      error instanceof QueueDoesNotExist
        ? 'Deploy the stage first, or name another with --stage.'
        : 'Check region and credentials of the AWS SDK; for the run on this machine add --local.';
    throw new Error(`cannot find the queue ${queueName} (${reasonOf(error)}). ${advice}`, { cause: error });
  }
  throw new Error(`cannot find the queue ${queueName}: SQS gave no address for it`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

function sentence({ orders, messages, requests, retriedEntries, seconds, interrupted }: SendSummary): string {
  const to = `${numberOf(messages.orders, 'message')} to orders, ${number(messages.ledger)} to ledger`;
  const cost = `${numberOf(requests, 'request')} (${numberOf(retriedEntries, 'entry', 'entries')} sent again)`;
  return `${interrupted ? 'interrupted after' : 'sent'} ${numberOf(orders, 'order')}: ${to}, in ${seconds.toFixed(1)} s with ${cost}`;
}
