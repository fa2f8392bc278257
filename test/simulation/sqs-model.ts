/**
 * A queue with its dead-letter queue, as SQS documents them; where the documentation is silent or allows both, chance
 * decides for each call.
 *
 * It is the service: it knows no network (sqs-client.ts loses requests and answers) and calls back when it answers.
 *
 * Holds always: a message is in the source, in the dead-letter queue, or deleted; each receive gives a handle of its
 * own; of a FIFO group nothing is shown behind a message in flight.
 */
import type { Configuration } from './configuration.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Sent } from './workload.ts';

const LONG_POLL_MS = 20_000;
const RECEIVE_MAX = 10;
const LEASE_MS_MAX = 12 * 3_600_000;
const DEDUPLICATION_MS = 300_000;
/** More redeliveries than this of one message by the queue's own doing would march it into the dead-letter queue. */
const QUIRKS_PER_MESSAGE_MAX = 2;

export interface StoredMessage {
  readonly messageId: string;
  readonly sent: Sent;
  readonly group: string;
  readonly sentAtMs: number;
  readonly receipts: Receipt[];
  visibleAtMs: number;
  where: 'source' | 'dead-letter queue' | 'deleted';
  quirks: number;
}

/** One hand-out of a message to one worker. */
export interface Receipt {
  readonly handle: string;
  readonly message: StoredMessage;
  readonly worker: string;
  readonly atMs: number;
  /** When the receive that brought it was sent; the same for all that came with it. */
  readonly askedAtMs: number;
  /** Which answer it came in. */
  readonly answer: number;
  /** Whether something other than the worker's own doing explains that the message had to come again. */
  explained: boolean;
}

export interface DeadLetterCopy {
  readonly body: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly worker: string;
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
  /** A batch that SQS refuses as a whole for its form. */
  malformed(worker: string, code: string): void;
}

export interface EntryFailure {
  readonly Id: string;
  readonly SenderFault: boolean;
  readonly Code: string;
}

export class ServiceError extends Error {
  readonly status: number;

  constructor(name: string, status: number) {
    super(name);
    this.name = name;
    this.status = status;
  }
}

interface Waiter {
  readonly worker: string;
  readonly sentAtMs: number;
  readonly answer: (receipts: Receipt[]) => void;
  open: boolean;
}

export class SqsModel {
  readonly messages: StoredMessage[] = [];
  readonly copies: DeadLetterCopy[] = [];
  readonly #scheduler: Scheduler;
  readonly #configuration: Configuration;
  readonly #random: Random;
  readonly #witness: QueueWitness;
  readonly #count: (what: string) => void;
  readonly #receipts = new Map<string, Receipt>();
  readonly #deduplication = new Map<string, number>();
  #waiters: Waiter[] = [];
  #answers = 0;

  constructor(
    scheduler: Scheduler,
    configuration: Configuration,
    random: Random,
    witness: QueueWitness,
    count: (what: string) => void,
  ) {
    this.#scheduler = scheduler;
    this.#configuration = configuration;
    this.#random = random;
    this.#witness = witness;
    this.#count = count;
  }

  get isEmpty(): boolean {
    return this.messages.every(({ where }) => where !== 'source');
  }

  accept(sent: Sent): void {
    const { nowMs } = this.#scheduler;
    const message: StoredMessage = {
      messageId: `m${sent.index}`,
      sent,
      group: sent.work.group,
      sentAtMs: nowMs,
      receipts: [],
      visibleAtMs: nowMs,
      where: 'source',
      quirks: 0,
    };
    this.messages.push(message);
    this.#scheduler.trace(`sent ${message.messageId}`);
    this.#serve();
  }

  /** @param sentAtMs when the caller sent it: a lease may count from then on. @returns a way to hang up. */
  receive(worker: string, sentAtMs: number, waitSeconds: number, answer: (receipts: Receipt[]) => void): () => void {
    const waiter: Waiter = { worker, sentAtMs, answer, open: true };
    this.#waiters.push(waiter);
    // A long poll may return early and empty.
    const isEarly = this.#quirk('poll ends early');
    const waitMs = Math.min(LONG_POLL_MS, waitSeconds * 1000) * (isEarly ? this.#random.next() : 1);
    this.#scheduler.after(waitMs, () => this.#answer(waiter, []));
    this.#serve();
    return () => this.#close(waiter);
  }

  deleteEntry(handle: string): EntryFailure['Code'] | undefined {
    const receipt = this.#receipt(handle);
    const { message } = receipt;
    this.#witness.deleteAsked(receipt);
    if (message.where !== 'source') return undefined;
    const isCurrent = message.receipts.at(-1) === receipt;
    const isExpired = message.visibleAtMs <= this.#scheduler.nowMs;
    if (this.#configuration.fifo && (!isCurrent || isExpired)) return 'InvalidParameterValue';
    if (!isCurrent && this.#random.chance(0.5)) return undefined;
    if (isCurrent && isExpired && this.#quirk('expired handle refused')) return 'ReceiptHandleIsInvalid';
    this.#remove(message);
    return undefined;
  }

  changeEntry(handle: string, seconds: number, sentAtMs: number): EntryFailure['Code'] | undefined {
    const receipt = this.#receipt(handle);
    const { message } = receipt;
    const { nowMs } = this.#scheduler;
    if (message.where !== 'source' || message.visibleAtMs <= nowMs) return 'InvalidParameterValue';
    if (message.receipts.at(-1) !== receipt) {
      if (this.#configuration.fifo || this.#random.chance(0.5)) return 'InvalidParameterValue';
      const present = message.receipts.at(-1);
      if (present !== undefined) present.explained = true;
      this.#count('queue: a superseded handle changes the present lease');
    }
    if (nowMs + seconds * 1000 > receipt.atMs + LEASE_MS_MAX) return 'InvalidParameterValue';
    this.#scheduler.trace(`hidden ${message.messageId} ${seconds}`);
    // It counts from the call: from somewhere between its request and its answer.
    this.#hide(message, this.#random.uniform(Math.max(sentAtMs, nowMs - 1_000), nowMs) + seconds * 1000);
    return undefined;
  }

  /** At the instant at which the worker sends it. */
  deleteSent(handle: string): void {
    this.#witness.deleteSent(this.#receipt(handle));
  }

  changeSent(handle: string, seconds: number): void {
    this.#witness.changeAsked(this.#receipt(handle), seconds);
  }

  entryFailed(handle: string): void {
    this.#witness.entryFailed(this.#receipt(handle));
  }

  malformed(worker: string, code: string): ServiceError {
    this.#witness.malformed(worker, code);
    return new ServiceError(code, 400);
  }

  copy(copy: DeadLetterCopy, deduplicationId: string | undefined): void {
    const { nowMs } = this.#scheduler;
    if (this.#configuration.fifo) {
      if (deduplicationId === undefined) throw new ServiceError('MissingParameter', 400);
      if (nowMs - (this.#deduplication.get(deduplicationId) ?? Number.NEGATIVE_INFINITY) < DEDUPLICATION_MS) return;
      this.#deduplication.set(deduplicationId, nowMs);
    }
    this.#scheduler.trace(`copied ${copy.attributes.get('RejectionMessageId')}`);
    this.copies.push(copy);
    this.#witness.copied(copy);
  }

  #serve(): void {
    for (const waiter of this.#random.shuffled(this.#waiters)) {
      if (!waiter.open) continue;
      const receipts = this.#take(waiter);
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

  #take({ worker, sentAtMs }: Waiter): Receipt[] {
    const { fifo, inFlightMax, maxReceiveCount } = this.#configuration;
    const { nowMs } = this.#scheduler;
    const inSource = this.messages.filter(({ where }) => where === 'source');
    const inFlight = inSource.filter(({ visibleAtMs }) => visibleAtMs > nowMs).length;
    this.#answers += 1;
    let room = Math.min(RECEIVE_MAX, inFlightMax - inFlight);
    // A standard queue asks some of its hosts, so it may show fewer than there are.
    if (!fifo && this.#quirk('sample')) room = Math.min(room, this.#random.between(0, RECEIVE_MAX));
    const receipts: Receipt[] = [];
    const lockedGroups = new Set<string>();
    for (const message of fifo ? inSource : this.#random.shuffled(inSource)) {
      if (receipts.length >= room) break;
      if (message.visibleAtMs > nowMs) lockedGroups.add(message.group);
      if (message.visibleAtMs > nowMs || (fifo && lockedGroups.has(message.group))) continue;
      if (message.receipts.length >= maxReceiveCount) this.#redrive(message);
      else receipts.push(this.#handOut(message, worker, sentAtMs));
    }
    return receipts;
  }

  #handOut(message: StoredMessage, worker: string, sentAtMs: number): Receipt {
    const { visibilityTimeoutSeconds, fifo } = this.#configuration;
    const { nowMs } = this.#scheduler;
    const number = message.receipts.length + 1;
    // As long and as full of signs as real ones: it is no id for a batch's entry.
    const handle = `${message.messageId}+${number}/${'A'.repeat(80)}==`;
    const receipt: Receipt = {
      handle,
      message,
      worker,
      atMs: nowMs,
      askedAtMs: sentAtMs,
      answer: this.#answers,
      explained: false,
    };
    this.#receipts.set(handle, receipt);
    message.receipts.push(receipt);
    this.#scheduler.trace(`handed ${handle.slice(0, 8)} ${worker}`);
    this.#witness.received(receipt);
    if (!fifo && this.#quirk('duplicate delivery', message)) {
      receipt.explained = true;
      this.#hide(message, nowMs + this.#random.uniform(0, 5_000));
    } else {
      this.#hide(
        message,
        this.#random.uniform(Math.max(sentAtMs, nowMs - 100), nowMs) + visibilityTimeoutSeconds * 1000,
      );
    }
    return receipt;
  }

  #hide(message: StoredMessage, untilMs: number): void {
    message.visibleAtMs = untilMs;
    this.#scheduler.at(untilMs, () => {
      if (message.where !== 'source' || message.visibleAtMs !== untilMs) return;
      // SQS moves a message at the end of its last lease, or when it would be received once more.
      if (message.receipts.length >= this.#configuration.maxReceiveCount && this.#random.chance(0.5)) {
        this.#redrive(message);
      }
      this.#serve();
    });
  }

  #remove(message: StoredMessage): void {
    this.#scheduler.trace(`deleted ${message.messageId}`);
    // A host that was away during the delete may show the message once more.
    if (!this.#configuration.fifo && this.#quirk('comes again after its delete', message)) {
      message.receipts.at(-1)!.explained = true;
      this.#hide(message, this.#scheduler.nowMs + this.#random.uniform(0, 30_000));
      return;
    }
    message.where = 'deleted';
    this.#serve();
  }

  #redrive(message: StoredMessage): void {
    this.#scheduler.trace(`redriven ${message.messageId}`);
    message.where = 'dead-letter queue';
    this.#witness.redriven(message);
    this.#scheduler.after(0, () => this.#serve());
  }

  #receipt(handle: string): Receipt {
    const receipt = this.#receipts.get(handle);
    if (receipt === undefined) throw new ServiceError('ReceiptHandleIsInvalid', 400);
    return receipt;
  }

  /** Whether the queue does, this time, what it may do. */
  #quirk(name: string, message?: StoredMessage): boolean {
    const { sqsQuirks, faultsEndMs } = this.#configuration;
    if (this.#scheduler.nowMs >= faultsEndMs || !this.#random.chance(sqsQuirks)) return false;
    if (message !== undefined) {
      if (message.quirks >= QUIRKS_PER_MESSAGE_MAX) return false;
      message.quirks += 1;
    }
    this.#count(`queue: ${name}`);
    return true;
  }
}
