/**
 * How many receives may be under way: one while the queue is quiet, more as receives come back full.
 *
 * One waiting long poll costs three requests a minute; every further one only pays while there is a backlog,
 * and several polls on a trickle would split it into receives of one message each. A receive that is half full says
 * neither: SQS asks some of its servers and not all, and answers with what it found although there may be more.
 *
 * What comes on a quiet queue is written before the next receive goes out: sending one keeps the thread busy for a
 * millisecond, for which that message would wait.
 *
 * Holds always: at most `POLLS_MAX` are wanted, and at least one but for that moment. Only the consumer changes it.
 */
import { MESSAGES_PER_RECEIVE_MAX } from './queue-client.ts';

/**
 * One core spends about two milliseconds on a receive of ten and its delete, and SQS answers in 10 to 20 ms: sixteen
 * keep the core busy. More would only move the queue into this process.
 */
export const POLLS_MAX = 16;

/** A write takes less where nothing is wrong, and a message that arrives meanwhile waits no longer. */
export const WRITING_FIRST_MS_MAX = 10;

export class PollerControl {
  #wanted = 1;
  #isWritingFirst = false;

  get wanted(): number {
    return this.#isWritingFirst ? 0 : this.#wanted;
  }

  get isWritingFirst(): boolean {
    return this.#isWritingFirst;
  }

  received(messages: number): void {
    const isQuiet = messages < MESSAGES_PER_RECEIVE_MAX / 2;
    if (messages >= MESSAGES_PER_RECEIVE_MAX) this.#wanted = Math.min(this.#wanted + 1, POLLS_MAX);
    else if (messages === 0) this.#wanted = 1;
    else if (isQuiet) this.#wanted = Math.max(1, this.#wanted - 1);
    this.#isWritingFirst = messages > 0 && isQuiet && this.#wanted === 1;
  }

  /** A batch is written, or `WRITING_FIRST_MS_MAX` have passed. */
  written(): void {
    this.#isWritingFirst = false;
  }

  failed(): void {
    this.#wanted = 1;
  }
}
