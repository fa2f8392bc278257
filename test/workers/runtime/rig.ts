/** A consumer with everything around it in the test's hands: queue, time, handler and probe. */
import { pino } from 'pino';
import { z } from 'zod';
import type { Outcome } from '../../../workers/outcome.ts';
import { Consumer, type DrainReport, type HandledMessage } from '../../../workers/runtime/consumer.ts';
import type { QueueFacts } from '../../../workers/runtime/queue-client.ts';
import type { Rejection } from '../../../workers/runtime/rejection.ts';
import { Telemetry, type WorkerCounts } from '../../../workers/runtime/telemetry.ts';
import { MemoryQueue } from './memory-queue.ts';
import { VirtualTime } from './virtual-time.ts';

export type Work = { readonly id: number };
type Handle = (ids: number[], mayCommit: () => boolean) => Outcome[] | Promise<Outcome[]>;

export const stored: Outcome = { name: 'stored' };
export const retried: Outcome = { name: 'retried', reason: 'not now' };
export const held: Outcome = { name: 'held', reason: 'connection refused' };
export const rejected = (reason: string): Outcome => ({ name: 'rejected', reason, errorClass: 'RefusedByDatabase' });

export const body = (id: number, version = 1) => JSON.stringify({ schema: 'work', version, payload: { id } });

export class Rig {
  readonly time = new VirtualTime();
  readonly queue: MemoryQueue;
  /** Ids of every hand-over, in their order. */
  readonly handled: number[][] = [];
  readonly groupsHandled: (string | undefined)[] = [];
  readonly rejections: Rejection[] = [];
  handle: Handle = (ids) => ids.map(() => stored);
  probe: () => boolean | Promise<boolean> = () => true;
  recordRejection: (rejection: Rejection) => void = () => {};
  probes = 0;
  ended: DrainReport | undefined;
  readonly consumer: Consumer<Work>;
  readonly #telemetry: Telemetry;
  #line: Partial<WorkerCounts> = {};

  constructor(facts: Partial<QueueFacts> = {}) {
    this.queue = new MemoryQueue(this.time, facts);
    this.#telemetry = new Telemetry('work', (line) => {
      this.#line = JSON.parse(line) as Partial<WorkerCounts>;
    });
    this.consumer = new Consumer<Work>({
      queue: this.queue,
      facts: this.queue.facts,
      queueName: 'work',
      schema: { name: 'work', version: 1, payload: z.object({ id: z.int() }) },
      handle: async (messages: readonly HandledMessage<Work>[], mayCommit) => {
        const ids = messages.map(({ payload }) => payload.id);
        this.handled.push(ids);
        this.groupsHandled.push(...messages.map(({ messageGroupId }) => messageGroupId));
        return this.handle(ids, mayCommit);
      },
      recordRejection: async (rejection) => {
        this.recordRejection(rejection);
        this.rejections.push(rejection);
      },
      probe: async () => {
        this.probes += 1;
        return this.probe();
      },
      telemetry: this.#telemetry,
      log: pino({ level: 'silent' }),
      surroundings: this.time,
    });
  }

  start(): this {
    void this.consumer.run().then((report) => {
      this.ended = report;
    });
    return this;
  }

  async stop(drainSeconds: number): Promise<DrainReport> {
    this.consumer.stop(drainSeconds);
    await this.time.until('the end of the drain', () => this.ended !== undefined);
    return this.ended!;
  }

  /** Since the last time it was asked. */
  get counts(): Partial<WorkerCounts> {
    this.#line = {};
    this.#telemetry.flush(0);
    return this.#line;
  }
}
