/**
 * The workers of a schedule: the shipped consumer, store and SQS client, started, crashed, paused, stopped, and started
 * again.
 *
 * A crash abandons an incarnation: none of its promises settles any more, and what it had sent may still take effect.
 */
import { pino } from 'pino';
import { z } from 'zod';
import { consumerFor, type WorkerDefinition } from '../../workers/consumer-for.ts';
import type { Consumer, DrainReport } from '../../workers/runtime/consumer.ts';
import { SqsQueue } from '../../workers/runtime/queue-client.ts';
import type { Surroundings } from '../../workers/runtime/surroundings.ts';
import { Telemetry } from '../../workers/runtime/telemetry.ts';
import { RenewedPool } from '../../workers/store/renewed-pool.ts';
import type { Configuration } from './configuration.ts';
import type { History } from './history.ts';
import { judgeBounds } from './judge-bounds.ts';
import type { DatabaseSurroundings } from './postgres-pool.ts';
import { PoolModels, SERVER_ERROR } from './postgres-pool.ts';
import { Fate, Incarnation } from './process.ts';
import { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import { SqsClientModel, type SqsSurroundings } from './sqs-client.ts';
import { BUG, flakyFailures, POISON, type Work } from './workload.ts';

/** How long it takes until a worker that ended is replaced. */
const RESTART_MS_MAX = 30_000;
const FINAL_DRAIN_SECONDS = 30;
/** Where nothing lasts longer: while the first messages are being handled. */
const DRAINS_WITHIN_MS = 500;
/** A batch of a hundred with bad rows among them is halved a hundred times: a second may not be enough. */
const FINDS_BAD_ROWS_SECONDS = 5;
/** Rounding of virtual time. */
const DRAIN_TOLERANCE_MS = 10;

const log = pino({ level: 'silent' });

const NAME = 'simulated';
const workSchema = z.object({ id: z.string(), group: z.string(), place: z.int().min(0), value: z.string() });
const JUMP_MS_MAX = 3_600_000;

/** A worker as a person would write it; whoever writes poison ends the process. */
function definitionFor(halts: boolean, flakyFailed: Map<string, number>, crash: () => void): WorkerDefinition<Work> {
  return {
    name: NAME,
    message: { name: 'work', version: 1, payload: workSchema },
    key: ({ id }) => id,
    onRejection: halts ? 'halt' : 'skip',
    write: async (transaction, works) => {
      if (works.some(({ value }) => value === BUG)) throw new TypeError('a bug in the write function');
      const flaky = works.find((work) => (flakyFailed.get(work.id) ?? 0) < flakyFailures(work));
      if (flaky !== undefined) {
        // Halved until it stands alone, it has failed once.
        if (works.length === 1) flakyFailed.set(flaky.id, (flakyFailed.get(flaky.id) ?? 0) + 1);
        throw new TypeError('not yet');
      }
      try {
        await transaction.query({ name: 'insert-effects', text: 'insert-effects', values: [JSON.stringify(works)] });
      } catch (error) {
        // Careless for every other message: what it swallows ended the transaction all the same.
        const isSwallowed = works[0]!.place % 2 === 0 && error instanceof Error && error.message === SERVER_ERROR;
        if (!isSwallowed) throw error;
      }
      if (works.some(({ value }) => value === POISON)) {
        crash();
        await new Promise(() => {});
      }
    },
  };
}

interface Running {
  readonly process: Incarnation;
  readonly pools: PoolModels;
  readonly consumer: Consumer<Work>;
  stopped: { readonly atMs: number; readonly seconds: number } | undefined;
}

export interface FleetSurroundings {
  readonly scheduler: Scheduler;
  readonly configuration: Configuration;
  readonly history: History;
  readonly sqs: Omit<SqsSurroundings, 'fate'>;
  readonly database: Omit<DatabaseSurroundings, 'fate'>;
  readonly count: (what: string) => void;
}

export class Fleet {
  readonly #around: FleetSurroundings;
  readonly #fate: Fate;
  readonly #random: Random;
  readonly #running = new Set<Running>();
  #started = 0;
  #isEnding = false;
  #wallOffsetMs = 0;
  readonly #flakyFailed = new Map<string, number>();

  constructor(around: FleetSurroundings) {
    const { scheduler, configuration, count } = around;
    this.#around = around;
    this.#random = new Random(configuration.seed, 'crashes');
    this.#fate = new Fate(scheduler, configuration, this.#random, (process) => this.#crash(process), count);
  }

  get answers(): number {
    return this.#fate.answers;
  }

  get isOver(): boolean {
    return this.#running.size === 0;
  }

  start(): void {
    const { scheduler, configuration } = this.#around;
    for (let index = 0; index < configuration.workers; index += 1) this.#start();
    for (let index = 0; index < configuration.drains; index += 1) {
      const withinMs = Math.max(configuration.faultsEndMs, configuration.sendingMs, DRAINS_WITHIN_MS);
      scheduler.at(this.#random.uniform(0, withinMs), () => this.#stopAny());
    }
    for (let index = 0; index < configuration.clockJumps; index += 1) {
      scheduler.at(this.#random.uniform(0, configuration.faultsEndMs), () => this.#setClock());
    }
  }

  /** Everyone drains; nobody is started again. */
  end(): void {
    this.#isEnding = true;
    for (const running of this.#running) this.#stop(running, FINAL_DRAIN_SECONDS);
  }

  #start(): void {
    if (this.#isEnding) return;
    const { scheduler, configuration, history, sqs, database } = this.#around;
    this.#started += 1;
    const process = new Incarnation(`w${this.#started}`);
    history.incarnations.set(process.name, process);
    process.load.onGrowth = (growth) => judgeBounds(history, process, growth);
    scheduler.trace(`start ${process.name}`);
    const telemetry = new Telemetry(
      NAME,
      () => {},
      () => scheduler.nowMs,
    );
    const suffix = configuration.fifo ? '.fifo' : '';
    const pools = new PoolModels({ ...database, fate: this.#fate }, process);
    const poisoned = () => {
      this.#around.count('crash by poison');
      // What else it had in hand comes again, a bounded number of times.
      process.poisonedAtMs = scheduler.nowMs;
      this.#gone(running);
    };
    const consumer = consumerFor(definitionFor(configuration.halts, this.#flakyFailed, poisoned), {
      queue: new SqsQueue({
        queueUrl: `http://sqs/1/work${suffix}`,
        deadLetterQueueUrl: `http://sqs/1/work-dlq${suffix}`,
        region: undefined,
        onRequest: (operation) => telemetry.request(operation),
        onDamaged: (error) => {
          throw error;
        },
        openClient: (deadlineMs) => new SqsClientModel({ ...sqs, fate: this.#fate }, process, deadlineMs),
      }),
      facts: {
        visibilityTimeoutSeconds: configuration.visibilityTimeoutSeconds,
        fifo: configuration.fifo,
        maxReceiveCount: configuration.maxReceiveCount,
        messageBytesMax: configuration.messageBytesMax,
        createdTimestamp: '0',
      },
      queueName: 'work',
      pool: new RenewedPool(() => pools.open()),
      telemetry,
      log,
      surroundings: this.#surroundings(process),
    });
    const running: Running = { process, pools, consumer, stopped: undefined };
    this.#running.add(running);
    consumer.run().then(
      (report) => this.#ended(running, report),
      (error: unknown) => {
        history.violated('worker lives', `${process.name} ended by itself: ${String(error)}`);
        this.#crash(process);
      },
    );
  }

  #surroundings(process: Incarnation): Surroundings {
    const { scheduler, configuration } = this.#around;
    const random = new Random(configuration.seed, process.name);
    return {
      monotonicMs: () => scheduler.nowMs,
      // The machine's clock is set now and then; nothing but a metric may lean on it.
      wallMs: () => scheduler.nowMs + this.#wallOffsetMs,
      after: (ms, ring) => scheduler.deliver(process, ms, ring),
      random: () => random.next(),
    };
  }

  #setClock(): void {
    this.#around.count('the clock is set');
    this.#wallOffsetMs = this.#random.uniform(-JUMP_MS_MAX, JUMP_MS_MAX);
  }

  #crash(process: Incarnation): void {
    const running = [...this.#running].find((each) => each.process === process);
    if (running === undefined) return;
    const { scheduler } = this.#around;
    scheduler.trace(`crashed ${process.name}`);
    process.faultsAtMs.push(scheduler.nowMs);
    this.#gone(running);
  }

  #gone(running: Running): void {
    const { process, pools } = running;
    const { scheduler } = this.#around;
    process.alive = false;
    this.#running.delete(running);
    pools.abandon();
    // The queue may hear that the socket is closed, or assign messages to nobody.
    if (this.#random.chance(0.5)) for (const hangUp of [...process.hangUps]) hangUp();
    scheduler.after(this.#random.uniform(0, RESTART_MS_MAX), () => this.#start());
  }

  #stopAny(): void {
    const running = [...this.#running].filter(({ stopped }) => stopped === undefined);
    if (running.length === 0) return;
    this.#around.count('drain: told to stop');
    this.#stop(this.#random.pick(running), this.#random.pick([1, 5, 20, 30, 60]));
  }

  #stop(running: Running, seconds: number): void {
    const { scheduler } = this.#around;
    const { process, consumer } = running;
    scheduler.deliver(process, 0, () => {
      if (running.stopped !== undefined) return;
      scheduler.trace(`stop ${process.name} ${seconds}`);
      process.faultsAtMs.push(scheduler.nowMs);
      running.stopped = { atMs: scheduler.nowMs, seconds };
      consumer.stop(seconds);
    });
  }

  #ended(running: Running, report: DrainReport): void {
    const { process, stopped } = running;
    const { scheduler, configuration, history, count } = this.#around;
    if (!process.alive) return;
    history.judged('drain');
    history.judged('worker lives');
    scheduler.trace(`ended ${process.name} ${report.unsettled}`);
    const deadlineMs = stopped === undefined ? 0 : stopped.atMs + stopped.seconds * 1000;
    if (stopped === undefined) history.violated('worker lives', `${process.name} ended without being told to`);
    else if (scheduler.nowMs > Math.max(deadlineMs, process.pausedUntilMs) + DRAIN_TOLERANCE_MS) {
      history.violated('drain', `${process.name} ended ${(scheduler.nowMs - deadlineMs) / 1000} s after its deadline`);
    }
    // What it says of itself at its end must agree with itself, and with what it was seen to take and not to settle.
    const { placesTaken } = running.consumer.gauges;
    const held = process.load.surelyHeld(scheduler.nowMs);
    if (held > report.unsettled) {
      history.violated('bounds', `${process.name} says that it left ${report.unsettled} messages, and left ${held}`);
    }
    if (placesTaken !== report.unsettled + process.load.calls.receive * 10) {
      history.violated(
        'bounds',
        `${process.name} ended with ${placesTaken} places taken by ${report.unsettled} messages`,
      );
    }
    const left = Math.max(held, report.unsettled);
    const hadTime = stopped !== undefined && stopped.seconds >= FINDS_BAD_ROWS_SECONDS;
    // The session of a process that a poison ended may keep its locks for longer than the drain lasts.
    const isPoisoned = [...history.incarnations.values()].some(({ poisonedAtMs }) => poisonedAtMs !== undefined);
    if (configuration.faultsEndMs === 0 && !isPoisoned && hadTime && left > 0) {
      history.violated('drain', `${process.name} left ${left} messages although nothing was wrong`);
    }
    count(left === 0 ? 'drain: everything settled' : 'drain: messages left');
    this.#gone(running);
  }
}
