/**
 * What a worker is to those who run it: a process that gets signals, a unit of systemd, an instance of an Auto Scaling
 * group. On a developer's machine it is the first alone; the environment says which of the others it is too.
 *
 * Holds always: whatever tells the worker to stop, it stops once, in the same way; only a second signal ends it at once.
 */
import type { Logger } from 'pino';
import type { WorkerConfiguration } from './configuration.ts';
import type { Instance } from './instance/instance.ts';
import type { Leave } from './instance/leave-watch.ts';
import { SystemdUnit } from './instance/systemd-unit.ts';

/** As a shell reports a process that was interrupted. */
const EXIT_CODE_FORCED = 130;
/** Of the time that a Spot notice leaves, for what comes after the drain. */
const LAST_WORDS_MS = 10_000;

export class Presence {
  readonly #stopping = new AbortController();
  readonly #unit: SystemdUnit;
  readonly #instance: Instance | undefined;
  readonly #log: Logger;
  readonly #drainSeconds: number;
  #goneAtMs = Number.POSITIVE_INFINITY;
  #signals = 0;

  private constructor(drainSeconds: number, unit: SystemdUnit, instance: Instance | undefined, log: Logger) {
    this.#drainSeconds = drainSeconds;
    this.#unit = unit;
    this.#instance = instance;
    this.#log = log;
    process.on('SIGTERM', (signal) => this.#signalled(signal));
    process.on('SIGINT', (signal) => this.#signalled(signal));
    this.#stopping.signal.addEventListener('abort', () => this.#unit.stopping(), { once: true });
    void instance?.watch((leave) => this.#leaves(leave));
  }

  static async of(configuration: WorkerConfiguration, environment: NodeJS.ProcessEnv, log: Logger): Promise<Presence> {
    const { instance, region, drainSeconds } = configuration;
    const unit = new SystemdUnit(environment, log);
    if (instance === undefined) return new Presence(drainSeconds, unit, undefined, log);
    // The client for Auto Scaling costs memory: only where it is needed.
    const { Instance } = await import('./instance/instance.ts');
    return new Presence(drainSeconds, unit, new Instance(instance, region, log), log);
  }

  /** Aborts when the worker has to stop. */
  get stop(): AbortSignal {
    return this.#stopping.signal;
  }

  /** How long the drain may take: as configured, and no longer than the instance is there. */
  get drainSeconds(): number {
    const leftMs = this.#goneAtMs - Date.now() - LAST_WORDS_MS;
    return Math.max(1, Math.min(this.#drainSeconds, leftMs / 1000));
  }

  /** The worker has reached its queue and its database, and works for as long as `isAlive` says so. */
  ready(isAlive: () => boolean): void {
    if (this.stop.aborted) return;
    this.#unit.ready(isAlive);
    void this.#instance?.ready();
  }

  /** The worker holds nothing any more. */
  async left(): Promise<void> {
    await this.#instance?.left();
    await this.#unit.told;
  }

  #leaves({ reason, goneAtMs }: Leave): void {
    if (goneAtMs !== undefined) this.#goneAtMs = goneAtMs;
    this.#log.info({ drainSeconds: this.drainSeconds }, `${reason}: draining`);
    this.#stopping.abort();
  }

  #signalled(signal: NodeJS.Signals): void {
    this.#signals += 1;
    if (this.#signals > 1) {
      this.#log.warn(`${signal} again: stopping without draining`);
      process.exit(EXIT_CODE_FORCED);
    }
    this.#log.info(`${signal}: draining`);
    this.#stopping.abort();
  }
}
