/**
 * The places in this process: how many messages, and how many bytes of them, may be here at once.
 *
 * Capacity is reserved for the most that a receive can bring before it goes out, and what it did not bring is given
 * back when it answers, so that no message ever waits for a place and memory has a bound that does not depend on luck.
 *
 * Holds always: neither count of free places is negative, and both are whole again when nothing is here. Only the
 * consumer changes it.
 */
import assert from 'node:assert/strict';
import { MESSAGES_PER_RECEIVE_MAX } from './queue-client.ts';

export interface AdmissionLimits {
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Messages: three batches being written and one that gathers. Bytes: a receive of ten messages of SQS's largest
 * size for each of the sixteen polls (poller-control.ts).
 */
export const ADMISSION_LIMITS: AdmissionLimits = { messages: 400, bytes: 160 * 1_048_576 };

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #bytesPerReceive: number;
  #freeMessages: number;
  #freeBytes: number;

  /** @param messageBytesMax the largest message that the queue takes. */
  constructor(messageBytesMax: number, limits: AdmissionLimits = ADMISSION_LIMITS) {
    this.#limits = limits;
    this.#bytesPerReceive = messageBytesMax * MESSAGES_PER_RECEIVE_MAX;
    this.#freeMessages = limits.messages;
    this.#freeBytes = limits.bytes;
    assert(this.#bytesPerReceive <= limits.bytes, 'one receive must fit into the process');
  }

  /** Whether everything that one more receive can bring would have a place. */
  get hasRoom(): boolean {
    return this.#freeMessages >= MESSAGES_PER_RECEIVE_MAX && this.#freeBytes >= this.#bytesPerReceive;
  }

  /** Messages that are here or may be on their way. */
  get taken(): number {
    return this.#limits.messages - this.#freeMessages;
  }

  reserve(): void {
    assert(this.hasRoom, 'a receive goes out only when there is room for what it can bring');
    this.#freeMessages -= MESSAGES_PER_RECEIVE_MAX;
    this.#freeBytes -= this.#bytesPerReceive;
  }

  /** The receive has answered: what it did not bring is free again. */
  arrived(messages: number, bytes: number): void {
    this.#change(MESSAGES_PER_RECEIVE_MAX - messages, this.#bytesPerReceive - bytes);
  }

  /** A message has left the process. */
  left(bytes: number): void {
    this.#change(1, bytes);
  }

  #change(messages: number, bytes: number): void {
    this.#freeMessages += messages;
    this.#freeBytes += bytes;
    assert(this.#freeMessages <= this.#limits.messages, 'a place is given back once');
    assert(this.#freeBytes <= this.#limits.bytes, 'bytes are given back once');
  }
}
