/**
 * From outcomes to SQS: what is done is deleted, what can never succeed goes to the dead-letter queue with its reason,
 * what has to come again is given back with a delay.
 *
 * A chain is the messages of one FIFO group, or one message of a standard queue. Of a chain the first message that has
 * to come again decides for all behind it: it is given back first, and those behind it only after SQS has confirmed
 * that, so that whatever SQS shows first is the earlier one. At its last receive a message that failed is not given
 * back but rejected here: SQS would move it all the same, without a reason, and those behind it would be received once
 * more for its sake until they were moved too.
 *
 * Holds always: no visibility is changed and no copy is sent for a lease that is lost; a delete is asked for only after
 * the commit, or after the copy is in the dead-letter queue; every delivery is released once.
 */
import assert from 'node:assert/strict';
import type { Logger } from 'pino';
import type { Outcome, RejectionClass } from '../outcome.ts';
import type { Decision } from './attempt.ts';
import { type BackOff, backOffSeconds, CALL_BACK_OFF, MESSAGE_BACK_OFF } from './back-off.ts';
import type { Delivery } from './delivery.ts';
import { printable } from './envelope.ts';
import type { Hand } from './hand.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import type { Outage } from './outage.ts';
import type { QueueClient, QueueFacts } from './queue-client.ts';
import { deadLetterFor, type Rejection } from './rejection.ts';
import type { Settlement } from './settlement.ts';
import { type Surroundings, sleep } from './surroundings.ts';
import type { Telemetry } from './telemetry.ts';

/** A dead-letter queue that is away this often in a row is away for longer: the message comes again. */
const COPY_ATTEMPTS_MAX = 3;
/** Reasons and copies share connections and sockets with commits, deletes and extensions, which must not wait for them. */
export const REJECTIONS_UNDER_WAY_MAX = 8;

export interface SettlingOptions {
  readonly hand: Hand;
  readonly keeper: LeaseKeeper;
  readonly queue: QueueClient;
  readonly facts: QueueFacts;
  readonly queueName: string;
  readonly settlement: Settlement;
  readonly outage: Outage;
  /** Written before the copy is sent, so that the reason is kept even where attributes do not fit. */
  readonly recordRejection: (rejection: Rejection) => Promise<void>;
  /** Whether a rejected message halts its group. */
  readonly halts: boolean;
  readonly telemetry: Telemetry;
  readonly surroundings: Surroundings;
  readonly log: Logger;
}

/** What becomes of a chain whose messages are settled, as far as they can be. */
export interface ChainVerdict {
  /** To be written once more, before what waits behind them. */
  readonly again: readonly Delivery[];
  /** What waits in the chain has to go back too, with this delay; undefined when it may be written. */
  readonly tailDelaySeconds: number | undefined;
}

/** A rejection whose turn has not come. */
interface WaitingRejection {
  readonly delivery: Delivery;
  readonly begin: () => void;
  readonly giveUp: (reason: unknown) => void;
}

const goesOn: ChainVerdict = { again: [], tailDelaySeconds: undefined };

export class Settling {
  readonly #options: SettlingOptions;
  /** Messages that went back since the start; the drain tells. */
  returned = 0;
  #rejectionsUnderWay = 0;
  #waitingRejections: WaitingRejection[] = [];

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** What is in the database needs nothing more than its delete, and nobody waits for that. */
  finish({ delivery, outcome }: Decision): void {
    assert(isInDatabase(outcome), 'only what is committed is deleted for it');
    const { telemetry, surroundings } = this.#options;
    telemetry.count(outcome.name);
    if (outcome.name === 'stored') {
      const { sentTimestampMs } = delivery.message;
      if (sentTimestampMs !== undefined) {
        telemetry.observe('dwellSeconds', (surroundings.wallMs() - sentTimestampMs) / 1000);
      }
    }
    this.#delete(delivery);
  }

  /** The decisions of one chain, in its order. */
  async settle(decisions: readonly Decision[]): Promise<ChainVerdict> {
    const headAt = decisions.findIndex(({ outcome }) => comesAgain(outcome));
    const done = headAt < 0 ? decisions : decisions.slice(0, headAt);
    const copied = done.map((decision) => this.#finishOrReject(decision));
    const head = decisions[headAt];
    const tail = decisions.slice(headAt + 1).map(({ delivery }) => delivery);
    // Of what can never be stored nothing has to be waited for, unless the group halts there.
    const isHaltUnsure = (await Promise.all(copied)).includes(false) && this.#options.halts;
    if (head === undefined) return isHaltUnsure ? { again: [], tailDelaySeconds: this.#leaseSeconds } : goesOn;
    return this.#settleHead(head, tail);
  }

  /** In their order, so that of each chain the earlier is shown first. Those whose lease is lost are let go. */
  async giveBack(deliveries: readonly Delivery[], delaySeconds: (delivery: Delivery) => number): Promise<boolean> {
    const { hand, keeper, settlement, telemetry, facts, surroundings } = this.#options;
    const ours = deliveries.filter((delivery) => hand.holds(delivery));
    telemetry.count('leasesLost', deliveries.length - ours.length);
    telemetry.count('retried', ours.length);
    this.returned += ours.length;
    const handles = ours.map(({ message }) => message.receiptHandle);
    for (const handle of handles) hand.leases.returning(handle);
    await keeper.answered(handles);
    const nowMs = surroundings.monotonicMs();
    const results = await settlement.changeVisibility(
      ours.map((delivery) => {
        const { receiptHandle } = delivery.message;
        const permitted = hand.leases.secondsPermitted(receiptHandle, nowMs);
        return { receiptHandle, visibilityTimeoutSeconds: Math.min(delaySeconds(delivery), permitted) };
      }),
      facts.fifo,
      (receiptHandle) => (hand.leases.leftMs(receiptHandle, surroundings.monotonicMs()) ?? 0) > 0,
    );
    for (const delivery of deliveries) hand.release(delivery);
    return ours.length === deliveries.length && results.every((result) => result === 'done');
  }

  /** How long a message that failed waits: by how often it was received. */
  delaySeconds(backOff: BackOff, { receiveCount }: Delivery): number {
    return Math.max(1, Math.ceil(backOffSeconds(backOff, receiveCount, this.#options.surroundings.random())));
  }

  /** Received once more, it would be in the dead-letter queue. */
  isLastReceive({ receiveCount }: Delivery): boolean {
    const { maxReceiveCount } = this.#options.facts;
    return maxReceiveCount !== undefined && receiveCount >= maxReceiveCount;
  }

  get #leaseSeconds(): number {
    return this.#options.facts.visibilityTimeoutSeconds;
  }

  async #settleHead({ delivery, outcome, backOff }: Decision, tail: readonly Delivery[]): Promise<ChainVerdict> {
    if (outcome.name === 'held') return { again: [delivery, ...tail], tailDelaySeconds: undefined };
    if (outcome.name === 'retried' && this.isLastReceive(delivery) && this.#options.hand.holds(delivery)) {
      const isCopied = await this.#reject(delivery, outcome.reason, 'RetriesExhausted');
      if (isCopied) return { again: this.#options.halts ? [] : tail, tailDelaySeconds: undefined };
      return this.#giveBackTail(tail, this.#leaseSeconds);
    }
    const delaySeconds = this.delaySeconds(backOff, delivery);
    if (outcome.name === 'retried') {
      const { messageId } = delivery.message;
      this.#options.log.info({ messageId, reason: outcome.reason, delaySeconds }, 'given back');
    }
    const isConfirmed = await this.giveBack([delivery], () => delaySeconds);
    // Where nobody knows when the head is shown, its tail waits until it has been.
    return this.#giveBackTail(tail, isConfirmed ? delaySeconds : delaySeconds + this.#leaseSeconds);
  }

  async #giveBackTail(tail: readonly Delivery[], delaySeconds: number): Promise<ChainVerdict> {
    await this.giveBack(tail, () => delaySeconds);
    return { again: [], tailDelaySeconds: delaySeconds };
  }

  /** @returns false when the copy of a rejected message did not reach the dead-letter queue. */
  async #finishOrReject(decision: Decision): Promise<boolean> {
    const { delivery, outcome } = decision;
    if (outcome.name === 'rejected') return this.#reject(delivery, outcome.reason, outcome.errorClass);
    this.finish(decision);
    return true;
  }

  /** Always attempted, whatever became of the lease: what is committed must not come again. */
  #delete(delivery: Delivery): void {
    const { hand, settlement, telemetry, surroundings } = this.#options;
    const { receiptHandle } = delivery.message;
    const leftMs = hand.leases.leftMs(receiptHandle, surroundings.monotonicMs()) ?? 0;
    telemetry.observe('leaseMarginSeconds', Math.max(0, leftMs / 1000));
    settlement.delete(receiptHandle, () => hand.release(delivery));
  }

  /** Send, then delete: whoever is killed in between leaves two copies, never none. One that cannot be sent comes again. */
  async #reject(delivery: Delivery, why: string, errorClass: RejectionClass): Promise<boolean> {
    const { hand, queueName, telemetry, log, halts, facts } = this.#options;
    const { message } = delivery;
    const { messageId } = message;
    const haltsGroup = halts && facts.fifo ? message.messageGroupId : undefined;
    const rejection: Rejection = { queueName, messageId, reason: printable(why), errorClass, haltsGroup };
    try {
      const isCopied = await this.#inTurn(delivery, async () => {
        await this.#record(rejection);
        if (!hand.holds(delivery)) return false;
        await this.#copy(delivery, rejection);
        return true;
      });
      if (!isCopied) {
        telemetry.count('leasesLost');
        hand.release(delivery);
        return false;
      }
    } catch (error) {
      log.warn({ err: error, messageId }, 'could not reject; the message comes again');
      await this.giveBack([delivery], () => this.delaySeconds(MESSAGE_BACK_OFF, delivery));
      return false;
    }
    log.info({ messageId, reason: rejection.reason, errorClass }, 'rejected');
    telemetry.count('rejected');
    this.#delete(delivery);
    return true;
  }

  /** With so many others at most. @throws Error when the dead-letter queue took no copy of those before it. */
  async #inTurn(delivery: Delivery, rejecting: () => Promise<boolean>): Promise<boolean> {
    if (this.#rejectionsUnderWay < REJECTIONS_UNDER_WAY_MAX) this.#rejectionsUnderWay += 1;
    else await new Promise<void>((begin, giveUp) => this.#waitingRejections.push({ delivery, begin, giveUp }));
    try {
      return await rejecting();
    } finally {
      // The next one takes the place.
      const next = this.#waitingRejections.shift();
      if (next === undefined) this.#rejectionsUnderWay -= 1;
      else next.begin();
    }
  }

  /**
   * Whoever waits behind a copy that cannot be sent would hold its place for as long, eight after eight, and nothing else
   * would be received. At its last receive it waits all the same: it would be moved without a reason.
   */
  #giveUpWaiting(error: unknown): void {
    const waiting = this.#waitingRejections;
    this.#waitingRejections = waiting.filter(({ delivery }) => this.isLastReceive(delivery));
    for (const each of waiting) if (!this.isLastReceive(each.delivery)) each.giveUp(error);
  }

  async #copy(delivery: Delivery, rejection: Rejection): Promise<void> {
    const { hand, queue, facts, surroundings } = this.#options;
    const letter = deadLetterFor(delivery.message, rejection, facts.messageBytesMax);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await queue.sendDeadLetter(letter);
      } catch (error) {
        if (attempt >= COPY_ATTEMPTS_MAX) {
          this.#giveUpWaiting(error);
          throw error;
        }
        await sleep(surroundings, backOffSeconds(CALL_BACK_OFF, attempt, surroundings.random()) * 1000);
        if (!hand.holds(delivery)) throw error;
      }
    }
  }

  /** Waits for a database that is away, as handling does: a message is not received again for its sake. */
  async #record(rejection: Rejection): Promise<void> {
    const { recordRejection, outage } = this.#options;
    for (;;) {
      try {
        await recordRejection(rejection);
        // A reason that is written is a commit too: a queue of bad messages alone must not look like an outage.
        outage.committed();
        return;
      } catch (error) {
        outage.began(error instanceof Error ? error.message : String(error));
        if (!(await outage.ended())) throw error;
      }
    }
  }
}

/** Whether the message's effect is in the database, now or since an earlier delivery. */
export function isInDatabase(outcome: Outcome): outcome is Extract<Outcome, { name: 'stored' | 'suppressed' }> {
  return outcome.name === 'stored' || outcome.name === 'suppressed';
}

function comesAgain({ name }: Outcome): boolean {
  return name === 'retried' || name === 'held' || name === 'lost';
}
