/**
 * What can be done with a handle: delete the message, and change how long it is hidden, or be refused. On a FIFO queue
 * only the present holder can; on a standard one the documentation says too little about handles that were superseded
 * or have expired, and chance decides.
 *
 * Holds always: whatever is asked for, a message that has left the queue stays away.
 */
import type { Contents } from './sqs-contents.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';
import type { Polls } from './sqs-polls.ts';
import { happens } from './sqs-quirks.ts';
import type { QueueSurroundings } from './sqs-surroundings.ts';

const LEASE_SECONDS_MAX = 12 * 3_600;
/** The one refusal of a handle after which the message is still its owner's: told from the others by its text alone. */
export const HIDDEN_FOR_TOO_LONG = 'InvalidParameterValue: total VisibilityTimeout is beyond the limit';
/** Whoever works for hours asks for no more at a time, however long the queue hides a message. */
const EXTENSION_SECONDS_MAX = 900;
/** Who asks for all that is left of the twelve hours may be wrong by a receive and a call. */
const TWELVE_HOURS_TOLERANCE_MS = 60_000;

export class Handles {
  readonly #around: QueueSurroundings;
  readonly #contents: Contents;
  readonly #polls: Polls;

  constructor(around: QueueSurroundings, contents: Contents, polls: Polls) {
    this.#around = around;
    this.#contents = contents;
    this.#polls = polls;
  }

  /** @returns the code of a refusal. */
  delete(handle: string): string | undefined {
    const { scheduler, settings, random, witness } = this.#around;
    const receipt = this.#polls.receipts.get(handle);
    if (receipt === undefined) return 'ReceiptHandleIsInvalid';
    const { message } = receipt;
    witness.deleteAsked(receipt);
    if (message.where !== 'source') return undefined;
    const isCurrent = message.receipts.at(-1) === receipt;
    const isExpired = message.visibleAtMs <= scheduler.nowMs;
    if (settings.fifo && (!isCurrent || isExpired)) return 'InvalidParameterValue';
    if (!isCurrent && random.chance(0.5)) return undefined;
    if (isCurrent && isExpired && happens('expired handle refused', this.#around)) return 'ReceiptHandleIsInvalid';
    this.#remove(message);
    return undefined;
  }

  /** @returns the code of a refusal. */
  change(handle: string, seconds: number, sentAtMs: number): string | undefined {
    const { scheduler, settings, random, count } = this.#around;
    const receipt = this.#polls.receipts.get(handle);
    if (receipt === undefined) return 'ReceiptHandleIsInvalid';
    const { message } = receipt;
    const { nowMs } = scheduler;
    const isCurrent = message.receipts.at(-1) === receipt;
    if (message.where !== 'source') return 'InvalidParameterValue';
    const mayChange = () => isCurrent && !settings.fifo && happens('expired handle changes visibility', this.#around);
    if (message.visibleAtMs <= nowMs && !mayChange()) return 'MessageNotInflight';
    if (!isCurrent) {
      if (settings.fifo || random.chance(0.5)) return 'InvalidParameterValue';
      const present = message.receipts.at(-1);
      if (present !== undefined) present.explained = true;
      count('queue: a superseded handle changes the present lease');
    }
    if (this.#isBeyondTwelveHours(receipt, seconds)) return HIDDEN_FOR_TOO_LONG;
    scheduler.trace(`hidden ${message.messageId} ${seconds}`);
    receipt.isChanged = true;
    message.isDelayed =
      seconds === 0 ? false : !isExtension(receipt, seconds, settings.visibilityTimeoutSeconds, nowMs);
    // It counts from the call: from somewhere between its request and its answer.
    this.#contents.hide(message, random.uniform(Math.max(sentAtMs, nowMs - 1_000), nowMs) + seconds * 1000);
    if (seconds === 0) this.#contents.visible.add(message);
    return undefined;
  }

  receiptOf(handle: string): Receipt | undefined {
    return this.#polls.receipts.get(handle);
  }

  /** At the instant at which the worker sends it. */
  deleteSent(handle: string): void {
    const receipt = this.#polls.receipts.get(handle);
    if (receipt !== undefined) this.#around.witness.deleteSent(receipt);
  }

  changeSent(handle: string, seconds: number): void {
    const receipt = this.#polls.receipts.get(handle);
    if (receipt !== undefined) this.#around.witness.changeAsked(receipt, seconds);
  }

  entryFailed(handle: string): void {
    const receipt = this.#polls.receipts.get(handle);
    if (receipt !== undefined) this.#around.witness.entryFailed(receipt);
  }

  #remove(message: StoredMessage): void {
    const { scheduler, settings, random } = this.#around;
    scheduler.trace(`deleted ${message.messageId}`);
    if (!settings.fifo && happens('comes again after its delete', this.#around, message)) {
      message.receipts.at(-1)!.explained = true;
      this.#contents.hide(message, scheduler.nowMs + random.uniform(0, 30_000));
      return;
    }
    this.#contents.leave(message, 'deleted');
    this.#polls.serve();
  }

  /** From this receive on, or from the message's first: the documentation can be read both ways. */
  #isBeyondTwelveHours(receipt: Receipt, seconds: number): boolean {
    const { scheduler, random, count } = this.#around;
    const endMs = scheduler.nowMs + (seconds - LEASE_SECONDS_MAX) * 1000;
    if (endMs > receipt.atMs) return true;
    if (endMs <= receipt.message.receipts[0]!.atMs || random.chance(0.5)) return false;
    // Whoever would have hidden it from a crash could not.
    receipt.explained = true;
    count('queue: hides a message no longer than twelve hours from its first receive');
    return true;
  }
}

/** For how long an extension asks: the queue's own visibility timeout, or a quarter of an hour of a longer one. */
export function extensionSeconds(visibilityTimeoutSeconds: number): number {
  return Math.min(visibilityTimeoutSeconds, EXTENSION_SECONDS_MAX);
}

/**
 * Whether a change keeps a lease, and does not give it back: it asks for an extension's time, once or several times, or
 * for all that the twelve hours leave.
 */
export function isExtension(
  receipt: Receipt,
  seconds: number,
  visibilityTimeoutSeconds: number,
  nowMs: number,
): boolean {
  if (seconds === 0) return false;
  const lastMs = receipt.atMs + LEASE_SECONDS_MAX * 1000 - TWELVE_HOURS_TOLERANCE_MS;
  return seconds % extensionSeconds(visibilityTimeoutSeconds) === 0 || nowMs + seconds * 1000 > lastMs;
}
