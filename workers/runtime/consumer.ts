/**
 * The consumer: takes messages from a queue, has them handled, and settles each by what became of it.
 *
 *   admit → receive → lease → batch → attempt → settle → release
 *
 * Holds always:
 * - capacity is reserved before a receive goes out, so a message never waits for a place in this process;
 * - a message is deleted only after the handler said that it is committed, or its copy is in the dead-letter queue;
 * - of one message group, nothing is handled behind a message that has to come again;
 * - while the database is away nothing is received, and what is in hand is kept;
 * - whatever was received is settled or given back before `run` ends, unless the drain's deadline passes first.
 *
 * It knows SQS; it knows no domain and no SQL. The rooms beside it decide: admission, poller control, batcher, leases,
 * breaker. This only lets things happen in their order.
 */
import type { Logger } from 'pino';
import { Admission } from './admission.ts';
import { Attempts, type Decision, type Handler } from './attempt.ts';
import { backOffSeconds, CALL_BACK_OFF, MESSAGE_BACK_OFF } from './back-off.ts';
import { BATCH_LIMITS, Batcher } from './batcher.ts';
import type { Delivery } from './delivery.ts';
import type { MessageSchema } from './envelope.ts';
import { Hand } from './hand.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { Liveness } from './liveness.ts';
import { HELD_AT_LAST_RECEIVE_MS_MAX, HELD_MS_MAX, Outage } from './outage.ts';
import { PollerControl, WRITING_FIRST_MS_MAX } from './poller-control.ts';
import type { QueueClient, QueueFacts, ReceivedMessage, VisibilityChange } from './queue-client.ts';
import type { Rejection } from './rejection.ts';
import { Settlement } from './settlement.ts';
import { isInDatabase, Settling } from './settling.ts';
import { type Surroundings, sleep, type Timer } from './surroundings.ts';
import type { Telemetry } from './telemetry.ts';

/** Idle long polls end by themselves within 20 s; a drain that has no time for that aborts them. */
const DRAIN_SECONDS_FOR_IDLE_POLLS = 25;
/** What is left of a drain for giving back what was not begun; of a short drain, a quarter. */
const RETURN_MS = 5_000;
/**
 * While a suspect is handled, the leases of all others last this many extensions and more, one more for each chain: if the
 * suspect ends the process, it comes again first and alone, as often as it takes until SQS moves it, and the others come
 * later, each apart, and cost one receive instead of one for each end.
 */
const LEASES_BEHIND_SUSPECT = 5;
/** No lease lasts longer than this many extensions: nobody waits for half a day after a crash. */
const LEASES_APART_MAX = 25;

export interface ConsumerOptions<Payload> {
  readonly queue: QueueClient;
  readonly facts: QueueFacts;
  /** The queue's name, for people and for the dead-letter copy. */
  readonly queueName: string;
  readonly schema: MessageSchema<Payload>;
  readonly handle: Handler<Payload>;
  /** Written before the dead-letter copy is sent, so that the reason is kept even where attributes do not fit. */
  readonly recordRejection: (rejection: Rejection) => Promise<void>;
  /** What a rejected message does to its group on a FIFO queue. @default skip */
  readonly onRejection?: 'skip' | 'halt';
  /** Whether the database would take a write now. */
  readonly probe: () => Promise<boolean>;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly surroundings: Surroundings;
}

export interface DrainReport {
  /** Messages that went back to the queue during the drain. */
  readonly returned: number;
  /** Messages that were still in hand when the deadline passed; SQS shows them again by itself. */
  readonly unsettled: number;
  /** Polls that were cut off; SQS may have assigned messages to them, which come back after a visibility timeout. */
  readonly pollsAborted: number;
  readonly seconds: number;
}

export class Consumer<Payload> {
  readonly #options: ConsumerOptions<Payload>;
  readonly #admission: Admission;
  readonly #hand: Hand;
  readonly #keeper: LeaseKeeper;
  readonly #pollers = new PollerControl();
  readonly #batcher: Batcher<Delivery>;
  readonly #attempts: Attempts<Payload>;
  readonly #settlement: Settlement;
  readonly #settling: Settling;
  readonly #outage: Outage;
  readonly #liveness: Liveness;
  readonly #polls = new Set<Promise<void>>();
  readonly #pollAbort = new AbortController();
  readonly #stopping = new AbortController();
  readonly #finished = new AbortController();
  #pollFailures = 0;
  #pollFailedAtMs = Number.NEGATIVE_INFINITY;
  #firstWriteTimer: Timer | undefined;
  #pollsAborted = 0;
  #drain = { beganAtMs: 0, seconds: 0, returnAtMs: Number.POSITIVE_INFINITY, returnedBefore: 0 };
  #pumpTimer: Timer | undefined;
  #wake: () => void = () => {};

  constructor(options: ConsumerOptions<Payload>) {
    const { queue, facts, queueName, probe, telemetry, log, surroundings, onRejection = 'skip' } = options;
    const { fifo } = facts;
    const halts = onRejection === 'halt';
    const common = { queue, queueName, telemetry, log, surroundings };
    this.#options = options;
    this.#admission = new Admission(facts.messageBytesMax);
    this.#hand = new Hand(facts, this.#admission, surroundings, () => {
      if (this.#batcher.hasSuspects) this.#pump();
      this.#wake();
    });
    const hand = this.#hand;
    this.#keeper = new LeaseKeeper({ ...common, leases: hand.leases });
    // One message of a group at a time where the next depends on what became of it.
    this.#batcher = new Batcher(halts ? { ...BATCH_LIMITS, messagesPerGroup: 1 } : BATCH_LIMITS);
    this.#liveness = new Liveness(surroundings.monotonicMs());
    this.#outage = new Outage({
      ...common,
      probe,
      stopping: this.#stopping.signal,
      onChange: () => {
        this.#pump();
        this.#wake();
      },
    });
    this.#settlement = new Settlement({
      queue,
      fifo,
      surroundings,
      onUnconfirmed: (unconfirmed, err) =>
        log.warn(
          { err, unconfirmed },
          `could not settle ${unconfirmed} of the messages of ${queueName}; what is left comes again`,
        ),
    });
    const { schema, handle, recordRejection } = options;
    this.#attempts = new Attempts({ ...common, hand, fifo, schema, handle, liveness: this.#liveness });
    const parts = { settlement: this.#settlement, outage: this.#outage, recordRejection, halts };
    this.#settling = new Settling({ ...common, ...parts, hand, facts, keeper: this.#keeper });
  }

  /** Ends after `stop`, when everything is settled or the drain's deadline has passed. */
  async run(): Promise<DrainReport> {
    while (!this.#stopping.signal.aborted) {
      while (this.#mayReceive()) this.#startPoll();
      await this.#woken();
    }
    const report = await this.#drained();
    this.#finished.abort();
    this.#keeper.end();
    return report;
  }

  /** Admits nothing new, lets handlers finish, gives back the rest. Idempotent. */
  stop(drainSeconds: number): void {
    if (this.#stopping.signal.aborted) return;
    const { surroundings } = this.#options;
    const beganAtMs = surroundings.monotonicMs();
    const drainMs = drainSeconds * 1000;
    const returnAtMs = beganAtMs + drainMs - Math.min(RETURN_MS, drainMs / 4);
    this.#drain = { beganAtMs, seconds: drainSeconds, returnAtMs, returnedBefore: this.#settling.returned };
    this.#stopping.abort();
    if (drainSeconds < DRAIN_SECONDS_FOR_IDLE_POLLS) {
      this.#pollsAborted = this.#polls.size;
      this.#pollAbort.abort();
    }
    this.#settlement.hurry();
    surroundings.after(returnAtMs - beganAtMs, () => this.#pump());
    this.#pump();
    this.#wake();
  }

  /** Whether the process does its work; it does not depend on the database. */
  get isAlive(): boolean {
    const nowMs = this.#options.surroundings.monotonicMs();
    // With no poll under way and none to start, there is a reason not to poll.
    if (this.#polls.size === 0 && !this.#mayReceive()) this.#liveness.polled(nowMs);
    return this.#liveness.isAlive(nowMs);
  }

  /** What the metrics tell of this moment. */
  get gauges(): { breakerOpen: number; messagesInProcess: number; placesTaken: number } {
    return {
      breakerOpen: this.#outage.state === 'closed' ? 0 : 1,
      messagesInProcess: this.#hand.size,
      placesTaken: this.#admission.taken,
    };
  }

  async #drained(): Promise<DrainReport> {
    const { surroundings } = this.#options;
    const { beganAtMs, seconds, returnedBefore } = this.#drain;
    let isOver = false;
    const deadline = sleep(surroundings, seconds * 1000, this.#finished.signal).then(() => {
      isOver = true;
    });
    while (!isOver && (this.#polls.size > 0 || this.#hand.size > 0)) await Promise.race([this.#woken(), deadline]);
    const report = {
      returned: this.#settling.returned - returnedBefore,
      unsettled: this.#hand.size,
      pollsAborted: this.#pollsAborted,
      seconds: (surroundings.monotonicMs() - beganAtMs) / 1000,
    };
    this.#options.telemetry.observe('drainSeconds', report.seconds);
    return report;
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #mayReceive(): boolean {
    if (this.#stopping.signal.aborted || !this.#admission.hasRoom || this.#batcher.hasSuspects) return false;
    if (this.#outage.state === 'closed') return this.#polls.size < this.#pollers.wanted;
    // One receive is the trial, where nothing in hand can be it.
    return this.#outage.state === 'half-open' && this.#polls.size === 0 && this.#hand.size === 0;
  }

  #startPoll(): void {
    this.#admission.reserve();
    if (this.#hand.size === 0) this.#outage.nothingKept();
    this.#liveness.polled(this.#options.surroundings.monotonicMs());
    const poll = this.#receive().finally(() => {
      this.#polls.delete(poll);
      this.#liveness.polled(this.#options.surroundings.monotonicMs());
      if (this.#stopping.signal.aborted) this.#pump();
      this.#wake();
    });
    this.#polls.add(poll);
  }

  async #receive(): Promise<void> {
    const { queue, surroundings, telemetry } = this.#options;
    const requestSentAtMs = surroundings.monotonicMs();
    let messages: ReceivedMessage[] = [];
    try {
      messages = await queue.receive(this.#pollAbort.signal);
      this.#pollers.received(messages.length);
      this.#pollFailures = 0;
      if (this.#pollers.isWritingFirst) {
        this.#firstWriteTimer?.cancel();
        this.#firstWriteTimer = surroundings.after(WRITING_FIRST_MS_MAX, () => this.#pollSoon());
      }
    } catch (error) {
      await this.#pollFailed(error, requestSentAtMs);
    }
    const deliveries = this.#hand.received(messages, requestSentAtMs);
    if (deliveries.length === 0) return;
    telemetry.count('received', deliveries.length);
    this.#keeper.watch(this.#hand.leases.firstDueAtMs(requestSentAtMs));
    // During a drain too: given back, it would be received again by the next poll that has not ended yet.
    for (const delivery of deliveries) this.#batcher.add(delivery);
    this.#pump();
    // The poll was under way when the suspect began.
    if (this.#batcher.isSuspectUnderWay) await this.#setApart();
  }

  #pollSoon(): void {
    this.#pollers.written();
    this.#wake();
  }

  async #pollFailed(error: unknown, requestSentAtMs: number): Promise<void> {
    const { surroundings, log, queueName } = this.#options;
    if (this.#pollAbort.signal.aborted) return;
    this.#pollers.failed();
    // Polls that were under way together fail together, for one reason.
    if (requestSentAtMs > this.#pollFailedAtMs) {
      this.#pollFailedAtMs = surroundings.monotonicMs();
      this.#pollFailures += 1;
      // Told at the first failure and then seldom: an outage must not fill the log.
      if (Math.log2(this.#pollFailures) % 1 === 0) {
        log.warn({ err: error, failures: this.#pollFailures }, `cannot receive from ${queueName}; trying again`);
      }
    }
    const waitMs = backOffSeconds(CALL_BACK_OFF, this.#pollFailures, surroundings.random()) * 1000;
    await sleep(surroundings, waitMs, this.#stopping.signal);
  }

  /** Starts every batch that should be written now, and sets the time at which to look again. */
  #pump(): void {
    const { surroundings } = this.#options;
    const nowMs = surroundings.monotonicMs();
    this.#pumpTimer?.cancel();
    this.#pumpTimer = undefined;
    this.#giveBackWhatWaitsTooLong(nowMs);
    const batches = { closed: Number.POSITIVE_INFINITY, 'half-open': 1, open: 0 }[this.#outage.state];
    // A suspect waits until what was done before it is deleted, and that need not wait for others then.
    if (this.#batcher.hasSuspects) this.#settlement.flush();
    const next = () => this.#batcher.take(nowMs, batches, this.#hand.size === this.#batcher.waiting);
    for (let batch = next(); batch !== undefined; batch = next()) void this.#process(batch);
    const dueAtMs = this.#batcher.dueAtMs;
    if (dueAtMs !== undefined && batches > 1) {
      this.#pumpTimer = surroundings.after(Math.max(0, dueAtMs - nowMs), () => this.#pump());
    }
  }

  async #process(batch: readonly Delivery[]): Promise<void> {
    await this.#setApart(batch);
    const isTrial = this.#outage.state === 'half-open';
    const decided = await this.#attempts.decide(batch);
    const held = decided.find(({ outcome }) => outcome.name === 'held')?.outcome;
    if (held?.name === 'held') this.#outage.began(held.reason);
    const decisions = decided.map((decision) => this.#letGo(decision, isTrial));
    if (decisions.some(({ outcome }) => isInDatabase(outcome))) this.#outage.committed();
    this.#batcher.written();
    this.#pollers.written();
    const chains = Map.groupBy(decisions, ({ delivery }) => delivery.chain);
    for (const [chain, ofChain] of chains) this.#settle(chain, ofChain);
    this.#pump();
    this.#wake();
  }

  /** Not taken for minutes by a database that takes every probe, it may be the message itself: it comes again. */
  #letGo(decision: Decision, isTrial: boolean): Decision {
    const { delivery, outcome } = decision;
    if (outcome.name !== 'held') return decision;
    const nowMs = this.#options.surroundings.monotonicMs();
    delivery.heldSinceMs ??= nowMs;
    const limitMs = this.#settling.isLastReceive(delivery) ? HELD_AT_LAST_RECEIVE_MS_MAX : HELD_MS_MAX;
    if (!isTrial || nowMs < delivery.heldSinceMs + limitMs) return decision;
    return { ...decision, outcome: { name: 'retried', reason: outcome.reason } };
  }

  #settle(chain: string, decisions: readonly Decision[]): void {
    if (!decisions.every(({ outcome }) => isInDatabase(outcome))) void this.#settleInPart(chain, decisions);
    else {
      for (const decision of decisions) this.#settling.finish(decision);
      this.#batcher.free(chain);
    }
  }

  async #settleInPart(chain: string, decisions: readonly Decision[]): Promise<void> {
    const { again, tailDelaySeconds } = await this.#settling.settle(decisions);
    if (tailDelaySeconds !== undefined) {
      await this.#settling.giveBack(this.#batcher.drop(chain), () => tailDelaySeconds);
    }
    const isReady = this.#batcher.free(chain, again);
    if (isReady) this.#pump();
  }

  /** If a suspect ends this process, it must come again before the others do, and they apart from each other. */
  async #setApart(batch: readonly Delivery[] = []): Promise<void> {
    if (!this.#batcher.isSuspectUnderWay) return;
    const extensions = this.#extensions(batch, 1, (_, left) => left > 1);
    const own = extensions.length;
    let leases = LEASES_BEHIND_SUSPECT;
    for (const chain of this.#batcher.waitingByChain) {
      const waiting = chain.filter((delivery) => this.#hand.holds(delivery));
      if (waiting.length === 0) continue;
      // Those that were set apart for a suspect before this one still are, unless that took long.
      const isNear = ({ isSetApart }: Delivery, left: number) =>
        !isSetApart || (batch.length > 0 && left < LEASES_BEHIND_SUSPECT - 1);
      extensions.push(...this.#extensions(waiting, leases, isNear));
      for (const delivery of waiting) delivery.isSetApart = true;
      leases = Math.min(leases + 1, LEASES_APART_MAX);
    }
    this.#tellApart(extensions.slice(own));
    await this.#keeper.extend(extensions);
  }

  /** For who looks at a queue after this process has ended, and sees messages in flight that nobody has. */
  #tellApart(extensions: readonly VisibilityChange[]): void {
    if (extensions.length === 0) return;
    const messagesByDelaySeconds: Record<number, number> = {};
    for (const { visibilityTimeoutSeconds: seconds } of extensions) {
      messagesByDelaySeconds[seconds] = (messagesByDelaySeconds[seconds] ?? 0) + 1;
    }
    this.#options.log.info({ messagesByDelaySeconds }, 'set apart');
  }

  /** To so many extensions from now, those of whose lease so many are left. */
  #extensions(
    deliveries: readonly Delivery[],
    leases: number,
    isWanted: (delivery: Delivery, left: number) => boolean,
  ): VisibilityChange[] {
    const nowMs = this.#options.surroundings.monotonicMs();
    const table = this.#hand.leases;
    return deliveries
      .filter((delivery) => {
        const leftMs = table.leftMs(delivery.message.receiptHandle, nowMs) ?? 0;
        return this.#hand.holds(delivery) && isWanted(delivery, leftMs / 1000 / table.extensionSeconds);
      })
      .map(({ message: { receiptHandle } }) => {
        const wanted = leases * table.extensionSeconds;
        const visibilityTimeoutSeconds = Math.min(wanted, table.secondsPermitted(receiptHandle, nowMs));
        return { receiptHandle, visibilityTimeoutSeconds };
      });
  }

  /** For a database that stays away, and for a drain that comes to its end. What is being written is waited for. */
  #giveBackWhatWaitsTooLong(nowMs: number): void {
    const settling = this.#settling;
    const batcher = this.#batcher;
    // Received once more, what is at its last receive would be dead for the database's fault: it is kept as long as can be.
    const mayGo = (waiting: readonly Delivery[]) => !waiting.some((delivery) => settling.isLastReceive(delivery));
    if (this.#stopping.signal.aborted) {
      // A poll that has not ended yet would only receive it once more.
      const isAway = this.#outage.state !== 'closed' && this.#polls.size === 0;
      if (nowMs >= this.#drain.returnAtMs) void settling.giveBack(batcher.dropReady(), () => 0);
      else if (isAway) void settling.giveBack(batcher.dropReady(mayGo), () => 0);
    } else if (this.#outage.isTooLong) {
      const delays = new Map<string, number>();
      void settling.giveBack(batcher.dropReady(mayGo), (delivery) => {
        const delay = delays.get(delivery.chain) ?? settling.delaySeconds(MESSAGE_BACK_OFF, delivery);
        delays.set(delivery.chain, delay);
        return delay;
      });
    }
  }
}
