/**
 * A real PostgreSQL that is ended, started again on its data, and frozen, as it is told.
 *
 * Holds always: one thing is done to it at a time, the next when it runs again; it comes back on the same port; an end
 * that nobody asked for is a failure.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../local/machine/embedded-postgres.ts';
import { processesOf, wakeCluster } from '../../local/machine/ending.ts';
import type { RunFolder } from '../../local/machine/run-folder.ts';
import { hasCode } from '../../local/machine/system-error.ts';

/** Its processes may need a moment to notice that the first of them was killed, and until then nothing starts on its data. */
const START_TRIES = 20;
const START_PAUSE_MS = 250;

export interface FaultyPostgresOptions {
  readonly run: RunFolder;
  readonly onFailure: (error: Error) => void;
}

export class FaultyPostgres {
  readonly #options: FaultyPostgresOptions;
  #server: EmbeddedPostgres;
  #isEndExpected = false;
  #turn: Promise<void> = Promise.resolve();

  private constructor(options: FaultyPostgresOptions, server: EmbeddedPostgres) {
    this.#options = options;
    this.#server = server;
    this.#watch(server);
  }

  static async start(options: FaultyPostgresOptions): Promise<FaultyPostgres> {
    return new FaultyPostgres(options, await startEmbeddedPostgres({ run: options.run }));
  }

  get url(): string {
    return this.#server.url;
  }

  get port(): number {
    return this.#server.port;
  }

  /**
   * Ends it and starts it again.
   *
   * @param signal SIGINT disconnects everyone and writes everything down; after SIGKILL it has to recover.
   * @param hasWaited settles when it has been away for long enough.
   */
  endAndStart(signal: 'SIGINT' | 'SIGKILL', hasWaited: () => Promise<unknown>): Promise<void> {
    return this.#inTurn(async () => {
      this.#isEndExpected = true;
      signalIfThere(this.#server.pid, signal);
      await this.#server.exited;
      await hasWaited();
      this.#server = await this.#startAgain();
      this.#isEndExpected = false;
      this.#watch(this.#server);
    });
  }

  /** Stops all its processes where they are: connections stay, and nothing answers. */
  freeze(hasWaited: () => Promise<unknown>): Promise<void> {
    const { name } = this.#options.run;
    return this.#inTurn(async () => {
      // Twice, for what the first process forked until it stood still.
      for (let round = 1; round <= 2; round += 1) {
        for (const { pid } of processesOf(name)) signalIfThere(pid, 'SIGSTOP');
      }
      try {
        await hasWaited();
      } finally {
        wakeCluster(name);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#inTurn(async () => {
      this.#isEndExpected = true;
      await this.#server.stop();
    });
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #startAgain(): Promise<EmbeddedPostgres> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await startEmbeddedPostgres({ run: this.#options.run, port: this.#server.port });
      } catch (error) {
        if (tries === START_TRIES) throw error;
        await sleep(START_PAUSE_MS);
      }
    }
  }

  #watch(server: EmbeddedPostgres): void {
    void server.exited.then(({ code, signal }) => {
      if (this.#isEndExpected) return;
      this.#options.onFailure(new Error(`PostgreSQL ended by itself (${signal ?? `exit status ${code}`})`));
    });
  }
}

/** Whether there still was one to be signalled. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
    throw error;
  }
}
