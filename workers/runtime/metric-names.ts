/**
 * The names under which a worker tells what it counts. They are OpenTelemetry's where its semantic conventions for
 * messaging have one (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/, whose status is
 * Development: this is the one place to change them), and plain words where they have none.
 */

export const METRIC_NAMESPACE = 'Sluice';
/** What every metric is told by: stages in one account would otherwise be added up. */
export const STAGE_DIMENSION = 'stage';
export const WORKER_DIMENSION = 'worker';

/** Counts since the line before. */
export const COUNTS = {
  received: 'messaging.client.consumed.messages',
  stored: 'stored',
  suppressed: 'suppressed',
  rejected: 'rejected',
  retried: 'retried',
  leasesLost: 'leasesLost',
  /** SQS bills each. */
  requests: 'requests',
  /** Requests that SQS refused for want of a right, to the queue or to its key. */
  accessDenied: 'accessDenied',
} as const;

/** Distributions since the line before. */
export const DISTRIBUTIONS = {
  /** Of a batch, from its hand-over to its outcomes. */
  handlingSeconds: { name: 'messaging.process.duration', unit: 'Seconds' },
  /** From SQS's SentTimestamp to the commit. */
  dwellSeconds: { name: 'dwellSeconds', unit: 'Seconds' },
  /** What was left of the lease when the message was done. */
  leaseMarginSeconds: { name: 'leaseMarginSeconds', unit: 'Seconds' },
  batchMessages: { name: 'batchMessages', unit: 'Count' },
  drainSeconds: { name: 'drainSeconds', unit: 'Seconds' },
} as const;

/** Of the calls to SQS, in a line of its own per operation. */
export const OPERATION_SECONDS = { name: 'messaging.client.operation.duration', unit: 'Seconds' } as const;
export const OPERATION_DIMENSION = 'messaging.operation.name';

/** As they are when the line is written; `breakerOpen` is the highest since the line before. */
export const GAUGES = {
  /** 0 while the database is well, 1 while nothing is received. */
  breakerOpen: { name: 'breakerOpen', unit: 'None' },
  messagesInProcess: { name: 'messagesInProcess', unit: 'Count' },
  /** By messages in process, and by those that receives under way may bring. */
  placesTaken: { name: 'placesTaken', unit: 'Count' },
  requestsPerMessage: { name: 'requestsPerMessage', unit: 'None' },
  memoryPeakMegabytes: { name: 'memoryPeakMegabytes', unit: 'Megabytes' },
} as const;

export type CountName = keyof typeof COUNTS;
export type DistributionName = keyof typeof DISTRIBUTIONS;
