/** Where `sluice send` sends: the queues of a stage on AWS, or of the run on this machine, whose journal then notes it. */
import { GetQueueUrlCommand, QueueDoesNotExist, type SQSClient } from '@aws-sdk/client-sqs';
import { createProducerClient } from '../producer/send-orders.ts';
import { credentialsFrom } from './credentials.ts';
import { findLiveRun } from './live-run.ts';
import { namedSqs } from './named-sqs.ts';
import { SentJournal } from './sent-journal.ts';
import { statusOfStrangeAnswer } from './strange-answer.ts';

export interface SendingTo {
  readonly stage: string;
  /** To a run on this machine. */
  readonly local: boolean;
  /** Its name or folder. @default the only one that is going on */
  readonly run: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

export interface Destination {
  /** Whoever opened it destroys it. */
  readonly client: SQSClient;
  readonly stage: string;
  /** Of the run on this machine; undefined on AWS. */
  readonly journal: SentJournal | undefined;
}

/** @throws Error in one sentence when no run, or more than one, is going on here, or what the environment names is no URL. */
export function openDestination({ stage, local, run: wished, environment }: SendingTo): Destination {
  // The SDK takes it by itself, and says less of what is wrong with it.
  if (!local) namedSqs(environment);
  if (!local) return { client: createProducerClient(), stage, journal: undefined };
  const run = findLiveRun(wished);
  const { provider } = credentialsFrom(environment);
  const client = createProducerClient({
    endpoint: run.sqsEndpoint,
    region: run.region,
    ...(provider === undefined ? {} : { credentials: provider }),
  });
  return { client, stage: run.stage, journal: new SentJournal(run.path) };
}

/** @throws Error in one sentence when AWS cannot be asked at all. */
export async function checkSettings({ config }: SQSClient): Promise<void> {
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

/** @throws Error in one sentence; AbortError when the signal came before the answer. */
export async function urlOf({ client, journal }: Destination, queueName: string, signal: AbortSignal): Promise<string> {
  try {
    const { QueueUrl: url } = await client.send(new GetQueueUrlCommand({ QueueName: queueName }), {
      abortSignal: signal,
    });
    if (url !== undefined) return url;
  } catch (error) {
    if (signal.aborted) throw error;
    const advice = adviceFor(error, journal !== undefined);
    throw new Error(`cannot find the queue ${queueName} (${reasonOf(error)}). ${advice}`, { cause: error });
  }
  throw new Error(`cannot find the queue ${queueName}: SQS gave no address for it`);
}

function adviceFor(error: unknown, local: boolean): string {
  if (error instanceof QueueDoesNotExist) {
    return local
      ? 'The run was started before it had this queue; end it and start another with npm start.'
      : 'Deploy the stage first, or name another with --stage.';
  }
  if (!local && statusOfStrangeAnswer(error) !== undefined) {
    return 'Name one in AWS_ENDPOINT_URL, or unset it to send to AWS.';
  }
  return local
    ? 'Look at the terminal of the run on this machine; if it does not go on, end it and start another with npm start.'
    : 'Check region and credentials of the AWS SDK; for the run on this machine add --local.';
}

function reasonOf(error: unknown): string {
  const strangeStatus = statusOfStrangeAnswer(error);
  if (strangeStatus !== undefined) return `what answers is not an SQS server, HTTP status ${strangeStatus}`;
  return error instanceof Error ? error.message || error.name : String(error);
}
