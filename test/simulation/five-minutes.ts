/** What SQS remembers by an id of its caller's, and for how long: deduplication ids, and attempts to receive. */
import type { Scheduler } from './scheduler.ts';

const MEMORY_MS = 300_000;

export class FiveMinutes<Value> {
  readonly #scheduler: Scheduler;
  readonly #values = new Map<string, { readonly value: Value; readonly atMs: number }>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  recall(id: string): Value | undefined {
    const known = this.#values.get(id);
    return known !== undefined && this.#scheduler.nowMs - known.atMs < MEMORY_MS ? known.value : undefined;
  }

  remember(id: string, value: Value): void {
    this.#values.set(id, { value, atMs: this.#scheduler.nowMs });
  }
}
