/** What a queue is made with: its settings, which nothing changes, the time and chance it lives by, and who watches it. */
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { DeadLetterCopy, Receipt, StoredMessage } from './sqs-message.ts';

/** A queue's attributes and quotas; times without end where nothing is said. */
export interface QueueSettings {
  readonly fifo: boolean;
  readonly visibilityTimeoutSeconds: number;
  /** Infinite without a dead-letter queue. */
  readonly maxReceiveCount: number;
  readonly inFlightMax: number;
  /** Chance that the queue does what a distributed queue may do, until the faults end. */
  readonly sqsQuirks: number;
  readonly faultsEndMs: number;
  /** The second reading of a FIFO group's order: sqs-order.ts. */
  readonly delayedHeadsArePassed: boolean;
  /** FIFO: how many messages, from the oldest on, are searched for a group that may be shown. */
  readonly groupSearchMax: number;
  /** What its URL ends with. @default every message sent to it by a client is meant for its dead-letter queue */
  readonly name?: string;
  readonly delaySeconds?: number;
  readonly waitSeconds?: number;
  readonly retentionSeconds?: number;
  readonly deadLetterTargetArn?: string;
  readonly contentBasedDeduplication?: boolean;
  readonly messageBytesMax?: number;
}

/** What the judge is told. */
export interface QueueWitness {
  received(receipt: Receipt): void;
  /** Asked for by a worker, whether or not it has an effect. */
  deleteAsked(receipt: Receipt): void;
  redriven(message: StoredMessage): void;
  copied(copy: DeadLetterCopy): void;
  /** A worker sends a delete. */
  deleteSent(receipt: Receipt): void;
  /** A worker sends a change of visibility. */
  changeAsked(receipt: Receipt, seconds: number): void;
  /** An entry of a batch fails by the service's own fault. */
  entryFailed(receipt: Receipt): void;
  /** A request that SQS refuses for its form. */
  malformed(worker: string, code: string): void;
}

export interface QueueSurroundings {
  readonly scheduler: Scheduler;
  readonly settings: QueueSettings;
  readonly random: Random;
  readonly witness: QueueWitness;
  readonly count: (what: string) => void;
}
