/**
 * One attempt at a batch: what each message reads as, and what the handler made of those that can be handled.
 *
 * Holds always: one outcome per message, whatever the handler does; of one chain nothing is handled behind a message
 * that has to come again; a handler whose lease is lost, or that takes too long, is told by its signal and may not
 * commit any more; one that goes on all the same is left behind.
 */
import type { Logger } from 'pino';
import type { Claim, HandledMessage, Outcome } from '../outcome.ts';
import { type BackOff, MESSAGE_BACK_OFF, NEWER_VERSION_BACK_OFF } from './back-off.ts';
import type { Delivery } from './delivery.ts';
import { type MessageSchema, readMessage } from './envelope.ts';
import type { Hand } from './hand.ts';
import type { Liveness } from './liveness.ts';
import type { Surroundings, Timer } from './surroundings.ts';
import type { Telemetry } from './telemetry.ts';

/** A commit that starts with less than this left of its lease might end after it. */
export const COMMIT_MARGIN_MS = 2_000;
/** A write that takes longer than this has lost its way: it may not commit, and its messages come again. */
export const ATTEMPT_MS_MAX = 120_000;
/** By then whatever it asked of PostgreSQL has ended: what it still waits for may never come. */
export const LEFT_BEHIND_MS = 15_000;

/** Never throws for what is a message's or the database's fault: that is an outcome, one per message in their order. */
export type Handler<Payload> = (
  messages: readonly HandledMessage<Payload>[],
  claims: (messages: readonly HandledMessage<Payload>[]) => Claim<Payload>,
) => Promise<readonly Outcome[]>;

export interface Decision {
  readonly delivery: Delivery;
  readonly outcome: Outcome;
  /** By how much it is delayed when it has to come again. */
  readonly backOff: BackOff;
}

export interface AttemptOptions<Payload> {
  readonly hand: Hand;
  readonly fifo: boolean;
  readonly queueName: string;
  readonly schema: MessageSchema<Payload>;
  readonly handle: Handler<Payload>;
  readonly liveness: Liveness;
  readonly telemetry: Telemetry;
  readonly surroundings: Surroundings;
  readonly log: Logger;
}

export class Attempts<Payload> {
  readonly #options: AttemptOptions<Payload>;

  constructor(options: AttemptOptions<Payload>) {
    this.#options = options;
  }

  /** In the order of the batch. */
  async decide(batch: readonly Delivery[]): Promise<Decision[]> {
    const { hand, schema } = this.#options;
    const decisions = new Map<Delivery, Decision>();
    const toHandle = new Map<HandledMessage<Payload>, Delivery>();
    const blocked = new Set<string>();
    const decide = (delivery: Delivery, outcome: Outcome, backOff = MESSAGE_BACK_OFF) => {
      decisions.set(delivery, { delivery, outcome, backOff });
      if (outcome.name !== 'rejected') blocked.add(delivery.chain);
    };
    for (const delivery of batch) {
      if (!hand.holds(delivery)) decide(delivery, { name: 'lost' });
      else if (blocked.has(delivery.chain)) decide(delivery, behindAnother);
      else {
        const reading = readMessage(delivery.message.body, schema);
        if (reading.name === 'invalid') {
          decide(delivery, { name: 'rejected', reason: reading.reason, errorClass: 'InvalidMessage' });
        } else if (reading.name === 'newer') {
          const reason = `version ${reading.version} is newer than this worker`;
          decide(delivery, { name: 'retried', reason }, NEWER_VERSION_BACK_OFF);
        } else toHandle.set(this.#handled(delivery, reading.payload), delivery);
      }
    }
    for (const [delivery, outcome] of await this.#handle(toHandle)) decide(delivery, outcome);
    return batch.map((delivery) => decisions.get(delivery)!);
  }

  async #handle(toHandle: ReadonlyMap<HandledMessage<Payload>, Delivery>): Promise<Map<Delivery, Outcome>> {
    const { handle, liveness, telemetry, surroundings, log, queueName } = this.#options;
    const outcomes = new Map<Delivery, Outcome>();
    const messages = [...toHandle.keys()];
    if (messages.length === 0) return outcomes;
    const beganAtMs = surroundings.monotonicMs();
    const timers: Timer[] = [];
    const tooLate = new Set<HandledMessage<Payload>>();
    liveness.attemptBegan(messages, beganAtMs);
    let results: readonly Outcome[] = [];
    try {
      results = await handle(messages, (claimed) => this.#claim(claimed, toHandle, tooLate, timers));
    } catch (error) {
      log.error({ err: error }, `the handler of ${queueName} failed unexpectedly; its messages come again`);
    } finally {
      liveness.attemptEnded(messages);
      for (const timer of timers) timer.cancel();
    }
    telemetry.observe('handlingSeconds', (surroundings.monotonicMs() - beganAtMs) / 1000);
    telemetry.observe('batchMessages', messages.length);
    messages.forEach((message, index) => {
      const delivery = toHandle.get(message)!;
      delivery.attempt = undefined;
      const outcome = results[index] ?? notAnswered;
      // What lost its right to commit for being slow, while its lease was kept, is given back.
      const isSlow = outcome.name === 'lost' && tooLate.has(message) && this.#options.hand.holds(delivery);
      outcomes.set(delivery, isSlow ? tooSlow : outcome);
    });
    return outcomes;
  }

  #claim(
    claimed: readonly HandledMessage<Payload>[],
    deliveries: ReadonlyMap<HandledMessage<Payload>, Delivery>,
    tooLate: Set<HandledMessage<Payload>>,
    timers: Timer[],
  ): Claim<Payload> {
    const { hand, surroundings } = this.#options;
    const attempt = new AbortController();
    let isTooLate = false;
    const leftBehind = Promise.withResolvers<never>();
    // A handler may have nothing to leave behind, and need not listen.
    leftBehind.promise.catch(() => {});
    for (const message of claimed) deliveries.get(message)!.attempt = attempt;
    timers.push(
      surroundings.after(ATTEMPT_MS_MAX, () => {
        isTooLate = true;
        for (const message of claimed) tooLate.add(message);
        attempt.abort();
        timers.push(surroundings.after(LEFT_BEHIND_MS, () => leftBehind.reject(new Error(tooSlow.reason))));
      }),
    );
    return {
      signal: attempt.signal,
      leftBehind: leftBehind.promise,
      lost: () =>
        isTooLate ? claimed : claimed.filter((message) => !hand.holds(deliveries.get(message)!, COMMIT_MARGIN_MS)),
    };
  }

  #handled({ message }: Delivery, payload: Payload): HandledMessage<Payload> {
    const { messageId, messageGroupId, sequenceNumber } = message;
    const group =
      this.#options.fifo && messageGroupId !== undefined ? { id: messageGroupId, sequenceNumber } : undefined;
    return { messageId, payload, group };
  }
}

const behindAnother: Outcome = { name: 'retried', reason: 'an earlier message of its group comes again' };
const notAnswered: Outcome = { name: 'retried', reason: 'the worker failed to handle it' };
const tooSlow = { name: 'retried', reason: `its write took longer than ${ATTEMPT_MS_MAX / 1000} s` } as const;
