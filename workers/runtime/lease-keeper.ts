/**
 * Keeps the leases of everything that this worker holds: what is being written, what waits for its turn, and what is
 * being deleted.
 *
 * One timer for all. Extensions go out ten in a call, all calls at once, so that one that hangs does not let the leases
 * behind it end. Each asks for the whole visibility timeout again, counted from the call: absolute, never added up.
 */
import type { Logger } from 'pino';
import type { LeaseTable } from './lease-table.ts';
import { MESSAGES_PER_RECEIVE_MAX, type QueueClient } from './queue-client.ts';
import { type Surroundings, sleep } from './surroundings.ts';

/** How often leases are looked at; the shortest is extended when 30 s of it are left. */
const LEASE_CHECK_MS = 1_000;

export interface LeaseKeeperOptions {
  readonly leases: LeaseTable;
  readonly queue: QueueClient;
  readonly queueName: string;
  readonly visibilityTimeoutSeconds: number;
  readonly surroundings: Surroundings;
  readonly log: Logger;
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Until the signal aborts: what is left then is for others, and soon. */
  async keep(signal: AbortSignal): Promise<void> {
    const { surroundings, leases, visibilityTimeoutSeconds } = this.#options;
    while (!signal.aborted) {
      await sleep(surroundings, LEASE_CHECK_MS, signal);
      if (!signal.aborted) await this.extend(leases.due(surroundings.monotonicMs()), visibilityTimeoutSeconds);
    }
  }

  /** To so many seconds from now. What cannot be extended is tried again as long as its lease lasts. */
  async extend(receiptHandles: readonly string[], seconds: number): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let start = 0; start < receiptHandles.length; start += MESSAGES_PER_RECEIVE_MAX) {
      calls.push(this.#extendBatch(receiptHandles.slice(start, start + MESSAGES_PER_RECEIVE_MAX), seconds));
    }
    await Promise.all(calls);
  }

  async #extendBatch(receiptHandles: readonly string[], seconds: number): Promise<void> {
    const { leases, queue, queueName, surroundings, log } = this.#options;
    const requestSentAtMs = surroundings.monotonicMs();
    try {
      const results = await queue.changeVisibilityBatch(
        receiptHandles.map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds: seconds })),
      );
      receiptHandles.forEach((receiptHandle, index) => {
        if (results[index] === 'done') leases.extended(receiptHandle, requestSentAtMs, seconds);
        else if (results[index] === 'gone') leases.lost(receiptHandle);
      });
    } catch (error) {
      // Half of the lease is left: it is tried again every second.
      log.warn({ err: error }, `cannot extend leases of ${queueName}; trying again`);
    }
  }
}
