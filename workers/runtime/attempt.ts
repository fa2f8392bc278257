/**
 * One attempt at a batch: what each message reads as, and what the handler made of those that can be handled.
 *
 * Holds always: one outcome per message, whatever the handler does; of one chain nothing is handled behind a message
 * that has to come again; a handler whose lease is lost, or that takes too long, is told by its signal and may not
 * commit any more.
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
    liveness.attemptBegan(messages, beganAtMs);
    let results: readonly Outcome[] = [];
    try {
      results = await handle(messages, (claimed) => this.#claim(claimed, toHandle, timers));
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
      outcomes.set(delivery, this.#outcome(delivery, results[index] ?? notAnswered));
    });
    return outcomes;
  }

  /** What lost its right to commit for being slow, while its lease was kept, is given back. */
  #outcome(delivery: Delivery, outcome: Outcome): Outcome {
    return outcome.name === 'lost' && this.#options.hand.holds(delivery) ? tooSlow : outcome;
  }

  #claim(
    claimed: readonly HandledMessage<Payload>[],
    deliveries: ReadonlyMap<HandledMessage<Payload>, Delivery>,
    timers: Timer[],
  ): Claim<Payload> {
    const { hand, surroundings } = this.#options;
    const attempt = new AbortController();
    let isTooLate = false;
    for (const message of claimed) deliveries.get(message)!.attempt = attempt;
    timers.push(
      surroundings.after(ATTEMPT_MS_MAX, () => {
        isTooLate = true;
        attempt.abort();
      }),
    );
    return {
      signal: attempt.signal,
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
const tooSlow: Outcome = { name: 'retried', reason: `its write took longer than ${ATTEMPT_MS_MAX / 1000} s` };
