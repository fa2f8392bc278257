/**
 * The consumer: takes messages from a queue, has them handled, and settles each by what became of it.
 *
 *   admit → receive → lease → read → handle → settle → release
 *
 * Holds always:
 * - capacity is reserved before a receive goes out, so a message never waits for a place in this process;
 * - a message is deleted only after the handler said that it is committed, or its copy is in the dead-letter queue;
 * - of one message group, nothing is handled behind a message that has to come again;
 * - whatever was received is settled or given back before `run` ends, unless the drain's deadline passes first.
 *
 * It knows SQS; it knows no domain and no SQL.
 */
import assert from 'node:assert/strict';
import type { Logger } from 'pino';
import type { Outcome } from '../outcome.ts';
import { type BackOff, backOffSeconds, CALL_BACK_OFF, MESSAGE_BACK_OFF, NEWER_VERSION_BACK_OFF } from './back-off.ts';
import { Breaker } from './breaker.ts';
import { type MessageSchema, printable, readMessage } from './envelope.ts';
import { LeaseTable } from './lease-table.ts';
import { PollerControl } from './poller-control.ts';
import {
  MESSAGES_PER_RECEIVE_MAX,
  type QueueClient,
  type QueueFacts,
  type ReceivedMessage,
  type VisibilityChange,
} from './queue-client.ts';
import { deadLetterFor, type Rejection } from './rejection.ts';
import { changeVisibility, deleteMessages } from './settlement.ts';
import type { Surroundings } from './surroundings.ts';
import type { Telemetry } from './telemetry.ts';

/** Messages in this process at once: enough for four receives being handled and four more under way. */
const MESSAGES_IN_PROCESS_MAX = 80;
/** How often leases are looked at; the shortest is extended when 30 s of it are left. */
const LEASE_CHECK_MS = 1_000;
/** A commit that starts with less than this left of its lease might end after it. */
const COMMIT_MARGIN_MS = 2_000;
/** How long messages are kept for a database that is away, before they are given back. */
const HELD_MS_MAX = 300_000;
/** Idle long polls end by themselves within 20 s; a drain that has no time for that aborts them. */
const DRAIN_SECONDS_FOR_IDLE_POLLS = 25;

export interface HandledMessage<Payload> {
  readonly messageId: string;
  readonly payload: Payload;
  readonly messageGroupId: string | undefined;
}

/** Never throws for what is a message's or the database's fault: that is an outcome, one per message in their order. */
export type Handler<Payload> = (
  messages: readonly HandledMessage<Payload>[],
  mayCommit: () => boolean,
) => Promise<readonly Outcome[]>;

export interface ConsumerOptions<Payload> {
  readonly queue: QueueClient;
  readonly facts: QueueFacts;
  /** The queue's name, for people and for the dead-letter copy. */
  readonly queueName: string;
  readonly schema: MessageSchema<Payload>;
  readonly handle: Handler<Payload>;
  /** Written before the dead-letter copy is sent, so that the reason is kept even where attributes do not fit. */
  readonly recordRejection: (rejection: Rejection) => Promise<void>;
  /** Whether the database would take a write now. */
  readonly probe: () => Promise<boolean>;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly surroundings: Surroundings;
}

export interface DrainReport {
  /** Messages that were still in hand when the deadline passed; SQS shows them again by itself. */
  readonly unsettled: number;
  /** Polls that were cut off; SQS may have assigned messages to them, which come back after a visibility timeout. */
  readonly pollsAborted: number;
  readonly seconds: number;
}

interface Decision {
  readonly message: ReceivedMessage;
  readonly outcome: Outcome;
  readonly delaySeconds: number;
}

export class Consumer<Payload> {
  readonly #options: ConsumerOptions<Payload>;
  readonly #leases: LeaseTable;
  readonly #pollers = new PollerControl();
  readonly #breaker = new Breaker();
  readonly #polls = new Set<Promise<void>>();
  readonly #batches = new Set<Promise<void>>();
  readonly #pollAbort = new AbortController();
  readonly #stopping = new AbortController();
  readonly #finished = new AbortController();
  #permits = MESSAGES_IN_PROCESS_MAX;
  #pollFailures = 0;
  #pollsAborted = 0;
  #drainSeconds = 0;
  /** Probing while the database is away; settles when the breaker has closed, or at a stop. */
  #outage: Promise<void> | undefined;
  #wake: () => void = () => {};

  constructor(options: ConsumerOptions<Payload>) {
    this.#options = options;
    this.#leases = new LeaseTable(options.facts.visibilityTimeoutSeconds);
  }

  /** Ends after `stop`, when everything is settled or the drain's deadline has passed. */
  async run(): Promise<DrainReport> {
    void this.#keepLeases();
    await this.#poll();
    const report = await this.#drain();
    this.#finished.abort();
    return report;
  }

  /** Admits nothing new, lets handlers finish, gives back the rest. Idempotent. */
  stop(drainSeconds: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#drainSeconds = drainSeconds;
    this.#stopping.abort();
    if (drainSeconds < DRAIN_SECONDS_FOR_IDLE_POLLS) {
      this.#pollsAborted = this.#polls.size;
      this.#pollAbort.abort();
    }
    this.#wake();
  }

  async #drain(): Promise<DrainReport> {
    const { surroundings } = this.#options;
    const startedMs = surroundings.monotonicMs();
    const settled = async () => {
      while (this.#polls.size > 0 || this.#batches.size > 0) await Promise.race([...this.#polls, ...this.#batches]);
    };
    await Promise.race([settled(), surroundings.sleep(this.#drainSeconds * 1000, this.#finished.signal)]);
    const seconds = (surroundings.monotonicMs() - startedMs) / 1000;
    return { unsettled: this.#leases.size, pollsAborted: this.#pollsAborted, seconds };
  }

  async #poll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      while (this.#mayReceive()) this.#startPoll();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #mayReceive(): boolean {
    return (
      !this.#stopping.signal.aborted &&
      this.#breaker.admits &&
      this.#polls.size < this.#pollers.wanted &&
      this.#permits >= MESSAGES_PER_RECEIVE_MAX
    );
  }

  #startPoll(): void {
    this.#permits -= MESSAGES_PER_RECEIVE_MAX;
    const poll = this.#receive().finally(() => {
      this.#polls.delete(poll);
      this.#wake();
    });
    this.#polls.add(poll);
  }

  async #receive(): Promise<void> {
    const { queue, surroundings, telemetry, log, queueName } = this.#options;
    const requestSentAtMs = surroundings.monotonicMs();
    let messages: ReceivedMessage[] = [];
    try {
      messages = this.#withoutRepeats(await queue.receive(this.#pollAbort.signal));
      this.#pollers.received(messages.length);
      this.#pollFailures = 0;
    } catch (error) {
      if (this.#pollAbort.signal.aborted) return;
      this.#pollers.failed();
      this.#pollFailures += 1;
      // Told at the first failure and then seldom: an outage must not fill the log.
      if (Math.log2(this.#pollFailures) % 1 === 0) {
        log.warn({ err: error, failures: this.#pollFailures }, `cannot receive from ${queueName}; trying again`);
      }
      const waitMs = backOffSeconds(CALL_BACK_OFF, this.#pollFailures, surroundings.random()) * 1000;
      await surroundings.sleep(waitMs, this.#stopping.signal);
    } finally {
      this.#permits += MESSAGES_PER_RECEIVE_MAX - messages.length;
    }
    if (messages.length === 0) return;
    telemetry.count('received', messages.length);
    for (const message of messages) this.#leases.received(message.receiptHandle, requestSentAtMs);
    this.#startBatch(messages);
  }

  #startBatch(messages: ReceivedMessage[]): void {
    const batch = this.#work(messages)
      .catch((error: unknown) => {
        // A fault of this program: SQS shows the messages again when their leases end.
        this.#options.log.error({ err: error }, `a batch from ${this.#options.queueName} failed unexpectedly`);
      })
      .finally(() => {
        for (const message of messages) this.#leases.released(message.receiptHandle);
        this.#permits += messages.length;
        this.#batches.delete(batch);
        this.#wake();
      });
    this.#batches.add(batch);
  }

  async #work(messages: readonly ReceivedMessage[]): Promise<void> {
    if (this.#stopping.signal.aborted) {
      await this.#settle(messages.map((message) => ({ message, outcome: givenBack, delaySeconds: 0 })));
    } else {
      await this.#settle(await this.#decide(messages));
    }
  }

  /** One decision per message, in their order. */
  async #decide(messages: readonly ReceivedMessage[]): Promise<Decision[]> {
    const decisions = new Map<ReceivedMessage, Decision>();
    /** A group's tail waits exactly as long as its head: shown earlier, it could be taken before it. */
    const groupDelays = new Map<string, number>();
    const comesAgain = (message: ReceivedMessage, outcome: Outcome, delay: () => number) => {
      const group = this.#group(message);
      const delaySeconds = (group === undefined ? undefined : groupDelays.get(group)) ?? delay();
      if (group !== undefined) groupDelays.set(group, delaySeconds);
      decisions.set(message, { message, outcome, delaySeconds });
    };
    const toHandle: { message: ReceivedMessage; payload: Payload }[] = [];
    for (const message of messages) {
      const reading = readMessage(message.body, this.#options.schema);
      if (reading.name === 'invalid') {
        const outcome: Outcome = { name: 'rejected', reason: reading.reason, errorClass: 'InvalidMessage' };
        decisions.set(message, { message, outcome, delaySeconds: 0 });
      } else if (groupDelays.has(this.#group(message) ?? '')) {
        comesAgain(message, behindAnother, () => 0);
      } else if (reading.name === 'newer') {
        const reason = `version ${reading.version} is newer than this worker`;
        comesAgain(message, { name: 'retried', reason }, () => this.#delaySeconds(NEWER_VERSION_BACK_OFF, message));
      } else {
        toHandle.push({ message, payload: reading.payload });
      }
    }
    for (const [message, outcome] of await this.#handleUntilKnown(toHandle)) {
      if (outcome.name !== 'retried' && outcome.name !== 'held') {
        decisions.set(message, { message, outcome, delaySeconds: 0 });
        continue;
      }
      // What only waited for the database has not failed: a worker that stops leaves it to the next at once.
      const isFree = outcome.name === 'held' && this.#stopping.signal.aborted;
      comesAgain(message, outcome, () => (isFree ? 0 : this.#delaySeconds(MESSAGE_BACK_OFF, message)));
    }
    return messages.map((message) => decisions.get(message)!);
  }

  /** Hands over again what was held, as soon as the database is back, while the leases are kept. */
  async #handleUntilKnown(
    toHandle: readonly { message: ReceivedMessage; payload: Payload }[],
  ): Promise<Map<ReceivedMessage, Outcome>> {
    const { handle, surroundings } = this.#options;
    const outcomes = new Map<ReceivedMessage, Outcome>();
    const giveUpAtMs = surroundings.monotonicMs() + HELD_MS_MAX;
    let left = toHandle;
    while (left.length > 0) {
      const batch = left;
      const mayCommit = () =>
        batch.every(({ message }) =>
          this.#leases.holds(message.receiptHandle, surroundings.monotonicMs(), COMMIT_MARGIN_MS),
        );
      const results = await handle(
        batch.map(({ message, payload }) => ({
          messageId: message.messageId,
          payload,
          messageGroupId: this.#group(message),
        })),
        mayCommit,
      );
      for (const [index, { message }] of batch.entries()) outcomes.set(message, results[index]!);
      if (results.some(({ name }) => name === 'stored' || name === 'suppressed')) this.#breaker.committed();
      left = batch.filter((_, index) => results[index]!.name === 'held');
      const held = results.find(({ name }) => name === 'held');
      if (held?.name !== 'held') break;
      this.#databaseAway(held.reason);
      if (!(await this.#databaseBack(giveUpAtMs))) break;
    }
    return outcomes;
  }

  #databaseAway(reason: string): void {
    if (!this.#breaker.admits) return;
    this.#breaker.failed(this.#options.surroundings.monotonicMs());
    this.#options.log.warn({ reason }, `database away: receiving from ${this.#options.queueName} is paused`);
    this.#outage = this.#probeUntilBack();
  }

  async #probeUntilBack(): Promise<void> {
    const { surroundings, probe, log, queueName } = this.#options;
    while (!this.#stopping.signal.aborted && this.#breaker.probeAtMs !== undefined) {
      await surroundings.sleep(
        Math.max(0, this.#breaker.probeAtMs - surroundings.monotonicMs()),
        this.#stopping.signal,
      );
      if (await probe()) {
        this.#breaker.probeAnswered();
        log.info(`database back: receiving from ${queueName} goes on`);
        this.#wake();
      } else {
        this.#breaker.probeFailed(surroundings.monotonicMs());
      }
    }
  }

  /** Whether the database came back before the time to give up, and before a stop. */
  async #databaseBack(giveUpAtMs: number): Promise<boolean> {
    const { surroundings } = this.#options;
    const known = new AbortController();
    const signal = AbortSignal.any([known.signal, this.#stopping.signal]);
    await Promise.race([
      this.#outage,
      surroundings.sleep(Math.max(0, giveUpAtMs - surroundings.monotonicMs()), signal),
    ]);
    known.abort();
    return this.#breaker.admits && !this.#stopping.signal.aborted;
  }

  async #settle(decisions: readonly Decision[]): Promise<void> {
    const isRejected = ({ outcome }: Decision) => outcome.name === 'rejected';
    // Apart, so that what is committed does not wait until copies are in the dead-letter queue.
    await Promise.all([
      this.#tell(decisions.filter((decision) => !isRejected(decision))),
      Promise.all(decisions.filter(isRejected).map((decision) => this.#reject(decision))).then((rejected) =>
        this.#tell(rejected),
      ),
    ]);
  }

  /** Tells SQS: what is done is deleted, what comes again is given back with its delay. */
  async #tell(decisions: readonly Decision[]): Promise<void> {
    const { queue, surroundings, telemetry, log, queueName } = this.#options;
    const toDelete: string[] = [];
    const toReturn: VisibilityChange[] = [];
    for (const { message, outcome, delaySeconds } of decisions) {
      const { messageId, receiptHandle } = message;
      if (outcome.name !== 'retried' && outcome.name !== 'held') {
        telemetry.count(outcome.name);
        toDelete.push(receiptHandle);
      } else if (this.#leases.holds(receiptHandle, surroundings.monotonicMs())) {
        telemetry.count('retried');
        toReturn.push({ receiptHandle, visibilityTimeoutSeconds: delaySeconds });
        log.info({ messageId, reason: outcome.reason, delaySeconds }, 'given back');
      } else {
        telemetry.count('leasesLost');
      }
      this.#leases.settling(receiptHandle);
    }
    const settled = await Promise.all([
      deleteMessages(queue, toDelete, surroundings),
      changeVisibility(queue, toReturn, surroundings),
    ]);
    const unconfirmed = settled.reduce((sum, { unconfirmed: entries }) => sum + entries, 0);
    if (unconfirmed > 0) {
      const err = settled.map(({ lastError }) => lastError).find((error) => error !== undefined);
      log.warn({ err, unconfirmed }, `${unconfirmed} messages of ${queueName} could not be settled; they come again`);
    }
  }

  /** Send, then delete: whoever is killed in between leaves two copies, never none. One that cannot be sent comes again. */
  async #reject(decision: Decision): Promise<Decision> {
    const { queue, queueName, log } = this.#options;
    const { message, outcome } = decision;
    assert(outcome.name === 'rejected', 'only what can never succeed is rejected');
    const { messageId } = message;
    const rejection = { queueName, messageId, reason: printable(outcome.reason), errorClass: outcome.errorClass };
    try {
      await this.#record(rejection);
      await queue.sendDeadLetter(deadLetterFor(message, rejection));
      log.info({ messageId, reason: rejection.reason, errorClass: rejection.errorClass }, 'rejected');
      return decision;
    } catch (error) {
      log.warn({ err: error, messageId }, 'could not reject; the message comes again');
      return { message, outcome: notRejected, delaySeconds: this.#delaySeconds(MESSAGE_BACK_OFF, message) };
    }
  }

  /** Waits for a database that is away, as handling does: a message is not received again for its sake. */
  async #record(rejection: Rejection): Promise<void> {
    const { recordRejection, surroundings } = this.#options;
    const giveUpAtMs = surroundings.monotonicMs() + HELD_MS_MAX;
    for (;;) {
      try {
        await recordRejection(rejection);
        return;
      } catch (error) {
        this.#databaseAway(error instanceof Error ? error.message : String(error));
        if (!(await this.#databaseBack(giveUpAtMs))) throw error;
      }
    }
  }

  async #keepLeases(): Promise<void> {
    const { surroundings } = this.#options;
    for (;;) {
      await surroundings.sleep(LEASE_CHECK_MS, this.#finished.signal);
      // What is left when the drain's time is over is for others, and soon.
      if (this.#finished.signal.aborted) return;
      const due = this.#leases.due(surroundings.monotonicMs());
      const extensions: Promise<void>[] = [];
      // At once, not one after the other: a call that hangs must not let the leases behind it end.
      for (let start = 0; start < due.length; start += MESSAGES_PER_RECEIVE_MAX) {
        extensions.push(this.#extend(due.slice(start, start + MESSAGES_PER_RECEIVE_MAX)));
      }
      await Promise.all(extensions);
    }
  }

  async #extend(receiptHandles: readonly string[]): Promise<void> {
    const { queue, facts, surroundings, log, queueName } = this.#options;
    const requestSentAtMs = surroundings.monotonicMs();
    try {
      const results = await queue.changeVisibilityBatch(
        receiptHandles.map((receiptHandle) => ({
          receiptHandle,
          visibilityTimeoutSeconds: facts.visibilityTimeoutSeconds,
        })),
      );
      receiptHandles.forEach((receiptHandle, index) => {
        if (results[index] === 'done') this.#leases.extended(receiptHandle, requestSentAtMs);
        else if (results[index] === 'gone') this.#leases.lost(receiptHandle);
      });
    } catch (error) {
      // Half of the lease is left: it is tried again every second.
      log.warn({ err: error }, `cannot extend leases of ${queueName}; trying again`);
    }
  }

  /** SQS may name the same delivery twice, in one answer or in two; it is one lease. */
  #withoutRepeats(messages: readonly ReceivedMessage[]): ReceivedMessage[] {
    const byHandle = new Map(messages.map((message) => [message.receiptHandle, message]));
    return [...byHandle.values()].filter(({ receiptHandle }) => !this.#leases.has(receiptHandle));
  }

  /** Undefined where order does not matter: on a standard queue a group is only a tenant to be fair to. */
  #group(message: ReceivedMessage): string | undefined {
    return this.#options.facts.fifo ? message.messageGroupId : undefined;
  }

  #delaySeconds(backOff: BackOff, message: ReceivedMessage): number {
    const { random } = this.#options.surroundings;
    return Math.max(1, Math.ceil(backOffSeconds(backOff, message.receiveCount, random())));
  }
}

const givenBack: Outcome = { name: 'retried', reason: 'the worker is stopping' };
const notRejected: Outcome = { name: 'retried', reason: 'it could not be put into the dead-letter queue' };
const behindAnother: Outcome = { name: 'retried', reason: 'an earlier message of its group comes again' };
