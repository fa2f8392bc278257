/**
 * Keeps the leases of everything that this worker holds: what is being written, what waits for its turn, and what is
 * being deleted.
 *
 * One timer for all, set for the lease that is due first. Extensions go out ten in a call, all calls at once, so that
 * one that hangs does not let the leases behind it end. Each asks for the same time again, counted from the call:
 * absolute, never added up.
 *
 * Holds always: as long as something is held the timer is set, until `end`.
 */
import type { Logger } from 'pino';
import type { LeaseTable } from './lease-table.ts';
import { MESSAGES_PER_RECEIVE_MAX, type QueueClient, type VisibilityChange } from './queue-client.ts';
import { type Surroundings, sleep, type Timer } from './surroundings.ts';

/** An extension that failed is tried again after this; the shortest lease has 30 s left then. */
const CHECK_MS_MIN = 1_000;
/** An extension that SQS has not answered by then was lost, most likely; a return would come too late for a drain. */
const ANSWER_WAIT_MS_MAX = 2_000;

export interface LeaseKeeperOptions {
  readonly leases: LeaseTable;
  readonly queue: QueueClient;
  readonly queueName: string;
  readonly surroundings: Surroundings;
  readonly log: Logger;
}

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined;
  /** By receipt handle, the extension that is on its way. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  /** Extensions are on their way: when they are answered, the next time is known. */
  #isChecking = false;
  #isOver = false;
  /** Rounds in a row of which a call failed as a whole. */
  #failures = 0;

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

  /** To so many seconds from now, each. What cannot be extended is tried again as long as its lease lasts. */
  async extend(extensions: readonly VisibilityChange[]): Promise<void> {
    const { log, queueName } = this.#options;
    const calls: Promise<void>[] = [];
    for (let start = 0; start < extensions.length; start += MESSAGES_PER_RECEIVE_MAX) {
      const batch = extensions.slice(start, start + MESSAGES_PER_RECEIVE_MAX);
      const call = this.#extendBatch(batch);
      calls.push(call);
      this.#remember(batch, call);
    }
    const failed = (await Promise.allSettled(calls)).find((call) => call.status === 'rejected');
    this.#failures = failed === undefined ? 0 : this.#failures + 1;
    // Half of the lease is left: it is tried again every second, and told seldom.
    if (failed !== undefined && Math.log2(this.#failures) % 1 === 0) {
      log.warn({ err: failed.reason }, `cannot extend leases of ${queueName}; trying again`);
    }
  }

  /**
   * Whoever gives these back waits for what was asked for them before: an extension that SQS does after the return would
   * hide the message from everybody.
   */
  async answered(receiptHandles: readonly string[]): Promise<void> {
    const underWay = receiptHandles.map((handle) => this.#underWay.get(handle)).filter((call) => call !== undefined);
    if (underWay.length === 0) return;
    const enough = new AbortController();
    await Promise.race([
      Promise.allSettled(underWay),
      sleep(this.#options.surroundings, ANSWER_WAIT_MS_MAX, enough.signal),
    ]);
    enough.abort();
  }

  #remember(extensions: readonly VisibilityChange[], call: Promise<void>): void {
    for (const { receiptHandle } of extensions) this.#underWay.set(receiptHandle, call);
    const forget = () => {
      for (const { receiptHandle } of extensions) {
        if (this.#underWay.get(receiptHandle) === call) this.#underWay.delete(receiptHandle);
      }
    };
    call.then(forget, forget);
  }

  async #check(): Promise<void> {
    const { leases, surroundings } = this.#options;
    const visibilityTimeoutSeconds = leases.extensionSeconds;
    this.#timer = undefined;
    this.#isChecking = true;
    const due = leases.due(surroundings.monotonicMs());
    await this.extend(due.map((receiptHandle) => ({ receiptHandle, visibilityTimeoutSeconds })));
    this.#isChecking = false;
    this.watch(leases.dueAtMs);
  }

  async #extendBatch(extensions: readonly VisibilityChange[]): Promise<void> {
    const { leases, queue, surroundings } = this.#options;
    const requestSentAtMs = surroundings.monotonicMs();
    for (const { receiptHandle, visibilityTimeoutSeconds: seconds } of extensions) {
      leases.asked(receiptHandle, requestSentAtMs, seconds);
    }
    const results = await queue.changeVisibilityBatch(extensions);
    const answeredAtMs = surroundings.monotonicMs();
    extensions.forEach(({ receiptHandle, visibilityTimeoutSeconds: seconds }, index) => {
      if (results[index] === 'done') leases.extended(receiptHandle, requestSentAtMs, seconds, answeredAtMs);
      else if (results[index] === 'gone') leases.lost(receiptHandle);
      else if (results[index] === 'refused') leases.refused(receiptHandle, requestSentAtMs, seconds);
    });
  }
}
