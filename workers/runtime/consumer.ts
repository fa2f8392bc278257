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
import type { Logger } from 'pino';
import type { Outcome } from '../outcome.ts';
import { backOffSeconds, CALL_BACK_OFF, MESSAGE_BACK_OFF, NEWER_VERSION_BACK_OFF } from './back-off.ts';
import { Breaker } from './breaker.ts';
import { type MessageSchema, readMessage } from './envelope.ts';
import { LeaseTable } from './lease-table.ts';
import { PollerControl } from './poller-control.ts';
import { MESSAGES_PER_RECEIVE_MAX, type QueueClient, type QueueFacts, type ReceivedMessage } from './queue-client.ts';
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
    const keeping = this.#keepLeases();
    await this.#poll();
    const report = await this.#drain();
    this.#finished.abort();
    await keeping;
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
      messages = withoutRepeats(await queue.receive(this.#pollAbort.signal));
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
    const readings = messages.map((message) => readMessage(message.body, this.#options.schema));
    const outcomes = new Map<ReceivedMessage, Outcome>();
    const delays = new Map<ReceivedMessage, number>();
    const waitingGroups = new Map<string, number>();
    const toHandle: { message: ReceivedMessage; payload: Payload }[] = [];
    messages.forEach((message, index) => {
      const reading = readings[index]!;
      const group = message.messageGroupId;
      const groupDelaySeconds = this.#options.facts.fifo && group !== undefined ? waitingGroups.get(group) : undefined;
      if (reading.name === 'invalid') {
        outcomes.set(message, { name: 'rejected', reason: reading.reason, errorClass: 'InvalidMessage' });
      } else if (groupDelaySeconds !== undefined) {
        outcomes.set(message, behindAnother);
        delays.set(message, groupDelaySeconds);
      } else if (reading.name === 'newer') {
        const delaySeconds = this.#delaySeconds(NEWER_VERSION_BACK_OFF, message.receiveCount);
        outcomes.set(message, { name: 'retried', reason: `version ${reading.version} is newer than this worker` });
        delays.set(message, delaySeconds);
        if (group !== undefined) waitingGroups.set(group, delaySeconds);
      } else {
        toHandle.push({ message, payload: reading.payload });
      }
    });
    for (const [message, outcome] of await this.#handleUntilKnown(toHandle)) {
      const group = this.#options.facts.fifo ? message.messageGroupId : undefined;
      outcomes.set(message, outcome);
      if (outcome.name !== 'retried' && outcome.name !== 'held') continue;
      // A group's tail waits exactly as long as its head: shown earlier, it could be taken before it.
      const delaySeconds =
        (group === undefined ? undefined : waitingGroups.get(group)) ??
        this.#delaySeconds(MESSAGE_BACK_OFF, message.receiveCount);
      delays.set(message, delaySeconds);
      if (group !== undefined) waitingGroups.set(group, delaySeconds);
    }
    return messages.map((message) => ({
      message,
      outcome: outcomes.get(message)!,
      delaySeconds: this.#stopping.signal.aborted ? 0 : (delays.get(message) ?? 0),
    }));
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
          messageGroupId: this.#options.facts.fifo ? message.messageGroupId : undefined,
        })),
        mayCommit,
      );
      for (const [index, { message }] of batch.entries()) outcomes.set(message, results[index]!);
      left = batch.filter(({ message }) => outcomes.get(message)!.name === 'held');
      if (left.length === 0) break;
      this.#databaseAway(outcomes.get(left[0]!.message)!);
      if (!(await this.#databaseBack(giveUpAtMs))) break;
    }
    return outcomes;
  }

  #databaseAway(outcome: Outcome): void {
    if (!this.#breaker.admits) return;
    this.#breaker.failed(this.#options.surroundings.monotonicMs());
    const reason = outcome.name === 'held' ? outcome.reason : outcome.name;
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
    await Promise.race([
      this.#outage,
      surroundings.sleep(Math.max(0, giveUpAtMs - surroundings.monotonicMs()), this.#stopping.signal),
    ]);
    return this.#breaker.admits && !this.#stopping.signal.aborted;
  }

  async #settle(decisions: readonly Decision[]): Promise<void> {
    const { queue, surroundings, telemetry, log, queueName } = this.#options;
    const toDelete: string[] = [];
    const toReturn: { receiptHandle: string; visibilityTimeoutSeconds: number }[] = [];
    for (const { message, outcome, delaySeconds } of decisions) {
      const rejected = outcome.name === 'rejected' && (await this.#reject(message, outcome));
      if (outcome.name === 'stored' || outcome.name === 'suppressed' || rejected) {
        telemetry.count(rejected ? 'rejected' : outcome.name === 'stored' ? 'stored' : 'suppressed');
        toDelete.push(message.receiptHandle);
      } else if (this.#leases.holds(message.receiptHandle, surroundings.monotonicMs())) {
        telemetry.count('retried');
        toReturn.push({ receiptHandle: message.receiptHandle, visibilityTimeoutSeconds: delaySeconds });
      } else {
        telemetry.count('leasesLost');
      }
      if (outcome.name === 'retried') log.debug({ messageId: message.messageId, reason: outcome.reason }, 'retried');
    }
    for (const { message } of decisions) this.#leases.settling(message.receiptHandle);
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

  /** Send, then delete: whoever is killed in between leaves two copies, never none. */
  async #reject(message: ReceivedMessage, outcome: Outcome & { name: 'rejected' }): Promise<boolean> {
    const { queue, queueName, recordRejection, log } = this.#options;
    const { reason, errorClass } = outcome;
    const rejection = { queueName, messageId: message.messageId, reason, errorClass };
    try {
      await recordRejection(rejection);
      await queue.sendDeadLetter(deadLetterFor(message, rejection));
      log.info({ messageId: message.messageId, reason, errorClass }, 'rejected');
      return true;
    } catch (error) {
      log.warn({ err: error, messageId: message.messageId }, 'could not reject; the message comes again');
      return false;
    }
  }

  async #keepLeases(): Promise<void> {
    const { surroundings } = this.#options;
    while (!this.#finished.signal.aborted) {
      await surroundings.sleep(LEASE_CHECK_MS, this.#finished.signal);
      const due = this.#leases.due(surroundings.monotonicMs());
      for (let start = 0; start < due.length; start += MESSAGES_PER_RECEIVE_MAX) {
        await this.#extend(due.slice(start, start + MESSAGES_PER_RECEIVE_MAX));
      }
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

  #delaySeconds(backOff: typeof MESSAGE_BACK_OFF, receiveCount: number): number {
    return Math.max(1, Math.ceil(backOffSeconds(backOff, receiveCount, this.#options.surroundings.random())));
  }
}

/** SQS may name the same delivery twice in one answer; it is one lease. */
function withoutRepeats(messages: readonly ReceivedMessage[]): ReceivedMessage[] {
  return [...new Map(messages.map((message) => [message.receiptHandle, message])).values()];
}

const givenBack: Outcome = { name: 'retried', reason: 'the worker is stopping' };
const behindAnother: Outcome = { name: 'retried', reason: 'an earlier message of its group comes again' };
