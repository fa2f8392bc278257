/**
 * One incarnation of a worker: from its start to its crash, its end, or the end of the schedule.
 *
 * The scheduler asks it whether anything may reach it; the models note here what was done to it, so that the judge can
 * tell a receive that a fault explains from one that the worker wasted.
 */
import type { Configuration } from './configuration.ts';
import { Load } from './load.ts';
import type { Random } from './random.ts';
import type { Process, Scheduler, Timer } from './scheduler.ts';

export class Incarnation implements Process {
  readonly name: string;
  alive = true;
  pausedUntilMs = 0;
  /** When something was done to it, or it was told to stop. */
  readonly faultsAtMs: number[] = [];
  readonly load = new Load();
  /** When it ended by what it wrote. */
  poisonedAtMs: number | undefined;
  /** Ends a poll at the queue, as a closed socket does. */
  readonly hangUps = new Set<() => void>();
  /** Since when every connection was refused to it; undefined once a statement is answered. */
  refusedSinceMs: number | undefined;
  requests = { receive: 0, delete: 0, changeVisibility: 0, send: 0 };

  constructor(name: string) {
    this.name = name;
  }
}

const PAUSE_MS_MAX = 120_000;

/** Crashes and pauses at the answers that processes await: the only moments at which anything can change in them. */
export class Fate {
  readonly #scheduler: Scheduler;
  readonly #configuration: Configuration;
  readonly #random: Random;
  readonly #crash: (process: Incarnation) => void;
  readonly #count: (what: string) => void;

  constructor(
    scheduler: Scheduler,
    configuration: Configuration,
    random: Random,
    crash: (process: Incarnation) => void,
    count: (what: string) => void,
  ) {
    this.#scheduler = scheduler;
    this.#configuration = configuration;
    this.#random = random;
    this.#crash = crash;
    this.#count = count;
  }

  /** How many answers have reached workers. */
  answers = 0;

  /** An answer reaches the process, unless it crashes just before; it may crash or pause just after. */
  answer(process: Incarnation, what: string, afterMs: number, ring: () => void): Timer {
    return this.#scheduler.deliver(process, afterMs, () => {
      const { crashes, pauses, faultsEndMs, crashAtAnswer, crashIsBefore } = this.#configuration;
      const { nowMs } = this.#scheduler;
      this.answers += 1;
      if (nowMs >= faultsEndMs) return ring();
      const isChosen = this.answers === crashAtAnswer;
      if (isChosen || this.#random.chance(crashes)) {
        const isBefore = isChosen ? crashIsBefore : this.#random.chance(0.5);
        this.#count(`crash ${isBefore ? 'before' : 'after'}: ${what}`);
        // After: what the answer sets off is sent first, and nothing that comes back is heard.
        if (!isBefore) ring();
        this.#scheduler.after(0, () => this.#crash(process));
        if (isBefore) process.alive = false;
        return;
      }
      if (this.#random.chance(pauses)) {
        this.#count(`pause before: ${what}`);
        this.pause(process, this.#random.uniform(1_000, PAUSE_MS_MAX));
        this.#scheduler.deliver(process, 0, ring);
        return;
      }
      ring();
    });
  }

  pause(process: Incarnation, ms: number): void {
    const { nowMs } = this.#scheduler;
    this.#scheduler.trace(`paused ${process.name}`);
    process.pausedUntilMs = Math.min(nowMs + ms, Math.max(this.#configuration.faultsEndMs, nowMs));
    process.faultsAtMs.push(nowMs, process.pausedUntilMs);
  }
}
