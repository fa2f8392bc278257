/**
 * What the suite runs against: the simulator's queue, the embedded server, or any endpoint that speaks SQS.
 *
 * One target serves one case: its queues are that case's own, and go when it is closed.
 */
import type { SQSClient } from '@aws-sdk/client-sqs';

export type Calls = Pick<SQSClient, 'send'>;

export interface Target {
  readonly client: Calls;
  /** The model's time is virtual: minutes cost nothing. */
  readonly kind: 'model' | 'server';
  /** SQS's own quotas, or smaller ones where a queue can be made with them. */
  readonly limits: TargetLimits;
  /** @returns the queue's URL. */
  createQueue(attributes: Readonly<Record<string, string>>): Promise<string>;
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface TargetLimits {
  readonly inFlightMax: number;
  /** How many messages of a FIFO queue are searched for a group that may be shown. */
  readonly groupSearchMax: number;
}
