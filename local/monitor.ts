/** Looks at queues, tables and fleets while a run goes on, and tells when everything has arrived. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { LocalFleet } from './fleet.ts';
import type { Wait } from './given-back.ts';
import type { QueueDepth, SqsControl } from './sqs-control.ts';

const SAMPLE_EVERY_MS = 500;
/** After this without a message that is known to come again, nothing more is to be expected. */
const NO_PROGRESS_MS_MAX = 1_200_000;

/** What is looked at of a queue and of the fleet that works on it. */
export interface WatchedQueue {
  /** As the fleet that works on it is named. */
  readonly name: string;
  readonly url: string;
  readonly deadLetterUrl: string;
  readonly fleet: Pick<LocalFleet, 'running' | 'counts' | 'waits'>;
}

export interface WorkQueue extends WatchedQueue {
  /** As SQS names it. */
  readonly queueName: string;
  readonly fleet: LocalFleet;
}

/** The monotonic clock, so that a test can own it. */
export interface MonitorClock {
  nowMs(): number;
  wait(ms: number): Promise<void>;
}

const MONOTONIC_CLOCK: MonitorClock = { nowMs: () => performance.now(), wait: (ms) => sleep(ms) };

export interface QueueSample extends QueueDepth {
  readonly name: string;
  readonly dead: number;
  readonly workers: number;
  readonly received: number;
  /** Rows of this consumer in the inbox; undefined while the database is away. */
  readonly stored: number | undefined;
}

/** Messages that count as in flight, since SQS hides them until their delay has passed. */
export interface QueueWait extends Wait {
  /** As the queue's sample is named. */
  readonly queue: string;
}

export interface Sample {
  readonly queues: readonly QueueSample[];
  readonly waits: readonly QueueWait[];
  readonly databaseAwaySeconds: number | undefined;
}

export class Monitor {
  readonly #queues: readonly WatchedQueue[];
  readonly #control: Pick<SqsControl, 'depth'>;
  readonly #pool: pg.Pool;
  readonly #onEvent: (event: string) => void;
  readonly #clock: MonitorClock;
  #databaseAwaySinceMs: number | undefined;
  #failedLooks = 0;

  constructor(
    queues: readonly WatchedQueue[],
    control: Pick<SqsControl, 'depth'>,
    pool: pg.Pool,
    onEvent: (event: string) => void,
    clock = MONOTONIC_CLOCK,
  ) {
    this.#onEvent = onEvent;
    this.#clock = clock;
    this.#queues = queues;
    this.#control = control;
    this.#pool = pool;
  }

  async sample(): Promise<Sample> {
    const stored = await this.#stored();
    const queues = await Promise.all(
      this.#queues.map(async ({ name, url, deadLetterUrl, fleet }) => {
        const [depth, dead] = await Promise.all([this.#control.depth(url), this.#control.depth(deadLetterUrl)]);
        const { running: workers, counts } = fleet;
        return {
          name,
          ...depth,
          dead: dead.visible + dead.inFlight,
          workers,
          received: counts.received,
          stored: stored?.get(name) ?? (stored === undefined ? undefined : 0),
        };
      }),
    );
    const awaySinceMs = this.#databaseAwaySinceMs;
    return {
      queues,
      waits: this.#queues.flatMap(({ name, fleet }) => fleet.waits().map((wait) => ({ queue: name, ...wait }))),
      databaseAwaySeconds: awaySinceMs === undefined ? undefined : (this.#clock.nowMs() - awaySinceMs) / 1000,
    };
  }

  /**
   * Samples until `done`, the signal aborts, or nothing has moved for too long; `false` only in the last case.
   *
   * Without `done` it samples until the signal aborts: who looks at a run may leave it alone for as long as they like.
   */
  async watch(
    done: ((sample: Sample) => boolean) | undefined,
    show: (sample: Sample) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    // Not waiting for the look that is under way: a database that does not answer may hold it for long.
    return Promise.race([this.#watch(done, show, signal), once(signal, 'abort').then(() => true)]);
  }

  async #watch(
    done: ((sample: Sample) => boolean) | undefined,
    show: (sample: Sample) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    let last = '';
    let movedAtMs = this.#clock.nowMs();
    let doneInARow = 0;
    while (!signal.aborted) {
      const sample = await this.#tried(signal);
      if (signal.aborted) return true;
      if (sample === undefined) {
        doneInARow = 0;
        if (done !== undefined && this.#clock.nowMs() - movedAtMs > NO_PROGRESS_MS_MAX) return false;
        await this.#clock.wait(SAMPLE_EVERY_MS);
        continue;
      }
      show(sample);
      const state = JSON.stringify(sample.queues);
      if (state !== last || sample.waits.length > 0) movedAtMs = this.#clock.nowMs();
      last = state;
      // Twice, since the numbers of a queue are approximate while messages move.
      doneInARow = done?.(sample) ? doneInARow + 1 : 0;
      if (doneInARow >= 2) return true;
      if (done !== undefined && this.#clock.nowMs() - movedAtMs > NO_PROGRESS_MS_MAX) return false;
      await this.#clock.wait(SAMPLE_EVERY_MS);
    }
    return true;
  }

  /** A look that failed says nothing about the messages: the next one may not. The first of a row is told. */
  async #tried(signal: AbortSignal): Promise<Sample | undefined> {
    try {
      const sample = await this.sample();
      this.#failedLooks = 0;
      return sample;
    } catch (error) {
      this.#failedLooks += 1;
      if (this.#failedLooks === 1 && !signal.aborted)
        this.#onEvent(`cannot look at the queues, trying again: ${String(error)}`);
      return undefined;
    }
  }

  async #stored(): Promise<Map<string, number> | undefined> {
    try {
      const { rows } = await this.#pool.query<{ consumer: string; count: number }>(
        'select consumer, count(*)::integer as count from inbox group by consumer',
      );
      this.#databaseAwaySinceMs = undefined;
      return new Map(rows.map(({ consumer, count }) => [consumer, count]));
    } catch {
      // Shown as such; the workers pause by themselves.
      this.#databaseAwaySinceMs ??= this.#clock.nowMs();
      return undefined;
    }
  }
}

export function isEmpty({ queues }: Sample): boolean {
  return queues.every(({ visible, inFlight, delayed }) => visible + inFlight + delayed === 0);
}
