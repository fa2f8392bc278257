/**
 * The receives that wait for messages, and the handing out of messages to them.
 *
 * Holds always: a receive is answered once, or hung up; each gives a handle of its own, except one that repeats an
 * attempt. Only here is a message received, and a receipt made.
 */
import { FiveMinutes } from './five-minutes.ts';
import type { Contents } from './sqs-contents.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';
import { inAnyOrder, inOrder } from './sqs-order.ts';
import { happens } from './sqs-quirks.ts';
import { ServiceError } from './sqs-service-error.ts';
import type { QueueSurroundings } from './sqs-surroundings.ts';

const LONG_POLL_MS = 20_000;
const RECEIVE_MAX = 10;

export interface ReceiveRequest {
  readonly worker: string;
  /** When the caller sent it: a lease may count from then on. */
  readonly sentAtMs: number;
  readonly waitSeconds: number;
  readonly messagesMax: number;
  readonly visibilityTimeoutSeconds: number | undefined;
  readonly attemptId: string | undefined;
}

interface Waiter extends ReceiveRequest {
  readonly answer: (receipts: Receipt[]) => void;
  open: boolean;
}

export class Polls {
  /** By their handles. */
  readonly receipts = new Map<string, Receipt>();
  readonly #around: QueueSurroundings;
  readonly #contents: Contents;
  /** What is to be done with a message that would be received once too often. */
  readonly #redrive: (message: StoredMessage) => void;
  readonly #attempts: FiveMinutes<readonly Receipt[]>;
  #waiters: Waiter[] = [];
  #answers = 0;

  constructor(around: QueueSurroundings, contents: Contents, redrive: (message: StoredMessage) => void) {
    this.#around = around;
    this.#contents = contents;
    this.#redrive = redrive;
    this.#attempts = new FiveMinutes(around.scheduler);
  }

  /** @returns a way to hang up. @throws ServiceError when a short poll meets the limit of messages in flight. */
  receive(request: ReceiveRequest, answer: (receipts: Receipt[]) => void): () => void {
    const { scheduler, settings, random } = this.#around;
    const isShort = request.waitSeconds === 0;
    if (isShort && !settings.fifo && this.#contents.inFlightRoom() === 0) throw new ServiceError('OverLimit', 403);
    const waiter: Waiter = { ...request, answer, open: true };
    this.#waiters.push(waiter);
    const isEarly = !isShort && happens('poll ends early', this.#around);
    const waitMs = Math.min(LONG_POLL_MS, request.waitSeconds * 1000) * (isEarly ? random.next() : 1);
    scheduler.after(waitMs, () => this.#answer(waiter, []));
    this.serve();
    return () => this.#close(waiter);
  }

  /** Whenever something may have become visible. */
  serve(): void {
    if (this.#waiters.length === 0 || this.#contents.source.size === 0) return;
    for (const waiter of this.#around.random.shuffled(this.#waiters)) {
      if (!waiter.open) continue;
      const receipts = this.#again(waiter) ?? this.#take(waiter);
      if (receipts.length > 0) this.#answer(waiter, receipts);
    }
  }

  #answer(waiter: Waiter, receipts: Receipt[]): void {
    if (!waiter.open) return;
    this.#close(waiter);
    waiter.answer(receipts);
  }

  #close(waiter: Waiter): void {
    waiter.open = false;
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
  }

  #take(waiter: Waiter): Receipt[] {
    const { settings, random } = this.#around;
    const contents = this.#contents;
    this.#answers += 1;
    let room = Math.min(waiter.messagesMax, contents.inFlightRoom());
    if (!settings.fifo && happens('sample', this.#around)) room = Math.min(room, random.between(0, RECEIVE_MAX));
    const receipts: Receipt[] = [];
    contents.expire();
    for (const message of settings.fifo ? inOrder(contents, room, settings) : inAnyOrder(contents, random)) {
      if (receipts.length >= room) break;
      if (message.receiveCount >= settings.maxReceiveCount) this.#redrive(message);
      else receipts.push(this.#handOut(message, waiter));
    }
    if (waiter.attemptId !== undefined && receipts.length > 0) this.#attempts.remember(waiter.attemptId, receipts);
    return receipts;
  }

  /** An attempt to receive that is repeated within five minutes brings the same, unless it was touched meanwhile. */
  #again({ attemptId, visibilityTimeoutSeconds }: Waiter): Receipt[] | undefined {
    const { scheduler, settings, random } = this.#around;
    if (attemptId === undefined || !settings.fifo) return undefined;
    const receipts = this.#attempts.recall(attemptId) ?? [];
    const { nowMs } = scheduler;
    const isUntouched = (receipt: Receipt) => {
      const { where, receipts: handedOut, visibleAtMs } = receipt.message;
      return where === 'source' && handedOut.at(-1) === receipt && !receipt.isChanged && visibleAtMs > nowMs;
    };
    if (receipts.length === 0 || !receipts.every(isUntouched)) return undefined;
    const isCounted = random.chance(0.5);
    for (const { message } of receipts) {
      if (isCounted) message.receiveCount += 1;
      this.#contents.hide(message, nowMs + (visibilityTimeoutSeconds ?? settings.visibilityTimeoutSeconds) * 1000);
    }
    return [...receipts];
  }

  #handOut(message: StoredMessage, { worker, sentAtMs, visibilityTimeoutSeconds }: Waiter): Receipt {
    const { scheduler, settings, random, witness } = this.#around;
    const { nowMs } = scheduler;
    message.receiveCount += 1;
    message.isDelayed = false;
    // As long and as full of signs as real ones: it is no id for a batch's entry.
    const handle = `${message.messageId}+${message.receipts.length + 1}/${'A'.repeat(80)}==`;
    const [askedAtMs, answer] = [sentAtMs, this.#answers];
    const receipt = { handle, message, worker, atMs: nowMs, askedAtMs, answer, explained: false, isChanged: false };
    this.receipts.set(handle, receipt);
    message.receipts.push(receipt);
    scheduler.trace(`handed ${handle.slice(0, 8)} ${worker}`);
    witness.received(receipt);
    if (!settings.fifo && happens('duplicate delivery', this.#around, message)) {
      receipt.explained = true;
      this.#contents.hide(message, nowMs + random.uniform(0, 5_000));
    } else {
      const seconds = visibilityTimeoutSeconds ?? settings.visibilityTimeoutSeconds;
      this.#contents.hide(message, random.uniform(Math.max(sentAtMs, nowMs - 100), nowMs) + seconds * 1000);
    }
    return receipt;
  }
}
