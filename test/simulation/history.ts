/**
 * What has happened in a schedule as far as it is judged, and which invariants it violated.
 *
 * Holds always: nothing in it comes from what a worker claims; but for a worker's end, where what it says that it left is
 * held against what it was seen to take and not to settle (fleet.ts). The schedule and the fleet note outages, incarnations and
 * what they see violated by themselves; everything else is noted by the judge, each kind in one file.
 */
import type { Configuration } from './configuration.ts';
import type { Invariant, Violation } from './invariants.ts';
import type { PostgresModel } from './postgres-model.ts';
import type { Incarnation } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { Receipt, StoredMessage } from './sqs-message.ts';
import type { SqsModel } from './sqs-model.ts';
import type { Sent, Work } from './workload.ts';

const VIOLATIONS_KEPT_MAX = 5;

export class History {
  readonly violations: Violation[] = [];
  readonly outages: { readonly fromMs: number; readonly toMs: number }[] = [];
  readonly incarnations = new Map<string, Incarnation>();
  queue!: SqsModel;
  database!: PostgresModel;
  /** What was committed, by its key. */
  readonly effects = new Map<string, Work>();
  /** Of each group, the message that was sent last of those that were committed. */
  readonly furthest = new Map<string, StoredMessage>();
  /** Message ids of the copies in the dead-letter queue. */
  readonly copied = new Set<string>();
  /** Hidden by a worker for another time than a lease, with when that would have ended. */
  readonly givenBack = new Map<Receipt, number>();
  /** Groups of which the queue showed a message although an earlier one was delayed. */
  readonly passedByQueue = new Set<string>();
  /** How often a worker asked for each, and when an entry of a batch failed since it did so last. */
  readonly deletes = new Map<Receipt, { asked: number; failedAtMs: number | undefined }>();
  readonly configuration: Configuration;
  readonly count: (what: string) => void;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, configuration: Configuration, count: (what: string) => void) {
    this.#scheduler = scheduler;
    this.configuration = configuration;
    this.count = count;
  }

  get nowMs(): number {
    return this.#scheduler.nowMs;
  }

  /** Something happened that the invariant speaks of. */
  judged(invariant: Invariant): void {
    this.count(`judged: ${invariant}`);
  }

  violated(invariant: Invariant, detail: string): void {
    this.#scheduler.trace(`violated ${invariant}: ${detail}`);
    if (this.violations.length < VIOLATIONS_KEPT_MAX) this.violations.push({ invariant, detail });
  }

  isCommitted({ work }: Sent): boolean {
    const effect = this.effects.get(work.id);
    return effect !== undefined && isSame(effect, work);
  }

  /** The queue shows a message: whether it passes a delayed one of its group by that. */
  noteIfPassing({ group, sent }: StoredMessage): void {
    if (!this.configuration.fifo || !this.configuration.delayedHeadsArePassed) return;
    const isPassed = (earlier: StoredMessage) =>
      earlier.where === 'source' && earlier.group === group && earlier.sent.index < sent.index && earlier.isDelayed;
    if (!this.queue.messages.some(isPassed)) return;
    this.count('queue: a delayed head is passed');
    this.passedByQueue.add(group);
  }

  /** Whether a message before it in its group was rejected, where that halts a group: its reason halts, its copy comes later. */
  isHalted({ sent, group }: StoredMessage, rejected: ReadonlySet<string> = this.copied): boolean {
    if (!this.configuration.halts) return false;
    return this.queue.messages.some(
      (other) => other.group === group && other.sent.index < sent.index && rejected.has(other.messageId),
    );
  }
}

export function isSame(one: Work, other: Work): boolean {
  return one.id === other.id && one.place === other.place && one.value === other.value && one.group === other.group;
}
