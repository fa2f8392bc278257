/**
 * Keeps the leases of everything that this worker holds: what is being written, what waits for its turn, and what is
 * being deleted.
 *
 * One timer for all, set for the lease that is due first. Extensions go out ten in a call, all calls at once, so that
 * one that hangs does not let the leases behind it end. Each asks for the whole visibility timeout again, counted from
 * the call: absolute, never added up.
 *
 * Holds always: as long as something is held the timer is set, until `end`.
 */
import type { Logger } from 'pino';
import type { LeaseTable } from './lease-table.ts';
import { MESSAGES_PER_RECEIVE_MAX, type QueueClient } from './queue-client.ts';
import type { Surroundings, Timer } from './surroundings.ts';

/** An extension that failed is tried again after this; the shortest lease has 30 s left then. */
const CHECK_MS_MIN = 1_000;

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
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined;
  /** Extensions are on their way: when they are answered, the next time is known. */
  #isChecking = false;
  #isOver = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** There are new leases, which may be due before those that are there. */
  watch(dueAtMs: number | undefined): void {
    if (this.#isOver || this.#isChecking || dueAtMs === undefined) return;
    if (this.#timer !== undefined && this.#timer.atMs <= dueAtMs) return;
    this.#timer?.timer.cancel();
    const { surroundings } = this.#options;
    const afterMs = Math.max(CHECK_MS_MIN, dueAtMs - surroundings.monotonicMs());
    const timer = surroundings.after(afterMs, () => void this.#check());
    this.#timer = { atMs: dueAtMs, timer };
  }

  /** What is still held is for others, and soon. */
  end(): void {
    this.#isOver = true;
    this.#timer?.timer.cancel();
  }

  /** To so many seconds from now. What cannot be extended is tried again as long as its lease lasts. */
  async extend(receiptHandles: readonly string[], seconds: number): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let start = 0; start < receiptHandles.length; start += MESSAGES_PER_RECEIVE_MAX) {
      calls.push(this.#extendBatch(receiptHandles.slice(start, start + MESSAGES_PER_RECEIVE_MAX), seconds));
    }
    await Promise.all(calls);
  }

  async #check(): Promise<void> {
    const { leases, surroundings, visibilityTimeoutSeconds } = this.#options;
    this.#timer = undefined;
    this.#isChecking = true;
    await this.extend(leases.due(surroundings.monotonicMs()), visibilityTimeoutSeconds);
    this.#isChecking = false;
    this.watch(leases.dueAtMs);
  }

  async #extendBatch(receiptHandles: readonly string[], seconds: number): Promise<void> {
    const { leases, queue, queueName, surroundings, log } = this.#options;
    const requestSentAtMs = surroundings.monotonicMs();
    for (const receiptHandle of receiptHandles) leases.asked(receiptHandle, requestSentAtMs, seconds);
    try {
      const results = await queue.changeVisibilityBatch(
        receiptHandles.map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds: seconds })),
      );
      const answeredAtMs = surroundings.monotonicMs();
      receiptHandles.forEach((receiptHandle, index) => {
        if (results[index] === 'done') leases.extended(receiptHandle, requestSentAtMs, seconds, answeredAtMs);
        else if (results[index] === 'gone') leases.lost(receiptHandle);
      });
    } catch (error) {
      // Half of the lease is left: it is tried again every second.
      log.warn({ err: error }, `cannot extend leases of ${queueName}; trying again`);
    }
  }
}
