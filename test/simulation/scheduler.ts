/**
 * Virtual time: the one place from which anything happens in a schedule, one event after the other.
 *
 * Holds always: between two events every microtask has run, as Node itself does between two callbacks; two events of
 * the same instant ring in the order in which they were set; nothing rings for a process that has crashed, and for
 * one that is paused it rings when the pause is over.
 */
import { setFlagsFromString } from 'node:v8';
import { hash } from './random.ts';

/** A process as the scheduler sees it: whether anything reaches it. */
export interface Process {
  alive: boolean;
  pausedUntilMs: number;
}

export interface Timer {
  cancel(): void;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  ring: (() => void) | undefined;
}

/** `checkpoint` asks V8 to run the microtasks after each event; `immediate` gives Node's loop a turn, and is slower. */
export type Drain = 'checkpoint' | 'immediate';

const EVENTS_PER_CHUNK = 512;
/** A schedule has thousands of events; one that has this many goes round in circles. */
const EVENTS_MAX = 3_000_000;

export class Scheduler {
  nowMs = 0;
  events = 0;
  readonly #heap: Event[] = [];
  readonly #drain: Drain;
  #order = 0;
  #trace = hash('trace');
  #traced = 0;
  readonly #onTrace: ((line: string) => void) | undefined;

  constructor(drain: Drain, onTrace?: (line: string) => void) {
    this.#drain = drain;
    this.#onTrace = onTrace;
  }

  /** What happened so far, as one number and a count: two runs of a seed must agree in it. */
  get traceHash(): string {
    return `${this.#trace.toString(16).padStart(8, '0')}-${this.#traced}`;
  }

  trace(line: string): void {
    this.#traced += 1;
    this.#trace = hash(`${this.nowMs} ${line}`, this.#trace);
    this.#onTrace?.(`${(this.nowMs / 1000).toFixed(3).padStart(10)} s  ${line}`);
  }

  at(atMs: number, ring: () => void): Timer {
    const event: Event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, ring };
    this.#push(event);
    return {
      cancel: () => {
        event.ring = undefined;
      },
    };
  }

  after(ms: number, ring: () => void): Timer {
    return this.at(this.nowMs + ms, ring);
  }

  /** To a process: never once it has crashed, later while it is paused. */
  deliver(process: Process, afterMs: number, ring: () => void): Timer {
    let timer: Timer;
    const arrive = () => {
      if (!process.alive) return;
      if (process.pausedUntilMs > this.nowMs) timer = this.at(process.pausedUntilMs, arrive);
      else ring();
    };
    timer = this.after(afterMs, arrive);
    return { cancel: () => timer.cancel() };
  }

  /** Lets time pass until `done`, or until nothing is left to happen. */
  run(done: () => boolean): Promise<void> {
    const perChunk = this.#drain === 'checkpoint' ? EVENTS_PER_CHUNK : 1;
    return new Promise((resolve, reject) => {
      const chunk = () => {
        try {
          for (let count = 0; count < perChunk; count += 1) {
            if (done()) return resolve();
            if (!this.#ringNext()) return reject(new Error('nothing is left to happen, and the schedule is not over'));
            if (this.#drain === 'checkpoint') runMicrotasks();
          }
          setImmediate(chunk);
        } catch (error) {
          reject(error);
        }
      };
      setImmediate(chunk);
    });
  }

  #ringNext(): boolean {
    for (let event = this.#pop(); event !== undefined; event = this.#pop()) {
      if (event.ring === undefined) continue;
      this.events += 1;
      if (this.events > EVENTS_MAX) throw new Error(`more than ${EVENTS_MAX} events`);
      this.nowMs = event.atMs;
      event.ring();
      return true;
    }
    return false;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** V8's own checkpoint; it does nothing inside a microtask, which is why each chunk starts from `setImmediate`. */
const runMicrotasks = (() => {
  setFlagsFromString('--allow-natives-syntax');
  return new Function('%PerformMicrotaskCheckpoint()') as () => void;
})();
