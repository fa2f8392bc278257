/**
 * What a process does beside consuming, each on a timer of its own: it writes its metrics, shows that it is alive, and
 * clears away old keys.
 *
 * Holds always: none of it can stop the consumer or be stopped by it; all of it ends with `end`.
 */
import { utimes, writeFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Consumer } from './runtime/consumer.ts';
import type { Telemetry } from './runtime/telemetry.ts';
import { pruneSome } from './store/prune.ts';
import type { RenewedPool } from './store/renewed-pool.ts';

const LIVENESS_INTERVAL_MS = 5_000;
/** Old keys grow old slowly; the first time soon after a start is no better than later. */
const PRUNE_INTERVAL_MS = 3_600_000;
/** Of a thousand rows each, one after the other on one connection: two seconds, and then the database is for others. */
const PRUNE_ROUNDS_MAX = 100;
/**
 * How soon it goes on where the last rounds were not enough: 100,000 rows every ten seconds are three times what a worker
 * stores, so that the inbox of a busy fleet stops growing, and a fleet that was away for weeks catches up.
 */
const CATCH_UP_INTERVAL_MS = 10_000;

export interface UpkeepOptions {
  readonly consumer: Pick<Consumer<unknown>, 'gauges' | 'isAlive'>;
  readonly telemetry: Telemetry;
  readonly metricsIntervalSeconds: number;
  /** Touched every five seconds as long as the worker does its work; undefined for nowhere. */
  readonly livenessFile: string | undefined;
  readonly pool: RenewedPool;
  readonly log: Logger;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  #isPruning = false;
  /** Whether the last rounds ended before everything old was gone. */
  #isBehind = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#every(options.metricsIntervalSeconds * 1000, () => this.#flush());
    this.#every(LIVENESS_INTERVAL_MS, () => void this.#showLife());
    // Workers that were started together must not all come at once.
    const spread = 0.5 + Math.random();
    this.#every(PRUNE_INTERVAL_MS * spread, () => void this.#prune());
    this.#every(CATCH_UP_INTERVAL_MS * spread, () => {
      if (this.#isBehind) void this.#prune();
    });
    void this.#showLife();
  }

  /** With a last line of metrics. */
  end(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#flush();
  }

  #every(ms: number, run: () => void): void {
    this.#timers.push(setInterval(run, ms));
  }

  #flush(): void {
    const { telemetry, consumer, log } = this.#options;
    try {
      telemetry.gauges = consumer.gauges;
      telemetry.flush(Date.now());
    } catch (error) {
      log.error({ err: error }, 'cannot write metrics; the counts of this interval are lost');
    }
  }

  async #showLife(): Promise<void> {
    const { consumer, livenessFile, log } = this.#options;
    if (livenessFile === undefined || !consumer.isAlive) return;
    try {
      const now = new Date();
      await utimes(livenessFile, now, now).catch(() => writeFile(livenessFile, ''));
    } catch (error) {
      log.error({ err: error }, `cannot touch ${livenessFile}, so whoever watches it will end this worker`);
    }
  }

  async #prune(): Promise<void> {
    const { pool, log } = this.#options;
    if (this.#isPruning) return;
    this.#isPruning = true;
    this.#isBehind = false;
    let rows = 0;
    try {
      let cleared = 0;
      for (let round = 1; round <= PRUNE_ROUNDS_MAX; round += 1) {
        cleared = await pruneSome(pool);
        if (cleared === 0) break;
        rows += cleared;
      }
      this.#isBehind = cleared > 0;
    } catch (error) {
      log.warn({ err: error }, 'cannot clear away old keys; trying again in an hour');
    } finally {
      this.#isPruning = false;
      if (rows > 0) log.info({ rows }, 'cleared away old keys, reasons and fences');
    }
  }
}
