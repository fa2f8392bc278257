/**
 * Sends orders: each to the queue `orders`, and each with a customer also to the FIFO queue `ledger`, in the order
 * in which the customer's orders come.
 *
 *   reader ──▶ look-ahead (bounded) ──▶ requests in flight (bounded) ──▶ accepted
 *                     ▲                          │
 *                     └──────(what failed)───────┘
 *
 * A request goes out when it is full; one that is part full only when nothing more can join it: the file has
 * ended, or the look-ahead is full and nothing is under way that could make room. No timer waits for company.
 *
 * Holds always: what has been read and not accepted is at most the look-ahead and one order; after the returned
 * promise settles nothing is in flight.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs';
import { type EntryOutcome, type Failure, failureOf, outcomesOf } from './batch-outcome.ts';
import type { ProducedOrder } from './order-assembly.ts';
import type { SendBatch } from './producer-client.ts';
import { backoffMs, SEND_LIMITS, type SendLimits } from './send-limits.ts';
import { type SendEntry, SendQueue } from './send-queue.ts';

export type { Deadlines, SendBatch } from './producer-client.ts';
export { createProducerClient, sendBatchWith } from './producer-client.ts';
export { SEND_LIMITS, type SendLimits } from './send-limits.ts';

export type QueueName = 'orders' | 'ledger';

/** A message that SQS has taken. */
export interface AcceptedMessage {
  readonly queue: QueueName;
  readonly messageId: string;
  readonly orderId: string;
  readonly customerId: string | null;
  readonly filePosition: number | null;
}

export interface SendProgress {
  readonly acceptedMessages: number;
  /** As given; undefined if nobody knows. */
  readonly messagesTotal: number | undefined;
  /** Requests attempted. */
  readonly requests: number;
  /** Entries that went into a further request because the one before failed; counted once per such request. */
  readonly retriedEntries: number;
}

export interface SendSummary extends SendProgress {
  readonly sendId: string;
  /** Orders that the queue `orders` has taken. */
  readonly orders: number;
  readonly messages: Readonly<Record<QueueName, number>>;
  readonly seconds: number;
  /** The signal ended it before the last order. */
  readonly interrupted: boolean;
}

/** The monotonic clock, so that a test can own it. */
export interface SendClock {
  nowMs(): number;
  /** Rejects when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export interface SendOptions {
  readonly orders: AsyncIterable<ProducedOrder>;
  readonly queueUrls: Readonly<Record<QueueName, string>>;
  readonly sendBatch: SendBatch;
  /** How many messages there will be, for progress and for errors. */
  readonly messagesTotal?: number;
  /**
   * Begins the deduplication ids, so that a retry never doubles and a second send on purpose delivers again.
   * At most 36 characters, printable ASCII without spaces.
   *
   * @default a random id
   */
  readonly sendId?: string;
  /** Stops reading and lets what is in flight finish. */
  readonly signal?: AbortSignal;
  readonly onAccepted?: (message: AcceptedMessage) => void;
  /** Called after each request. */
  readonly onProgress?: (progress: SendProgress) => void;
  /** @default SEND_LIMITS */
  readonly limits?: Partial<SendLimits>;
  readonly clock?: SendClock;
  readonly random?: () => number;
}

/** Sending ended before the last order. What was accepted by then stays accepted. */
export class SendError extends Error {
  override readonly name = 'SendError';
  readonly summary: SendSummary;

  constructor(fault: string, summary: SendSummary, options?: ErrorOptions) {
    const { acceptedMessages, messagesTotal } = summary;
    const accepted = `${acceptedMessages}${messagesTotal === undefined ? '' : ` of ${messagesTotal}`} messages were accepted`;
    super(`${fault} ${accepted}; send the file again, and the workers store nothing twice.`, options);
    this.summary = summary;
  }
}

/**
 * Sends all orders and waits until each is accepted.
 *
 * @throws SendError when an order cannot be read or sent, or a callback throws; it says how much was accepted.
 */
export async function sendOrders(options: SendOptions): Promise<SendSummary> {
  return new Sending(options).run();
}

const MONOTONIC_CLOCK: SendClock = {
  nowMs: () => performance.now(),
  wait: (ms, signal) => wait(ms, undefined, { signal }),
};

const SEND_ID = /^[!-~]{1,36}$/;

/** One of the two queues, and what is under way to it. */
interface Lane {
  readonly name: QueueName;
  readonly url: string;
  readonly queue: SendQueue;
  requestsInFlight: number;
  accepted: number;
}

class Sending {
  readonly #options: SendOptions;
  readonly #limits: SendLimits;
  readonly #clock: SendClock;
  readonly #random: () => number;
  readonly #sendId: string;
  readonly #startedMs: number;
  readonly #orders: Lane;
  readonly #ledger: Lane;
  #pendingMessages = 0;
  #pendingBytes = 0;
  #requests = 0;
  #retriedEntries = 0;
  #hasReadAll = false;
  #fault: { readonly sentence: string; readonly cause: unknown } | undefined;
  #event = Promise.withResolvers<void>();

  constructor(options: SendOptions) {
    this.#options = options;
    this.#limits = { ...SEND_LIMITS, ...options.limits };
    this.#clock = options.clock ?? MONOTONIC_CLOCK;
    this.#random = options.random ?? Math.random;
    this.#sendId = options.sendId ?? randomUUID();
    assert(SEND_ID.test(this.#sendId), `sendId is ${this.#sendId}; 1 to 36 printable ASCII characters are needed`);
    this.#startedMs = this.#clock.nowMs();
    const lane = (name: QueueName): Lane => ({
      name,
      url: options.queueUrls[name],
      queue: new SendQueue(),
      requestsInFlight: 0,
      accepted: 0,
    });
    this.#orders = lane('orders');
    this.#ledger = lane('ledger');
  }

  async run(): Promise<SendSummary> {
    const { signal } = this.#options;
    const wake = () => this.#wake();
    signal?.addEventListener('abort', wake);
    try {
      this.#hasReadAll = await this.#readAll();
      this.#sendWhatCanGo();
      while (!this.#isStopped && this.#pendingMessages > 0) await this.#nextEvent();
      while (this.#requestsInFlight > 0) await this.#nextEvent();
    } finally {
      signal?.removeEventListener('abort', wake);
    }
    if (this.#fault === undefined) return this.#summary();
    throw new SendError(this.#fault.sentence, this.#summary(), { cause: this.#fault.cause });
  }

  /** Reads to the end and says so, or stops reading early. */
  async #readAll(): Promise<boolean> {
    try {
      for await (const order of this.#options.orders) {
        if (this.#isStopped) return false;
        this.#take(order);
        this.#sendWhatCanGo();
        while (!this.#isStopped && !this.#hasRoom) await this.#nextEvent();
      }
      return true;
    } catch (error) {
      this.#fault ??= { sentence: asSentence(`cannot go on: ${messageOf(error)}`), cause: error };
      return false;
    }
  }

  #take(order: ProducedOrder): void {
    this.#add(this.#orders, { order, groupId: undefined, deduplicationId: undefined });
    if (order.customerId === null) return;
    const deduplicationId = `${this.#sendId}:${order.orderId}`;
    this.#add(this.#ledger, { order, groupId: order.customerId, deduplicationId });
  }

  #add(lane: Lane, entry: SendEntry): void {
    lane.queue.add(entry);
    this.#pendingMessages += 1;
    this.#pendingBytes += entry.order.bodyBytes;
  }

  get #isStopped(): boolean {
    return this.#fault !== undefined || this.#options.signal?.aborted === true;
  }

  get #hasRoom(): boolean {
    return this.#pendingMessages < this.#limits.pendingMessagesMax && this.#pendingBytes < this.#limits.pendingBytesMax;
  }

  get #requestsInFlight(): number {
    return this.#orders.requestsInFlight + this.#ledger.requestsInFlight;
  }

  #sendWhatCanGo(nowMs = this.#clock.nowMs()): void {
    for (const lane of [this.#orders, this.#ledger]) {
      while (!this.#isStopped && lane.requestsInFlight < this.#limits.requestsInFlightMax) {
        const takePart = this.#hasReadAll || (!this.#hasRoom && this.#requestsInFlight === 0);
        const batch = lane.queue.nextBatch(nowMs, takePart);
        if (batch.length === 0) break;
        void this.#send(lane, batch);
      }
    }
  }

  /** One request from beginning to end; whatever happens becomes an outcome, so it never rejects. */
  async #send(lane: Lane, batch: readonly SendEntry[]): Promise<void> {
    lane.requestsInFlight += 1;
    this.#requests += 1;
    this.#retriedEntries += batch.filter((entry) => lane.queue.attemptsOf(entry).count > 1).length;
    let outcomes: EntryOutcome[];
    try {
      const answer = await this.#options.sendBatch({ QueueUrl: lane.url, Entries: batch.map(asRequestEntry) });
      outcomes = outcomesOf(answer, batch.length);
    } catch (error) {
      const failure = failureOf(error);
      outcomes = batch.map(() => ({ name: 'failed', failure }));
    }
    lane.requestsInFlight -= 1;
    try {
      this.#settle(lane, batch, outcomes);
      this.#options.onProgress?.(this.#progress());
    } catch (error) {
      this.#fault ??= { sentence: asSentence(`cannot go on: ${messageOf(error)}`), cause: error };
    }
    this.#sendWhatCanGo();
    this.#wake();
  }

  #settle(lane: Lane, batch: readonly SendEntry[], outcomes: readonly EntryOutcome[]): void {
    // One draw for all that failed in a request, so that they fill a request again.
    const random = this.#random();
    // Everything is booked before any callback runs: one that throws must not leave the others unsettled.
    for (const [index, entry] of batch.entries()) {
      const outcome = outcomes[index]!;
      if (outcome.name === 'accepted') {
        lane.queue.accepted(entry);
        lane.accepted += 1;
        this.#pendingMessages -= 1;
        this.#pendingBytes -= entry.order.bodyBytes;
      } else {
        this.#retryOrGiveUp(lane, entry, outcome.failure, random);
      }
    }
    for (const [index, { order }] of batch.entries()) {
      const outcome = outcomes[index]!;
      if (outcome.name !== 'accepted') continue;
      const { orderId, customerId, filePosition } = order;
      const { messageId } = outcome;
      this.#options.onAccepted?.({ queue: lane.name, messageId, orderId, customerId, filePosition });
    }
  }

  #retryOrGiveUp(lane: Lane, entry: SendEntry, failure: Failure, random: number): void {
    const nowMs = this.#clock.nowMs();
    const attempts = lane.queue.attemptsOf(entry);
    const seconds = (nowMs - attempts.firstMs) / 1000;
    const hasTriedEnough =
      attempts.count >= this.#limits.attemptsMax || nowMs - attempts.firstMs >= this.#limits.tryingMsMax;
    lane.queue.failed(entry, nowMs + backoffMs(attempts.count, random, this.#limits));
    if (!failure.isFinal && !hasTriedEnough) return;
    const what = `cannot send order ${entry.order.orderId} to the queue ${lane.name} (${lane.url})`;
    const tried = failure.isFinal ? '' : ` after ${attempts.count} attempts in ${seconds.toFixed(0)} s`;
    const sentence = `${what}${tried}: ${asSentence(failure.reason)}${failure.advice === '' ? '' : ` ${failure.advice}`}`;
    this.#fault ??= { sentence, cause: failure.cause };
  }

  #wake(): void {
    this.#event.resolve();
    this.#event = Promise.withResolvers<void>();
  }

  /** Waits until a request has ended, sending has been stopped, or a back-off has ended and its entries may go. */
  async #nextEvent(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    // What is due at this very moment goes now, since below only what comes due after it is waited for.
    this.#sendWhatCanGo(nowMs);
    const dueMs = Math.min(
      this.#orders.queue.nextDueMs(nowMs) ?? Number.POSITIVE_INFINITY,
      this.#ledger.queue.nextDueMs(nowMs) ?? Number.POSITIVE_INFINITY,
    );
    if (this.#isStopped || dueMs === Number.POSITIVE_INFINITY) return this.#event.promise;
    const woken = new AbortController();
    try {
      await Promise.race([this.#event.promise, this.#clock.wait(dueMs - nowMs, woken.signal)]);
    } finally {
      woken.abort();
    }
  }

  #progress(): SendProgress {
    return {
      acceptedMessages: this.#orders.accepted + this.#ledger.accepted,
      messagesTotal: this.#options.messagesTotal,
      requests: this.#requests,
      retriedEntries: this.#retriedEntries,
    };
  }

  #summary(): SendSummary {
    return {
      ...this.#progress(),
      sendId: this.#sendId,
      orders: this.#orders.accepted,
      messages: { orders: this.#orders.accepted, ledger: this.#ledger.accepted },
      seconds: (this.#clock.nowMs() - this.#startedMs) / 1000,
      interrupted: this.#options.signal?.aborted === true && (!this.#hasReadAll || this.#pendingMessages > 0),
    };
  }
}

/** Index ids, because an order's id may have characters that SQS does not take in an entry's. */
function asRequestEntry(entry: SendEntry, index: number): SendMessageBatchRequestEntry {
  return {
    Id: String(index),
    MessageBody: entry.order.body,
    ...(entry.groupId === undefined ? {} : { MessageGroupId: entry.groupId }),
    ...(entry.deduplicationId === undefined ? {} : { MessageDeduplicationId: entry.deduplicationId }),
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function asSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
