/**
 * What a worker tells systemd, where it is a unit of it: that it is ready, that it is alive, that it stops.
 *
 * By the program `systemd-notify`, one short child for each word: NOTIFY_SOCKET is a datagram socket, which Node cannot
 * open, and a native addon would have to be built for the instance. See docs/decisions/0025-ready-is-what-works.md.
 *
 * Holds always: one word after another; a stop is told after READY, because a unit that ends before it has failed; none
 * lasts longer than NOTIFY_MS_MAX; none that fails ends anything. Without NOTIFY_SOCKET nothing is told to anybody.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

export const NOTIFY_MS_MAX = 5_000;
/** Of systemd's patience: two words may get lost before it runs out. */
export const WATCHDOG_SHARE = 1 / 3;

type Word = 'READY=1' | 'WATCHDOG=1' | 'STOPPING=1';

export class SystemdUnit {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #log: Logger;
  #watchdog: NodeJS.Timeout | undefined;
  #isReady = false;
  #isFeeding = false;
  #told: Promise<void> = Promise.resolve();

  constructor(environment: NodeJS.ProcessEnv, log: Logger) {
    this.#environment = environment;
    this.#log = log;
  }

  /** Resolves when all that was told has been heard, or could not be told. */
  get told(): Promise<void> {
    return this.#told;
  }

  /** From now on systemd ends the worker when `isAlive` is false, or is not asked, for as long as WatchdogSec says. */
  ready(isAlive: () => boolean): void {
    this.#isReady = true;
    void this.#tell('READY=1');
    const watchdogMs = Number(this.#environment.WATCHDOG_USEC) / 1000;
    if (!(watchdogMs > 0)) return;
    this.#watchdog = setInterval(() => {
      if (isAlive()) void this.#feed();
    }, watchdogMs * WATCHDOG_SHARE);
  }

  /** From now on systemd waits for the end, for TimeoutStopSec, and its watchdog rests. */
  stopping(): void {
    clearInterval(this.#watchdog);
    if (!this.#isReady) void this.#tell('READY=1');
    void this.#tell('STOPPING=1');
  }

  async #feed(): Promise<void> {
    if (this.#isFeeding) return;
    this.#isFeeding = true;
    await this.#tell('WATCHDOG=1');
    this.#isFeeding = false;
  }

  #tell(word: Word): Promise<void> {
    this.#told = this.#told.then(() => this.#say(word));
    return this.#told;
  }

  async #say(word: Word): Promise<void> {
    const { NOTIFY_SOCKET, PATH } = this.#environment;
    if (NOTIFY_SOCKET === undefined) return;
    try {
      const options = { env: { NOTIFY_SOCKET, PATH }, timeout: NOTIFY_MS_MAX, killSignal: 'SIGKILL' } as const;
      await promisify(execFile)('systemd-notify', [word], options);
    } catch (error) {
      this.#log.error({ err: error }, `cannot tell systemd ${word}`);
    }
  }
}
