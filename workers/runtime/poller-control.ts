/**
 * How many receives may be under way: one while the queue is quiet, more as receives come back full.
 *
 * One waiting long poll costs three requests a minute; every further one only pays while there is a backlog,
 * and several polls on a trickle would split it into receives of one message each.
 *
 * Holds always: at least one is wanted and at most `POLLS_MAX`. Only the consumer changes it.
 */
import { MESSAGES_PER_RECEIVE_MAX } from './queue-client.ts';

/**
 * One core spends about two milliseconds on a receive of ten and its delete, and SQS answers in 10 to 20 ms: sixteen
 * keep the core busy. More would only move the queue into this process.
 */
export const POLLS_MAX = 16;

export class PollerControl {
  #wanted = 1;

  get wanted(): number {
    return this.#wanted;
  }

  received(messages: number): void {
    if (messages >= MESSAGES_PER_RECEIVE_MAX) this.#wanted = Math.min(this.#wanted + 1, POLLS_MAX);
    else if (messages === 0) this.#wanted = 1;
    else this.#wanted = Math.max(1, this.#wanted - 1);
  }

  failed(): void {
    this.#wanted = 1;
  }
}
