/**
 * What is in a queue, what of it is hidden and until when, and the census of it.
 *
 * Holds always: a message is in the source, in the dead-letter queue, deleted or expired; what is visible is in the
 * source. Only here does a message come, get hidden or leave; whoever shows one adds it to `visible`.
 */
import { Bag } from './bag.ts';
import type { StoredMessage } from './sqs-message.ts';
import type { QueueSurroundings } from './sqs-surroundings.ts';

/** Sequence numbers have 20 digits and do not fit into 64 bits with a sign; between two of a queue others are left out. */
const SEQUENCE_PREFIX = '1885';
const SEQUENCE_STEP_MAX = 512;

export type Arrival = Pick<StoredMessage, 'messageId' | 'sent' | 'group'> & Partial<StoredMessage>;

export class Contents {
  /** All that ever came. */
  readonly messages: StoredMessage[] = [];
  /** The messages that are in the source, from the oldest on, and those of them that are not hidden. */
  readonly source = new Set<StoredMessage>();
  readonly visible = new Bag<StoredMessage>();
  readonly #around: QueueSurroundings;
  /** Told when a message has been hidden for its time. */
  readonly #due: (message: StoredMessage) => void;
  #sequence = 0;

  constructor(around: QueueSurroundings, due: (message: StoredMessage) => void) {
    this.#around = around;
    this.#due = due;
  }

  /** Neither visible nor hidden yet. */
  add(arrival: Arrival): StoredMessage {
    const { scheduler, settings } = this.#around;
    const message: StoredMessage = {
      sentAtMs: scheduler.nowMs,
      sequenceNumber: settings.fifo ? this.#nextSequenceNumber() : undefined,
      deduplicationId: undefined,
      attributes: {},
      movedFrom: undefined,
      receipts: [],
      receiveCount: 0,
      visibleAtMs: scheduler.nowMs,
      isDelayed: false,
      where: 'source',
      quirks: 0,
      ...arrival,
    };
    this.messages.push(message);
    this.source.add(message);
    scheduler.trace(`sent ${message.messageId}`);
    return message;
  }

  hide(message: StoredMessage, untilMs: number): void {
    message.visibleAtMs = untilMs;
    this.visible.delete(message);
    this.#around.scheduler.at(untilMs, () => {
      if (message.where === 'source' && message.visibleAtMs === untilMs) this.#due(message);
    });
  }

  leave(message: StoredMessage, where: StoredMessage['where']): void {
    message.where = where;
    this.source.delete(message);
    this.visible.delete(message);
  }

  /** What is older than the queue keeps messages leaves it. */
  expire(): void {
    const { scheduler, settings } = this.#around;
    if (settings.retentionSeconds === undefined) return;
    for (const message of this.source) {
      if (message.sentAtMs + settings.retentionSeconds * 1000 <= scheduler.nowMs) this.leave(message, 'expired');
    }
  }

  /** How many messages are to be had, in flight, and not yet to be had. */
  census(): { readonly visible: number; readonly inFlight: number; readonly delayed: number } {
    this.expire();
    let [visible, inFlight, delayed] = [0, 0, 0];
    for (const message of this.source) {
      if (this.visible.has(message)) visible += 1;
      else if (message.receipts.length > 0) inFlight += 1;
      else delayed += 1;
    }
    return { visible, inFlight, delayed };
  }

  inFlightRoom(): number {
    const { inFlightMax } = this.#around.settings;
    // Counted only where the limit can be reached at all.
    return this.source.size < inFlightMax ? inFlightMax : inFlightMax - this.census().inFlight;
  }

  #nextSequenceNumber(): string {
    this.#sequence += this.#around.random.between(1, SEQUENCE_STEP_MAX);
    return SEQUENCE_PREFIX + String(this.#sequence).padStart(20 - SEQUENCE_PREFIX.length, '0');
  }
}
