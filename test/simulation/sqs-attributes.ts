/**
 * A queue's attributes as GetQueueAttributes gives them and as CreateQueue takes them: texts, under AWS's own names.
 */
import { z } from 'zod';
import type { SqsModel } from './sqs-model.ts';
import { MESSAGE_BYTES_MAX } from './sqs-request-form.ts';
import type { QueueSettings } from './sqs-surroundings.ts';

/** SQS's defaults. */
const VISIBILITY_TIMEOUT_SECONDS = 30;
const RETENTION_SECONDS = 345_600;
export const IN_FLIGHT_MAX = 120_000;
export const GROUP_SEARCH_MAX = 120_000;

const redrivePolicySchema = z.object({ deadLetterTargetArn: z.string(), maxReceiveCount: z.coerce.number() });

export function queueAttributes(model: SqsModel): Record<string, string> {
  const { settings } = model;
  const { fifo, maxReceiveCount, name = 'work', deadLetterTargetArn = queueArn(`${name}-dlq`) } = settings;
  const { visible, inFlight, delayed } = model.census();
  return {
    QueueArn: queueArn(name),
    VisibilityTimeout: String(settings.visibilityTimeoutSeconds),
    DelaySeconds: String(settings.delaySeconds ?? 0),
    MaximumMessageSize: String(settings.messageBytesMax ?? MESSAGE_BYTES_MAX),
    MessageRetentionPeriod: String(settings.retentionSeconds ?? RETENTION_SECONDS),
    ReceiveMessageWaitTimeSeconds: String(settings.waitSeconds ?? 0),
    ApproximateNumberOfMessages: String(visible),
    ApproximateNumberOfMessagesNotVisible: String(inFlight),
    ApproximateNumberOfMessagesDelayed: String(delayed),
    ...(fifo && { FifoQueue: 'true', ContentBasedDeduplication: String(settings.contentBasedDeduplication ?? false) }),
    ...(Number.isFinite(maxReceiveCount) && {
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount }),
    }),
  };
}

/** Without the faults and freedoms of a schedule: what the documentation promises, each time. */
export function settingsFrom(name: string, attributes: Readonly<Record<string, string>>): QueueSettings {
  const seconds = (attribute: string, otherwise: number) => Number(attributes[attribute] ?? otherwise);
  const policy = attributes.RedrivePolicy;
  return {
    maxReceiveCount: Number.POSITIVE_INFINITY,
    ...(policy !== undefined && redrivePolicySchema.parse(JSON.parse(policy))),
    name,
    fifo: attributes.FifoQueue === 'true',
    contentBasedDeduplication: attributes.ContentBasedDeduplication === 'true',
    visibilityTimeoutSeconds: seconds('VisibilityTimeout', VISIBILITY_TIMEOUT_SECONDS),
    retentionSeconds: seconds('MessageRetentionPeriod', RETENTION_SECONDS),
    waitSeconds: seconds('ReceiveMessageWaitTimeSeconds', 0),
    delaySeconds: seconds('DelaySeconds', 0),
    messageBytesMax: Number(attributes.MaximumMessageSize ?? MESSAGE_BYTES_MAX),
    inFlightMax: IN_FLIGHT_MAX,
    groupSearchMax: GROUP_SEARCH_MAX,
    delayedHeadsArePassed: false,
    sqsQuirks: 0,
    faultsEndMs: 0,
  };
}

export function queueArn(name: string): string {
  return `arn:aws:sqs:eu-central-1:000000000000:${name}`;
}
