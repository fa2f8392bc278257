/** A consumer with everything around it in the test's hands: queue, time, handler and probe. */
import { pino } from 'pino';
import { z } from 'zod';
import type { Claims, HandledMessage, Outcome } from '../../../workers/outcome.ts';
import { Consumer, type DrainReport } from '../../../workers/runtime/consumer.ts';
import { COUNTS, type CountName } from '../../../workers/runtime/metric-names.ts';
import type { QueueFacts } from '../../../workers/runtime/queue-client.ts';
import type { Rejection } from '../../../workers/runtime/rejection.ts';
import { sleep } from '../../../workers/runtime/surroundings.ts';
import { Telemetry } from '../../../workers/runtime/telemetry.ts';
import { MemoryQueue, type QueueOperation } from './memory-queue.ts';
import { VirtualTime } from './virtual-time.ts';

export type Work = { readonly id: number };
/** The leases behind a hand-over, by the ids of its messages. */
interface RigClaim {
  readonly signal: AbortSignal;
  readonly leftBehind: Promise<never>;
  lost(): number[];
}
type Handle = (ids: number[], claim: RigClaim) => Outcome[] | Promise<Outcome[]>;

export const stored: Outcome = { name: 'stored' };
export const retried: Outcome = { name: 'retried', reason: 'not now' };
export const held: Outcome = { name: 'held', reason: 'connection refused' };
export const lost: Outcome = { name: 'lost' };
export const rejected = (reason: string): Outcome => ({ name: 'rejected', reason, errorClass: 'RefusedByDatabase' });

/** Of a handler or a call that never answers. */
export const hang = () => new Promise<never>(() => {});
/** Ids from 1 on. */
export const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

export const body = (id: number, version = 1) => JSON.stringify({ schema: 'work', version, payload: { id } });

export interface RigOptions extends Partial<QueueFacts> {
  readonly onRejection?: 'skip' | 'halt';
}

export class Rig {
  readonly time = new VirtualTime();
  readonly queue: MemoryQueue;
  /** Ids of every hand-over, in their order. */
  readonly handled: number[][] = [];
  readonly groupsHandled: HandledMessage<Work>['group'][] = [];
  readonly rejections: Rejection[] = [];
  handle: Handle = (ids) => ids.map(() => stored);
  probe: () => boolean | Promise<boolean> = () => true;
  recordRejection: (rejection: Rejection) => void = () => {};
  probes = 0;
  /** What it has logged. */
  readonly lines: unknown[] = [];
  /** Hand-overs that the handler has not answered yet. */
  underWay = 0;
  underWayMax = 0;
  ended: DrainReport | undefined;
  readonly consumer: Consumer<Work>;
  readonly #telemetry: Telemetry;
  #line: Record<string, unknown> = {};

  constructor({ onRejection = 'skip', ...facts }: RigOptions = {}) {
    this.queue = new MemoryQueue(this.time, facts);
    const writeLine = (line: string) => {
      this.#line = JSON.parse(line) as Record<string, unknown>;
    };
    this.#telemetry = new Telemetry('work', writeLine, () => this.time.monotonicMs());
    this.consumer = new Consumer<Work>({
      queue: this.queue,
      facts: this.queue.facts,
      queueName: 'work',
      schema: { name: 'work', version: 1, payload: z.object({ id: z.int() }) },
      onRejection,
      handle: (messages, claims) => this.#handle(messages, claims),
      recordRejection: async (rejection) => {
        this.recordRejection(rejection);
        this.rejections.push(rejection);
      },
      probe: async () => {
        this.probes += 1;
        return this.probe();
      },
      telemetry: this.#telemetry,
      log: pino({ base: null, timestamp: false }, { write: (line) => this.lines.push(JSON.parse(line)) }),
      surroundings: this.time,
    });
  }

  start(): this {
    void this.consumer.run().then((report) => {
      this.ended = report;
    });
    return this;
  }

  /** Sends these as messages of their own, each with its number as id. */
  send(ids: readonly number[], group?: string): void {
    for (const id of ids) this.queue.send(body(id), group);
  }

  sleep(ms: number): Promise<void> {
    return sleep(this.time, ms);
  }

  async stop(drainSeconds: number): Promise<DrainReport> {
    this.consumer.stop(drainSeconds);
    await this.time.until('the end of the drain', () => this.ended !== undefined);
    return this.ended!;
  }

  async untilEmpty(withinMs?: number): Promise<void> {
    await this.time.until('an empty queue', () => this.queue.left.length === 0, withinMs);
  }

  /** The metric line since the last time that it, or the counts, were asked for. */
  get metrics(): Readonly<Record<string, unknown>> {
    this.#line = {};
    this.#telemetry.gauges = this.consumer.gauges;
    this.#telemetry.flush(0);
    return this.#line;
  }

  /** Of every change of visibility its entries, a list per call: message id and seconds. */
  get changes(): (readonly (readonly [string, number])[])[] {
    return this.queue.changes.map(({ entries }) => entries);
  }

  /** Since the last time it was asked. */
  get counts(): Partial<Record<CountName, number>> {
    const line = this.metrics;
    const names = Object.keys(COUNTS) as CountName[];
    return Object.fromEntries(names.map((name) => [name, line[COUNTS[name]]]));
  }

  async #handle(messages: readonly HandledMessage<Work>[], claims: Claims<Work>): Promise<Outcome[]> {
    const ids = messages.map(({ payload }) => payload.id);
    this.handled.push(ids);
    this.groupsHandled.push(...messages.map(({ group }) => group));
    this.underWay += 1;
    this.underWayMax = Math.max(this.underWayMax, this.underWay);
    const { lost: lostOf, ...claim } = claims(messages);
    try {
      return await this.handle(ids, { ...claim, lost: () => lostOf().map(({ payload }) => payload.id) });
    } finally {
      this.underWay -= 1;
    }
  }
}

/** A handler that is so slow. */
export function takes(rig: Rig, ms: number, outcome = stored): (ids: number[]) => Promise<Outcome[]> {
  return async (ids) => {
    await rig.sleep(ms);
    return ids.map(() => outcome);
  };
}

/** The first so many calls of it fail. */
export function failFirst(rig: Rig, failing: QueueOperation, times: number): { readonly calls: number } {
  const seen = { calls: 0 };
  rig.queue.faults.call = (operation) => {
    if (operation !== failing) return;
    seen.calls += 1;
    if (seen.calls <= times) throw new Error('503');
  };
  return seen;
}

/** A consumer whose database is away until the test says otherwise. */
export function rigWithoutDatabase(options?: RigOptions) {
  const rig = new Rig(options);
  const database = { isAway: true };
  rig.probe = () => !database.isAway;
  rig.handle = (ids) => ids.map(() => (database.isAway ? held : stored));
  rig.recordRejection = () => {
    if (database.isAway) throw new Error('connection refused');
  };
  return { rig, database };
}
