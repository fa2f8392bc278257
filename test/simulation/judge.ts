/**
 * The invariants, judged from the database's commit log and the queue's history: never from what a worker claims.
 *
 * It knows what was sent and what must become of it (workload.ts), and is told of every receive, delete, redrive, copy
 * and commit at the instant at which it takes effect.
 */
import type { Configuration } from './configuration.ts';
import type { DatabaseWitness, PostgresModel, Transaction } from './postgres-model.ts';
import type { Incarnation } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { DeadLetterCopy, QueueWitness, Receipt, SqsModel, StoredMessage } from './sqs-model.ts';
import { flakyFailures, POISON, type Sent, type Work } from './workload.ts';

export type Invariant =
  /** At most one committed effect per key, and equal to what a payload of that key says. */
  | 'effect'
  /** Every delete is asked for after the commit or the dead-letter copy; at the end nothing is missing. */
  | 'no loss'
  /** A copy is of a message that is invalid, with the right class, its reason recorded; SQS moves only what faults explain. */
  | 'dead letters are earned'
  /** Of a group, nothing commits before what was sent earlier and is still there. */
  | 'order'
  /** No commit is sent without a lease on everything in it; what was given back is not hidden again. */
  | 'lease'
  /** An entry that SQS failed by its own fault is asked for again, a bounded number of times. */
  | 'settlement'
  /** While the database is away nothing is received by who knows it, and nothing comes again that was held. */
  | 'outage'
  /** Polls, messages and connections of a worker within their limits; batches as SQS takes them. */
  | 'bounds'
  /** A worker that is told to stop ends by its deadline, and leaves nothing behind when nothing is wrong. */
  | 'drain'
  /** When the faults are over, everything settles within a computed time. */
  | 'liveness'
  /** Without faults: one receive a message, no extension, few deletes. */
  | 'cost'
  /** Two transactions never wait for each other in a circle. */
  | 'no deadlock'
  /** A worker does not end by itself. */
  | 'worker lives';

export const INVARIANTS: readonly Invariant[] = [
  'effect',
  'no loss',
  'dead letters are earned',
  'order',
  'lease',
  'settlement',
  'outage',
  'bounds',
  'drain',
  'liveness',
  'cost',
  'no deadlock',
  'worker lives',
];

export interface Violation {
  readonly invariant: Invariant;
  readonly detail: string;
}

/** As poller-control.ts and admission.ts have them. */
const POLLS_MAX = 16;
const MESSAGES_IN_PROCESS_MAX = 400;
/** A bisection that is under way when the first connection is refused is carried to its end. */
const NOTICE_MS = 20_000;
/** As settlement.ts has it. */
const SETTLE_ATTEMPTS_MAX = 5;
/** The longest back-off after four attempts is 1.6 s; the answer that tells of a failed entry is on its way for 30 ms. */
const ASKED_AGAIN_MS_MAX = 2_000;
/** As outage.ts has it. */
const HELD_MS_MAX = 300_000;
/** A poll that is under way when the outage is met may bring a message so much later, which is held so much shorter. */
const LONG_POLL_MS = 20_000;
/** A poison costs a healthy message a receive for each of the two times when nobody suspects it, and one more. */
const RECEIVES_PER_POISON_MAX = 3;
const VIOLATIONS_KEPT_MAX = 5;
/** A fault this long before a receive may explain it: a request that arrives late, a connection that lingers. */
const FAULT_REACH_MS = 60_000;

export class Judge implements QueueWitness, DatabaseWitness {
  readonly violations: Violation[] = [];
  readonly outages: { readonly fromMs: number; readonly toMs: number }[] = [];
  readonly incarnations = new Map<string, Incarnation>();
  queue!: SqsModel;
  database!: PostgresModel;
  readonly #scheduler: Scheduler;
  readonly #configuration: Configuration;
  readonly #count: (what: string) => void;
  readonly #effects = new Map<string, Work>();
  readonly #copied = new Set<string>();
  readonly #givenBack = new Set<Receipt>();
  /** Groups of which the queue showed a message although an earlier one was delayed. */
  readonly #passedByQueue = new Set<string>();
  /** Of each group, the message that was sent last of those that were committed. */
  readonly #furthest = new Map<string, StoredMessage>();
  readonly #deletes = new Map<Receipt, { asked: number; failedAtMs: number | undefined }>();

  constructor(scheduler: Scheduler, configuration: Configuration, count: (what: string) => void) {
    this.#scheduler = scheduler;
    this.#configuration = configuration;
    this.#count = count;
  }

  /** Something happened that the invariant speaks of. */
  judged(invariant: Invariant): void {
    this.#count(`judged: ${invariant}`);
  }

  violated(invariant: Invariant, detail: string): void {
    this.#scheduler.trace(`violated ${invariant}: ${detail}`);
    if (this.violations.length < VIOLATIONS_KEPT_MAX) this.violations.push({ invariant, detail });
  }

  received(receipt: Receipt): void {
    this.judged('bounds');
    this.judged('outage');
    const { worker, askedAtMs, message } = receipt;
    const process = this.incarnations.get(worker);
    const polls = process?.pollsUnderWay ?? 0;
    if (polls > POLLS_MAX) this.violated('bounds', `${worker} has ${polls} polls under way`);
    const places = process?.placesTaken() ?? 0;
    if (places > MESSAGES_IN_PROCESS_MAX) this.violated('bounds', `${worker} has ${places} places taken`);
    if (process !== undefined && this.#knowsOfOutage(process, askedAtMs)) {
      this.violated('outage', `${worker} receives ${message.messageId} although it knows that the database is away`);
    }
    this.#noteIfPassing(message);
    const before = message.receipts.at(-2);
    if (before === undefined) return;
    this.#judgeOutage(before, message);
    this.#judgeSettlement(before);
  }

  #noteIfPassing({ group, sent }: StoredMessage): void {
    if (!this.#configuration.fifo || !this.#configuration.delayedHeadsArePassed) return;
    const isPassed = (earlier: StoredMessage) =>
      earlier.where === 'source' && earlier.group === group && earlier.sent.index < sent.index && earlier.isDelayed;
    if (!this.queue.messages.some(isPassed)) return;
    this.#count('queue: a delayed head is passed');
    this.#passedByQueue.add(group);
  }

  changeAsked(receipt: Receipt, seconds: number): void {
    this.judged('lease');
    const { visibilityTimeoutSeconds } = this.#configuration;
    // Those that are set apart from a suspect get several leases at once.
    const isExtension = seconds > 0 && seconds % visibilityTimeoutSeconds === 0;
    if (!isExtension) this.#givenBack.add(receipt);
    else if (this.#givenBack.has(receipt)) {
      this.violated('lease', `${receipt.worker} hides ${receipt.message.messageId} again after giving it back`);
    }
  }

  malformed(worker: string, code: string): void {
    this.violated('bounds', `${worker} sends a batch that SQS refuses: ${code}`);
  }

  /** The process ended by what it wrote: what else it had in hand comes again, a bounded number of times. */
  poisoned(process: Incarnation): void {
    process.poisonedAtMs = this.#scheduler.nowMs;
  }

  deleteSent(receipt: Receipt): void {
    this.#deletes.set(receipt, { asked: (this.#deletes.get(receipt)?.asked ?? 0) + 1, failedAtMs: undefined });
  }

  entryFailed(receipt: Receipt): void {
    this.judged('settlement');
    const deletes = this.#deletes.get(receipt);
    if (deletes !== undefined) deletes.failedAtMs = this.#scheduler.nowMs;
  }

  deleteAsked(receipt: Receipt): void {
    this.judged('no loss');
    const { message, worker } = receipt;
    if (this.#isCommitted(message.sent) || this.#copied.has(message.messageId)) return;
    this.violated('no loss', `${worker} deletes ${message.messageId}, which is neither committed nor copied`);
  }

  redriven(message: StoredMessage): void {
    this.judged('dead letters are earned');
    const { sent } = message;
    if (sent.fate === 'moved') return;
    if (this.#isCommitted(sent)) this.#count('state: stored, and moved by SQS after its last delete failed');
    const wasted = message.receipts.filter(
      (receipt, index) => !this.#isExplained(receipt, message.receipts[index + 1]),
    );
    // A poison's cost has a bound of its own.
    const isBehindDoomed = (receipt: Receipt) => this.#isBehindDoomed(receipt, ({ value }) => value !== POISON);
    const own = wasted.filter((receipt) => this.#mustGoOn(receipt) || !isBehindDoomed(receipt));
    const flaky = this.#flakyFailuresBefore(message);
    if (own.length - this.#poisonedAmong(own) <= flaky) this.#count('state: moved by SQS after faults');
    else this.#judgeWasted(message, wasted);
  }

  /** At its last receive: whatever it is behind was received as often, and lets it go on, but where the queue passed that. */
  #mustGoOn(receipt: Receipt): boolean {
    const { group, receipts } = receipt.message;
    return receipt === receipts.at(-1) && !this.#passedByQueue.has(group);
  }

  /** Receives that the write function costs a message: its own failures, and on FIFO those of what it waits behind. */
  #flakyFailuresBefore(message: StoredMessage): number {
    return this.queue.messages
      .filter((each) => each === message || this.#mayHoldUp(each, message))
      .reduce((sum, each) => sum + flakyFailures(each.sent.work), 0);
  }

  /** Whether one may have been shown before the other: in the order of a group, but where the queue itself passed it. */
  #mayHoldUp(one: StoredMessage, { sent, group }: StoredMessage): boolean {
    if (!this.#configuration.fifo || one.group !== group) return false;
    return one.sent.index < sent.index || this.#passedByQueue.has(group);
  }

  #judgeWasted({ messageId, sent }: StoredMessage, wasted: readonly Receipt[]): void {
    const when = wasted.map(({ atMs, worker }) => `${Math.round(atMs / 1000)} s by ${worker}`).join(', ');
    this.violated(
      'dead letters are earned',
      `SQS moved ${messageId} (${sent.fate}); no fault explains the receives at ${when}`,
    );
  }

  copied({ body, attributes }: DeadLetterCopy): void {
    this.judged('dead letters are earned');
    const messageId = attributes.get('RejectionMessageId') ?? '';
    const message = this.queue.messages.find((each) => each.messageId === messageId);
    if (message === undefined) {
      this.violated('dead letters are earned', `a copy of an unknown message ${messageId}`);
      return;
    }
    const { sent } = message;
    const errorClass = attributes.get('RejectionClass') ?? '';
    if (this.#copied.has(messageId)) this.#count('state: a second copy in the dead-letter queue');
    this.#copied.add(messageId);
    if (body !== sent.body) this.violated('dead letters are earned', `the copy of ${messageId} has another body`);
    if (!this.database.rejections.has(messageId)) {
      this.violated('dead letters are earned', `the reason for rejecting ${messageId} is not recorded`);
    }
    if (!this.#isEarned(message, errorClass)) {
      this.violated('dead letters are earned', `${messageId} (${sent.fate}) was rejected as ${errorClass}`);
    }
  }

  #isEarned(message: StoredMessage, errorClass: string): boolean {
    const { sent, receipts } = message;
    if (errorClass === sent.fate) return true;
    if (errorClass === 'KeyReused') {
      const other = this.#effects.get(sent.work.id);
      return sent.fate === 'stored or KeyReused' && other !== undefined && !isSame(other, sent.work);
    }
    if (errorClass === 'RetriesExhausted') {
      if (receipts.length < this.#configuration.maxReceiveCount) return false;
      // A worker does at its last receive what SQS would do at the next: what holds for that holds here.
      this.#count('state: rejected after its last receive');
      this.redriven(message);
      return true;
    }
    // Where the queue itself showed a later one first, that one has moved the fence, or halted the group.
    const isPassed = this.#passedByQueue.has(message.group);
    if (errorClass === 'OutOfOrder') return isPassed || this.#isPassed(message);
    if (errorClass === 'GroupHalted') return isPassed || this.#isHalted(message, this.database.rejections);
    return false;
  }

  /** Whether a message before it in its group was rejected, where that halts a group: its reason halts, its copy comes later. */
  #isHalted({ sent, group }: StoredMessage, rejected: ReadonlySet<string> = this.#copied): boolean {
    if (!this.#configuration.halts) return false;
    return this.queue.messages.some(
      (other) => other.group === group && other.sent.index < sent.index && rejected.has(other.messageId),
    );
  }

  /**
   * Whether a committed transaction moved its group's fence past it, for a reason that counts: what would never be stored
   * may be passed, and the reason of a second delivery is that it was.
   */
  #isPassed({ sent, group, sequenceNumber }: StoredMessage): boolean {
    this.#count('state: rejected because its group went on without it');
    const fence = this.database.fences.get(group);
    return fence !== undefined && fence.sequence > BigInt(sequenceNumber ?? -1) && sent.fate !== 'stored';
  }

  /** At the instant at which the worker sends it. */
  commitSent(process: Incarnation, transaction: Transaction): void {
    this.judged('lease');
    this.judged('no deadlock');
    for (const { id } of transaction.effects) {
      const receipts = this.queue.messages.flatMap((message) =>
        message.sent.work.id === id ? message.receipts.filter(({ worker }) => worker === process.name) : [],
      );
      if (receipts.some((receipt) => this.#isLeased(receipt))) continue;
      transaction.late.add(id);
      if (receipts.every(({ explained }) => !explained)) {
        this.violated('lease', `${process.name} sends the commit of ${id} without a lease`);
      }
    }
  }

  committed(transaction: Transaction): void {
    this.judged('effect');
    if (this.#configuration.fifo) this.judged('order');
    const together: Work[] = [];
    for (const work of transaction.effects) {
      const meant = this.queue.messages.filter(({ sent }) => isSame(sent.work, work) && sent.fate.startsWith('stored'));
      if (meant.length === 0) this.violated('effect', `${work.id} was committed with what no valid payload says`);
      if (meant.some((message) => this.#isHalted(message))) {
        this.violated('order', `${work.id} was committed although its group is halted`);
      }
      if (this.#effects.has(work.id)) this.violated('effect', `${work.id} was committed twice`);
      if (!transaction.keys.has(work.id)) this.violated('effect', `${work.id} was committed without its key`);
      this.#judgeOrder(meant, together);
      together.push(work);
      this.#effects.set(work.id, work);
    }
    this.#judgeFence(transaction);
    const wrote = new Set(together.map(({ id }) => id));
    for (const key of transaction.keys.keys()) {
      if (!wrote.has(key)) this.violated('effect', `the key ${key} was committed without its rows`);
    }
  }

  deadlock({ worker }: Transaction): void {
    this.violated('no deadlock', `the transaction of ${worker} waited in a circle`);
  }

  lockTimeout({ worker }: Transaction): void {
    this.#count('state: lock timeout');
    this.incarnations.get(worker)?.faultsAtMs.push(this.#scheduler.nowMs);
  }

  /** When nothing is left to be done. */
  atRest(): void {
    for (const message of this.queue.messages) {
      const { sent, messageId, where } = message;
      const isKept = this.#isCommitted(sent) || this.#copied.has(messageId) || where === 'dead-letter queue';
      if (!isKept) this.violated('no loss', `${messageId} (${sent.fate}) is nowhere (${where})`);
    }
    if (this.#configuration.faultsEndMs === 0 && this.#configuration.drains === 0) this.#judgeCost();
  }

  #knowsOfOutage({ refusedSinceMs, pausedUntilMs }: Incarnation, askedAtMs: number): boolean {
    if (refusedSinceMs === undefined || pausedUntilMs > refusedSinceMs) return false;
    return askedAtMs > refusedSinceMs + NOTICE_MS;
  }

  /**
   * Held messages stay held: two receives within one outage need a fault of their own. One that was kept for as long as
   * messages are kept may be received once more by a worker that has not met the outage yet, having had nothing to write.
   */
  #judgeOutage(before: Receipt, message: StoredMessage): void {
    const { messageId, sent } = message;
    const { nowMs } = this.#scheduler;
    const outage = this.outages.find(({ fromMs, toMs }) => fromMs <= before.atMs && nowMs <= toMs);
    if (outage === undefined || sent.fate === 'moved' || this.#isBehindDoomed(before)) return;
    if (this.#flakyFailuresBefore(message) > 0) return;
    if (this.#isTornAway(before, nowMs)) return;
    const isFirst = !message.receipts
      .slice(0, -2)
      .some((each, index) => each.atMs >= outage.fromMs && !this.#isTornAway(each, message.receipts[index + 1]!.atMs));
    if (isFirst && nowMs >= before.atMs + HELD_MS_MAX - LONG_POLL_MS) {
      this.#count('state: given back after five minutes, and received once more in the same outage');
      return;
    }
    this.violated('outage', `${messageId} came again while the database was away`);
  }

  #judgeSettlement(before: Receipt): void {
    const deletes = this.#deletes.get(before);
    if (deletes?.failedAtMs === undefined || deletes.asked >= SETTLE_ATTEMPTS_MAX || before.explained) return;
    const { failedAtMs } = deletes;
    // Its lease had ended when it was asked for: it comes again before it could be asked for once more.
    if (this.#scheduler.nowMs < failedAtMs + ASKED_AGAIN_MS_MAX) return;
    const process = this.incarnations.get(before.worker);
    if (process?.alive !== true || process.pausedUntilMs > failedAtMs) return;
    this.violated('settlement', `${before.worker} leaves the delete of ${before.message.messageId} that SQS failed`);
  }

  #judgeCost(): void {
    this.judged('cost');
    const { messages } = this.queue;
    // A group that may be halted is taken one message at a time.
    if (this.#configuration.halts) return;
    if (messages.some(({ sent }) => sent.fate === 'moved' || flakyFailures(sent.work) > 0)) return;
    const again = messages.filter(({ receipts }) => receipts.length !== 1);
    if (again.length > 0) this.violated('cost', `without faults ${again.map(({ messageId }) => messageId)} came again`);
    const sum = { delete: 0, changeVisibility: 0, send: 0 };
    for (const { requests } of this.incarnations.values()) {
      sum.delete += requests.delete;
      sum.changeVisibility += requests.changeVisibility;
      sum.send += requests.send;
    }
    const receives = new Set(messages.flatMap(({ receipts }) => receipts.map(({ answer }) => answer)));
    const deletesMax = 2 * receives.size + this.queue.copies.length;
    if (sum.delete > deletesMax || sum.changeVisibility > 0 || sum.send !== this.queue.copies.length) {
      this.violated('cost', `without faults ${JSON.stringify(sum)} for ${receives.size} receives`);
    }
  }

  #judgeOrder(meant: readonly StoredMessage[], together: readonly Work[]): void {
    if (!this.#configuration.fifo) return;
    const own = meant.find(({ where }) => where === 'source') ?? meant[0];
    if (own === undefined) return;
    if (own.where === 'dead-letter queue') this.#count('state: a commit that was under way when SQS moved its message');
    const overtaken = this.queue.messages.find(
      ({ where, group, sent, messageId }) =>
        where === 'source' &&
        // One that has its copy in the dead-letter queue has left its group; if it comes again, the fence has passed it.
        !this.#copied.has(messageId) &&
        group === own.group &&
        sent.index < own.sent.index &&
        (sent.fate === 'stored' || sent.fate === 'moved') &&
        !this.#isCommitted(sent) &&
        !together.some((other) => isSame(other, sent.work)),
    );
    if (overtaken === undefined) return;
    if (!this.#passedByQueue.has(own.group)) {
      this.violated('order', `${own.messageId} was committed before ${overtaken.messageId} of its group`);
    }
  }

  /** Whatever the queue shows first, nothing is stored behind what was sent later: the key says which message it was. */
  #judgeFence({ keys }: Transaction): void {
    if (!this.#configuration.fifo) return;
    const stored = this.queue.messages.filter(({ sent, messageId }) => keys.get(sent.work.id)?.messageId === messageId);
    for (const { messageId, sent, group } of stored) {
      const later = this.#furthest.get(group);
      if (later !== undefined && later.sent.index > sent.index) {
        this.violated('order', `${messageId} was committed behind ${later.messageId}, which was sent after it`);
      }
    }
    for (const message of stored) this.#furthest.set(message.group, message);
  }

  #isLeased(receipt: Receipt): boolean {
    const { message } = receipt;
    return message.receipts.at(-1) === receipt && message.visibleAtMs > this.#scheduler.nowMs;
  }

  #isCommitted({ work }: Sent): boolean {
    const effect = this.#effects.get(work.id);
    return effect !== undefined && isSame(effect, work);
  }

  #isExplained(receipt: Receipt, next: Receipt | undefined): boolean {
    if (receipt.explained) return true;
    const fromMs = receipt.atMs - FAULT_REACH_MS;
    const toMs = next?.atMs ?? this.#scheduler.nowMs;
    const isInOutage = this.outages.some((outage) => outage.toMs >= fromMs && outage.fromMs <= toMs);
    return isInOutage || this.#isFaulted(receipt, toMs);
  }

  /** How many of the receives ended with a process that a poison ended, as far as the poisons that there are may cost. */
  #poisonedAmong(receipts: readonly Receipt[]): number {
    const poisons = this.queue.messages.filter(({ sent }) => sent.work.value === POISON).length;
    const poisoned = receipts.filter((receipt) => this.#isPoisoned(receipt));
    return Math.min(poisoned.length, poisons * RECEIVES_PER_POISON_MAX);
  }

  /** Whether a fault of its own, or the end of the process, took it from the worker that held it. */
  #isTornAway(receipt: Receipt, toMs: number): boolean {
    return receipt.explained || this.#isFaulted(receipt, toMs) || this.#isPoisoned(receipt);
  }

  #isPoisoned({ worker }: Receipt): boolean {
    return this.incarnations.get(worker)?.poisonedAtMs !== undefined;
  }

  /** Whether something was done to the worker that held it. */
  #isFaulted({ worker, atMs: receivedAtMs }: Receipt, toMs: number): boolean {
    const fromMs = receivedAtMs - FAULT_REACH_MS;
    return this.incarnations.get(worker)?.faultsAtMs.some((atMs) => atMs >= fromMs && atMs <= toMs) === true;
  }

  #isBehindDoomed({ message }: Receipt, isMeant: (work: Work) => boolean = () => true): boolean {
    return this.queue.messages.some(
      (each) => each.sent.fate === 'moved' && isMeant(each.sent.work) && this.#mayHoldUp(each, message),
    );
  }
}

function isSame(one: Work, other: Work): boolean {
  return one.id === other.id && one.place === other.place && one.value === other.value && one.group === other.group;
}
