/** Time that passes only when a test lets it, from one timer to the next: waiting for an hour takes no time. */
import type { Surroundings, Timer } from '../../../workers/runtime/surroundings.ts';

export class VirtualTime implements Surroundings {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly ring: () => void }[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** By how much somebody has set the machine's clock; it starts at 1970. */
  wallSetByMs = 0;

  wallMs(): number {
    return this.#nowMs + this.wallSetByMs;
  }

  /** Back-offs wait their full time, so that a test can name it. */
  random(): number {
    return 1;
  }

  after(ms: number, ring: () => void): Timer {
    const timer = { atMs: this.#nowMs + ms, ring };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** Timers that have neither rung nor been cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time pass until `holds`; fails when it does not within `withinMs` of this time. */
  async until(what: string, holds: () => boolean, withinMs = 3_600_000): Promise<void> {
    const giveUpAtMs = this.#nowMs + withinMs;
    for (;;) {
      await settled();
      if (holds()) return;
      const next = this.#takeNext(giveUpAtMs);
      if (next === undefined) throw new Error(`not seen within ${withinMs} ms of virtual time: ${what}`);
      next.ring();
    }
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settled();
    for (let next = this.#takeNext(untilMs); next !== undefined; next = this.#takeNext(untilMs)) {
      next.ring();
      await settled();
    }
    this.#nowMs = untilMs;
  }

  #takeNext(untilMs: number) {
    const next = this.#timers.toSorted((one, other) => one.atMs - other.atMs)[0];
    if (next === undefined || next.atMs > untilMs) return undefined;
    this.#timers = this.#timers.filter((timer) => timer !== next);
    this.#nowMs = next.atMs;
    return next;
  }
}

/** Everything that can go on without time has gone on. */
async function settled(): Promise<void> {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}
