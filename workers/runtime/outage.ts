/**
 * The time while the database is away: probing until it would take a write, and waiting for that.
 *
 * The breaker decides; this asks the database when the breaker says so, and tells those who wait.
 */
import type { Logger } from 'pino';
import { Breaker } from './breaker.ts';
import { type Surroundings, sleep, type Timer } from './surroundings.ts';
import type { Telemetry } from './telemetry.ts';

/** How long messages are kept for a database that is away, before they are given back. */
export const HELD_MS_MAX = 300_000;
/** At its last receive a message would be dead then: it is kept for longer than a migration holds a lock. */
export const HELD_AT_LAST_RECEIVE_MS_MAX = 1_800_000;

export interface OutageOptions {
  /** Whether the database would take a write now. */
  readonly probe: () => Promise<boolean>;
  readonly queueName: string;
  readonly telemetry: Pick<Telemetry, 'breakerOpened'>;
  readonly surroundings: Surroundings;
  readonly log: Logger;
  /** The worker is stopping: nobody waits any more. */
  readonly stopping: AbortSignal;
  /** Admits again, or has kept messages long enough. */
  readonly onChange: () => void;
}

export class Outage {
  readonly #options: OutageOptions;
  readonly #breaker = new Breaker();
  #probing: Promise<void> | undefined;
  /** Rings when what is kept has been kept for long enough. */
  #timer: Timer | undefined;

  constructor(options: OutageOptions) {
    this.#options = options;
  }

  get state(): 'closed' | 'open' | 'half-open' {
    return this.#breaker.state;
  }

  /** Whether messages that wait have been kept for as long as they are kept; not while one of them is the trial. */
  get isTooLong(): boolean {
    const sinceMs = this.#breaker.awaySinceMs;
    return (
      !this.#breaker.admits &&
      sinceMs !== undefined &&
      this.#options.surroundings.monotonicMs() >= sinceMs + HELD_MS_MAX
    );
  }

  /** A batch, or the reason for a rejection, could not be written because the database is away. */
  began(reason: string): void {
    const { surroundings, telemetry, log, queueName, onChange } = this.#options;
    if (this.#breaker.state === 'open') return;
    telemetry.breakerOpened();
    if (this.#breaker.state === 'closed') log.warn({ reason }, `database away: receiving from ${queueName} is paused`);
    const nowMs = surroundings.monotonicMs();
    this.#breaker.failed(nowMs);
    this.#timer?.cancel();
    this.#timer = surroundings.after(Math.max(0, this.#breaker.awaySinceMs! + HELD_MS_MAX - nowMs), onChange);
    this.#probing = this.#probe();
  }

  /** A receive goes out with nothing in hand: the quiet time until it brings something does not count. */
  nothingKept(): void {
    this.#breaker.nothingKept(this.#options.surroundings.monotonicMs());
  }

  /** A batch was committed: it is over. */
  committed(): void {
    this.#breaker.committed();
  }

  /** Whether the database came back, before the worker stops and before messages are kept for too long. */
  async ended(): Promise<boolean> {
    const { surroundings, stopping } = this.#options;
    const sinceMs = this.#breaker.awaySinceMs;
    if (sinceMs === undefined) return true;
    const known = new AbortController();
    const stop = () => known.abort();
    stopping.addEventListener('abort', stop);
    await Promise.race([
      this.#probing,
      sleep(surroundings, Math.max(0, sinceMs + HELD_MS_MAX - surroundings.monotonicMs()), known.signal),
    ]);
    known.abort();
    stopping.removeEventListener('abort', stop);
    return this.#breaker.admits && !stopping.aborted;
  }

  async #probe(): Promise<void> {
    const { surroundings, probe, log, queueName, stopping, onChange } = this.#options;
    while (this.#breaker.probeAtMs !== undefined) {
      await sleep(surroundings, Math.max(0, this.#breaker.probeAtMs - surroundings.monotonicMs()), stopping);
      if (stopping.aborted) return;
      if (await probe()) {
        this.#breaker.probeAnswered();
        log.info(`database back: receiving from ${queueName} goes on`);
        onChange();
      } else {
        this.#breaker.probeFailed(surroundings.monotonicMs());
      }
    }
  }
}
