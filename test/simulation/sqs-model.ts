/**
 * A queue with its dead-letter queue, as SQS documents them; where the documentation is silent or allows both, chance
 * decides for each call.
 *
 * It is the service: it knows no network (sqs-client.ts loses requests and answers) and calls back when it answers.
 *
 * Holds always: a message is in the source, in the dead-letter queue, deleted or expired; each receive gives a handle of
 * its own, except one that repeats an attempt; of a FIFO group nothing is shown behind a message in flight.
 */
import { createHash } from 'node:crypto';
import type { MessageAttributeValue } from '@aws-sdk/client-sqs';
import { Bag } from './bag.ts';
import { FiveMinutes } from './five-minutes.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Sent } from './workload.ts';

const LONG_POLL_MS = 20_000;
const RECEIVE_MAX = 10;
const LEASE_SECONDS_MAX = 12 * 3_600;
/** More redeliveries than this of one message by the queue's own doing would march it into the dead-letter queue. */
const QUIRKS_PER_MESSAGE_MAX = 2;
/** Sequence numbers have 20 digits and do not fit into 64 bits with a sign; between two of a queue others are left out. */
const SEQUENCE_PREFIX = '1885';
const SEQUENCE_STEP_MAX = 512;

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
  /** The second reading of a FIFO group's order: see #holdsUpItsGroup. */
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

export type MessageAttributes = Readonly<Record<string, MessageAttributeValue>>;

export interface StoredMessage {
  readonly messageId: string;
  readonly sent: Sent;
  /** Empty where none was named. */
  readonly group: string;
  /** Its enqueue time, from which its retention counts. */
  readonly sentAtMs: number;
  /** FIFO only, growing over the whole queue. */
  readonly sequenceNumber: string | undefined;
  readonly deduplicationId: string | undefined;
  readonly attributes: MessageAttributes;
  /** In a dead-letter queue: the queue that it was moved from. */
  readonly movedFrom: SqsModel | undefined;
  readonly receipts: Receipt[];
  /** Over all queues that it was in; an attempt that is repeated may count once more. */
  receiveCount: number;
  visibleAtMs: number;
  /** Hidden by a change of visibility to other than the queue's own timeout. */
  isDelayed: boolean;
  where: 'source' | 'dead-letter queue' | 'deleted' | 'expired';
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
  /** Whether its visibility was changed. */
  isChanged: boolean;
}

export interface DeadLetterCopy {
  readonly body: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly worker: string;
}

export interface Sending {
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly group: string | undefined;
  readonly deduplicationId: string | undefined;
  readonly delaySeconds: number | undefined;
}

export interface ReceiveRequest {
  readonly worker: string;
  /** When the caller sent it: a lease may count from then on. */
  readonly sentAtMs: number;
  readonly waitSeconds: number;
  readonly messagesMax: number;
  readonly visibilityTimeoutSeconds: number | undefined;
  readonly attemptId: string | undefined;
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

interface Waiter extends ReceiveRequest {
  readonly answer: (receipts: Receipt[]) => void;
  open: boolean;
}

export class SqsModel {
  readonly messages: StoredMessage[] = [];
  readonly copies: DeadLetterCopy[] = [];
  /** A queue of its own, where someone is to receive from it. */
  deadLetterQueue: SqsModel | undefined;
  readonly settings: QueueSettings;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #witness: QueueWitness;
  readonly #count: (what: string) => void;
  /** The messages that are in the source, from the oldest on, and those of them that are not hidden. */
  readonly #source = new Set<StoredMessage>();
  readonly #visible = new Bag<StoredMessage>();
  readonly #receipts = new Map<string, Receipt>();
  readonly #sentBefore: FiveMinutes<StoredMessage>;
  readonly #copiedBefore: FiveMinutes<DeadLetterCopy>;
  readonly #attempts: FiveMinutes<readonly Receipt[]>;
  #waiters: Waiter[] = [];
  #answers = 0;
  #sequence = 0;

  constructor(
    scheduler: Scheduler,
    settings: QueueSettings,
    random: Random,
    witness: QueueWitness,
    count: (what: string) => void,
  ) {
    this.#scheduler = scheduler;
    this.settings = settings;
    this.#random = random;
    this.#witness = witness;
    this.#count = count;
    this.#sentBefore = new FiveMinutes(scheduler);
    this.#copiedBefore = new FiveMinutes(scheduler);
    this.#attempts = new FiveMinutes(scheduler);
  }

  get isEmpty(): boolean {
    return this.#source.size === 0;
  }

  accept(sent: Sent): void {
    this.#add({ messageId: `m${sent.index}`, sent, group: sent.work.group });
  }

  /** By a client, to the queue itself. @returns the message, or the one of the last five minutes that it repeats. */
  send({ body, attributes, group = '', deduplicationId, delaySeconds }: Sending): StoredMessage {
    const { fifo, contentBasedDeduplication, name } = this.settings;
    const content = () => (contentBasedDeduplication === true ? sha256(body) : undefined);
    const id = fifo ? (deduplicationId ?? content()) : undefined;
    const before = id === undefined ? undefined : this.#sentBefore.recall(id);
    if (before !== undefined) return before;
    const messageId = `${name}-${this.messages.length}`;
    const message = this.#add(
      { messageId, sent: unplanned(body, group), group, deduplicationId: id, attributes },
      delaySeconds,
    );
    if (id !== undefined) this.#sentBefore.remember(id, message);
    return message;
  }

  /** @returns a way to hang up. @throws ServiceError when a short poll meets the limit of messages in flight. */
  receive(request: ReceiveRequest, answer: (receipts: Receipt[]) => void): () => void {
    const isShort = request.waitSeconds === 0;
    if (isShort && !this.settings.fifo && this.#inFlightRoom() === 0) throw new ServiceError('OverLimit', 403);
    const waiter: Waiter = { ...request, answer, open: true };
    this.#waiters.push(waiter);
    // A long poll may return early and empty.
    const isEarly = !isShort && this.#quirk('poll ends early');
    const waitMs = Math.min(LONG_POLL_MS, request.waitSeconds * 1000) * (isEarly ? this.#random.next() : 1);
    this.#scheduler.after(waitMs, () => this.#answer(waiter, []));
    this.#serve();
    return () => this.#close(waiter);
  }

  deleteEntry(handle: string): EntryFailure['Code'] | undefined {
    const receipt = this.#receipts.get(handle);
    if (receipt === undefined) return 'ReceiptHandleIsInvalid';
    const { message } = receipt;
    this.#witness.deleteAsked(receipt);
    if (message.where !== 'source') return undefined;
    const isCurrent = message.receipts.at(-1) === receipt;
    const isExpired = message.visibleAtMs <= this.#scheduler.nowMs;
    if (this.settings.fifo && (!isCurrent || isExpired)) return 'InvalidParameterValue';
    if (!isCurrent && this.#random.chance(0.5)) return undefined;
    if (isCurrent && isExpired && this.#quirk('expired handle refused')) return 'ReceiptHandleIsInvalid';
    this.#remove(message);
    return undefined;
  }

  changeEntry(handle: string, seconds: number, sentAtMs: number): EntryFailure['Code'] | undefined {
    const receipt = this.#receipts.get(handle);
    if (receipt === undefined) return 'ReceiptHandleIsInvalid';
    const { message } = receipt;
    const { nowMs } = this.#scheduler;
    const isCurrent = message.receipts.at(-1) === receipt;
    if (message.where !== 'source') return 'InvalidParameterValue';
    if (message.visibleAtMs <= nowMs && !(isCurrent && this.#mayChangeExpired())) return 'MessageNotInflight';
    if (!isCurrent) {
      if (this.settings.fifo || this.#random.chance(0.5)) return 'InvalidParameterValue';
      const present = message.receipts.at(-1);
      if (present !== undefined) present.explained = true;
      this.#count('queue: a superseded handle changes the present lease');
    }
    if (this.#isBeyondTwelveHours(receipt, seconds)) return 'InvalidParameterValue';
    this.#scheduler.trace(`hidden ${message.messageId} ${seconds}`);
    receipt.isChanged = true;
    message.isDelayed = seconds % this.settings.visibilityTimeoutSeconds !== 0;
    // It counts from the call: from somewhere between its request and its answer.
    this.#hide(message, this.#random.uniform(Math.max(sentAtMs, nowMs - 1_000), nowMs) + seconds * 1000);
    if (seconds === 0) this.#visible.add(message);
    return undefined;
  }

  /** At the instant at which the worker sends it. */
  deleteSent(handle: string): void {
    const receipt = this.#receipts.get(handle);
    if (receipt !== undefined) this.#witness.deleteSent(receipt);
  }

  changeSent(handle: string, seconds: number): void {
    const receipt = this.#receipts.get(handle);
    if (receipt !== undefined) this.#witness.changeAsked(receipt, seconds);
  }

  entryFailed(handle: string): void {
    const receipt = this.#receipts.get(handle);
    if (receipt !== undefined) this.#witness.entryFailed(receipt);
  }

  malformed(worker: string, code: string): ServiceError {
    this.#witness.malformed(worker, code);
    return new ServiceError(code, 400);
  }

  /** By a worker, to the dead-letter queue. */
  copy(copy: DeadLetterCopy, deduplicationId: string | undefined): void {
    if (this.settings.fifo && deduplicationId !== undefined) {
      if (this.#copiedBefore.recall(deduplicationId) !== undefined) return;
      this.#copiedBefore.remember(deduplicationId, copy);
    }
    this.#scheduler.trace(`copied ${copy.attributes.get('RejectionMessageId')}`);
    this.copies.push(copy);
    this.#witness.copied(copy);
  }

  /** As a dead-letter queue. A standard one keeps the enqueue time, so that retention has begun; FIFO sets it anew. */
  takeOver({ messageId, sent, group, sentAtMs, attributes, receiveCount }: StoredMessage, movedFrom: SqsModel): void {
    const identity = this.settings.fifo ? { deduplicationId: messageId } : { sentAtMs };
    this.#add({ messageId, sent, group, attributes, receiveCount, movedFrom, ...identity }, 0);
  }

  /** What a person starts on a dead-letter queue: its messages become new ones of the queues that they came from. */
  moveBack(): number {
    const moved = [...this.#source].filter((message) => this.#visible.has(message));
    for (const message of moved) {
      const { sent, group, deduplicationId, attributes, movedFrom } = message;
      if (movedFrom === undefined) continue;
      this.#leave(message, 'deleted');
      const messageId = `${message.messageId}-again`;
      movedFrom.#add({ messageId, sent, group, deduplicationId, attributes });
    }
    return moved.length;
  }

  /** How many messages are to be had, in flight, and not yet to be had. */
  census(): { readonly visible: number; readonly inFlight: number; readonly delayed: number } {
    this.#expire();
    let [visible, inFlight, delayed] = [0, 0, 0];
    for (const message of this.#source) {
      if (this.#visible.has(message)) visible += 1;
      else if (message.receipts.length > 0) inFlight += 1;
      else delayed += 1;
    }
    return { visible, inFlight, delayed };
  }

  #add(
    arrival: Pick<StoredMessage, 'messageId' | 'sent' | 'group'> & Partial<StoredMessage>,
    delaySeconds = this.settings.delaySeconds ?? 0,
  ): StoredMessage {
    const { nowMs } = this.#scheduler;
    const message: StoredMessage = {
      sentAtMs: nowMs,
      sequenceNumber: this.settings.fifo ? this.#nextSequenceNumber() : undefined,
      deduplicationId: undefined,
      attributes: {},
      movedFrom: undefined,
      receipts: [],
      receiveCount: 0,
      visibleAtMs: nowMs,
      isDelayed: false,
      where: 'source',
      quirks: 0,
      ...arrival,
    };
    this.messages.push(message);
    this.#source.add(message);
    this.#scheduler.trace(`sent ${message.messageId}`);
    if (delaySeconds > 0) this.#hide(message, nowMs + delaySeconds * 1000);
    else this.#show(message);
    return message;
  }

  #serve(): void {
    if (this.#waiters.length === 0 || this.#source.size === 0) return;
    for (const waiter of this.#random.shuffled(this.#waiters)) {
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
    const { fifo, maxReceiveCount } = this.settings;
    this.#answers += 1;
    let room = Math.min(waiter.messagesMax, this.#inFlightRoom());
    // A standard queue asks some of its hosts, so it may show fewer than there are.
    if (!fifo && this.#quirk('sample')) room = Math.min(room, this.#random.between(0, RECEIVE_MAX));
    const receipts: Receipt[] = [];
    this.#expire();
    for (const message of fifo ? this.#inOrder(room) : this.#inAnyOrder()) {
      if (receipts.length >= room) break;
      if (message.receiveCount >= maxReceiveCount) this.#redrive(message);
      else receipts.push(this.#handOut(message, waiter));
    }
    if (waiter.attemptId !== undefined && receipts.length > 0) this.#attempts.remember(waiter.attemptId, receipts);
    return receipts;
  }

  /** Each is taken out, or hidden, before the next is drawn. */
  *#inAnyOrder(): Generator<StoredMessage> {
    while (this.#visible.size > 0) yield this.#visible.draw(this.#random);
  }

  /** As far as `room` goes, not counting those that are to be redriven. */
  #inOrder(room: number): StoredMessage[] {
    const { groupSearchMax, maxReceiveCount } = this.settings;
    const visible: StoredMessage[] = [];
    const heldUp = new Set<string>();
    let [left, searched] = [this.#visible.size === 0 ? 0 : room, 0];
    for (const message of this.#source) {
      if (left <= 0 || searched >= groupSearchMax) break;
      searched += 1;
      if (!this.#visible.has(message)) {
        if (this.#holdsUpItsGroup(message)) heldUp.add(message.group);
      } else if (!heldUp.has(message.group)) {
        visible.push(message);
        if (message.receiveCount < maxReceiveCount) left -= 1;
      }
    }
    return visible;
  }

  /**
   * A message in flight does. Whether one does that was given back with a delay, the documentation leaves to its reader,
   * since it calls both invisible: by the first reading it does, by the second, `delayedHeadsArePassed`, it does not.
   * An extension is told from a delay by asking for the queue's own visibility timeout, once or several times.
   */
  #holdsUpItsGroup(message: StoredMessage): boolean {
    return !(this.settings.delayedHeadsArePassed && message.isDelayed);
  }

  /** An attempt to receive that is repeated within five minutes brings the same, unless it was touched meanwhile. */
  #again({ attemptId, visibilityTimeoutSeconds }: Waiter): Receipt[] | undefined {
    if (attemptId === undefined || !this.settings.fifo) return undefined;
    const receipts = this.#attempts.recall(attemptId) ?? [];
    const { nowMs } = this.#scheduler;
    const isUntouched = (receipt: Receipt) => {
      const { where, receipts: handedOut, visibleAtMs } = receipt.message;
      return where === 'source' && handedOut.at(-1) === receipt && !receipt.isChanged && visibleAtMs > nowMs;
    };
    if (receipts.length === 0 || !receipts.every(isUntouched)) return undefined;
    const isCounted = this.#random.chance(0.5);
    for (const { message } of receipts) {
      if (isCounted) message.receiveCount += 1;
      this.#hide(message, nowMs + (visibilityTimeoutSeconds ?? this.settings.visibilityTimeoutSeconds) * 1000);
    }
    return [...receipts];
  }

  #handOut(message: StoredMessage, { worker, sentAtMs, visibilityTimeoutSeconds }: Waiter): Receipt {
    const { nowMs } = this.#scheduler;
    message.receiveCount += 1;
    message.isDelayed = false;
    // As long and as full of signs as real ones: it is no id for a batch's entry.
    const handle = `${message.messageId}+${message.receipts.length + 1}/${'A'.repeat(80)}==`;
    const receipt: Receipt = {
      handle,
      message,
      worker,
      atMs: nowMs,
      askedAtMs: sentAtMs,
      answer: this.#answers,
      explained: false,
      isChanged: false,
    };
    this.#receipts.set(handle, receipt);
    message.receipts.push(receipt);
    this.#scheduler.trace(`handed ${handle.slice(0, 8)} ${worker}`);
    this.#witness.received(receipt);
    if (!this.settings.fifo && this.#quirk('duplicate delivery', message)) {
      receipt.explained = true;
      this.#hide(message, nowMs + this.#random.uniform(0, 5_000));
    } else {
      const seconds = visibilityTimeoutSeconds ?? this.settings.visibilityTimeoutSeconds;
      this.#hide(message, this.#random.uniform(Math.max(sentAtMs, nowMs - 100), nowMs) + seconds * 1000);
    }
    return receipt;
  }

  #hide(message: StoredMessage, untilMs: number): void {
    message.visibleAtMs = untilMs;
    this.#visible.delete(message);
    this.#scheduler.at(untilMs, () => {
      if (message.where !== 'source' || message.visibleAtMs !== untilMs) return;
      // SQS moves a message at the end of its last lease, or when it would be received once more.
      if (message.receiveCount >= this.settings.maxReceiveCount && this.#random.chance(0.5)) this.#redrive(message);
      else this.#show(message);
    });
  }

  #show(message: StoredMessage): void {
    this.#visible.add(message);
    this.#serve();
  }

  #remove(message: StoredMessage): void {
    this.#scheduler.trace(`deleted ${message.messageId}`);
    // A host that was away during the delete may show the message once more.
    if (!this.settings.fifo && this.#quirk('comes again after its delete', message)) {
      message.receipts.at(-1)!.explained = true;
      this.#hide(message, this.#scheduler.nowMs + this.#random.uniform(0, 30_000));
      return;
    }
    this.#leave(message, 'deleted');
    this.#serve();
  }

  #redrive(message: StoredMessage): void {
    this.#scheduler.trace(`redriven ${message.messageId}`);
    this.#leave(message, 'dead-letter queue');
    this.#witness.redriven(message);
    this.deadLetterQueue?.takeOver(message, this);
    this.#scheduler.after(0, () => this.#serve());
  }

  #expire(): void {
    const { retentionSeconds } = this.settings;
    if (retentionSeconds === undefined) return;
    for (const message of this.#source) {
      if (message.sentAtMs + retentionSeconds * 1000 <= this.#scheduler.nowMs) this.#leave(message, 'expired');
    }
  }

  #leave(message: StoredMessage, where: StoredMessage['where']): void {
    message.where = where;
    this.#source.delete(message);
    this.#visible.delete(message);
  }

  #inFlightRoom(): number {
    const { inFlightMax } = this.settings;
    // Counted only where the limit can be reached at all.
    return this.#source.size < inFlightMax ? inFlightMax : inFlightMax - this.census().inFlight;
  }

  #mayChangeExpired(): boolean {
    return !this.settings.fifo && this.#quirk('expired handle changes visibility');
  }

  /** From this receive on, or from the message's first: the documentation can be read both ways. */
  #isBeyondTwelveHours({ atMs, message }: Receipt, seconds: number): boolean {
    const endMs = this.#scheduler.nowMs + (seconds - LEASE_SECONDS_MAX) * 1000;
    if (endMs > atMs) return true;
    return endMs > message.receipts[0]!.atMs && this.#random.chance(0.5);
  }

  #nextSequenceNumber(): string {
    this.#sequence += this.#random.between(1, SEQUENCE_STEP_MAX);
    return SEQUENCE_PREFIX + String(this.#sequence).padStart(20 - SEQUENCE_PREFIX.length, '0');
  }

  /** Whether the queue does, this time, what it may do. */
  #quirk(name: string, message?: StoredMessage): boolean {
    const { sqsQuirks, faultsEndMs } = this.settings;
    if (this.#scheduler.nowMs >= faultsEndMs || !this.#random.chance(sqsQuirks)) return false;
    if (message !== undefined) {
      if (message.quirks >= QUIRKS_PER_MESSAGE_MAX) return false;
      message.quirks += 1;
    }
    this.#count(`queue: ${name}`);
    return true;
  }
}

/** What no workload planned: nothing is known of its fate. */
function unplanned(body: string, group: string): Sent {
  return { index: -1, fate: 'stored', work: { id: '', group, place: 0, value: '' }, body, sendAtMs: 0 };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
