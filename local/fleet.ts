/**
 * A fleet on this machine: worker processes in the place of instances.
 *
 * Holds always: a worker that ends without being told to is started again, as its group would do; one that
 * cannot stay up ends the run with the reason that it gave. What workers count is read from the metric lines
 * on their output, and why messages wait from what they log when they give one back or set it apart.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { SystemFleet } from './assembly/system.ts';
import { GivenBack, type Wait } from './given-back.ts';
import { parsedJson } from './json-text.ts';
import { type ProcessExit, type RunningProcess, startProcess } from './machine/child-process.ts';
import type { RunFolder } from './machine/run-folder.ts';

/** A worker that ends sooner than this has not worked. */
const STAYED_UP_MS = 5_000;
/** So many times in a row, and it will not do so the next time either. */
const SHORT_LIVES_MAX = 5;
const RESTART_PAUSE_MS = 300;
/** Beyond the drain that the worker was given. */
const STOP_MARGIN_MS = 5_000;

const COUNT_NAMES = ['received', 'stored', 'suppressed', 'rejected', 'retried', 'leasesLost', 'requests'] as const;

export type FleetCounts = Record<(typeof COUNT_NAMES)[number], number>;

export interface FleetOptions {
  readonly run: RunFolder;
  readonly fleet: SystemFleet;
  readonly workers: number;
  readonly environment: NodeJS.ProcessEnv;
  readonly drainSeconds: number;
  /** Told to a person, such as a worker that was started again. */
  readonly onEvent: (event: string) => void;
  /** A worker cannot stay up. */
  readonly onFailure: (error: Error) => void;
}

/** As the workers' telemetry names it. */
const RECEIVED = 'messaging.client.consumed.messages';

const metricLineSchema = z
  .looseObject({ _aws: z.unknown(), memoryPeakMegabytes: z.number(), [RECEIVED]: z.number() })
  .and(z.record(z.enum(COUNT_NAMES).exclude(['received']), z.number()))
  .transform((line) => ({ ...line, received: line[RECEIVED] }));

const givenBackLineSchema = z.object({ msg: z.literal('given back'), reason: z.string(), delaySeconds: z.number() });

const setApartLineSchema = z.object({
  msg: z.literal('set apart'),
  messagesByDelaySeconds: z.record(z.string(), z.int()),
});
/** As many as a worker has places for. */
const SET_APART_MAX = 400;
/** Hidden for longer, so that it does not come again together with a message that may end another worker. */
const SET_APART = 'set apart from a message that may have ended their worker';

const logLineSchema = z.object({ level: z.number(), msg: z.string(), reason: z.string().optional() });
/** pino's level of a warning. */
const LEVEL_WARN = 40;

export class LocalFleet {
  readonly name: string;
  readonly counts: FleetCounts = {
    received: 0,
    stored: 0,
    suppressed: 0,
    rejected: 0,
    retried: 0,
    leasesLost: 0,
    requests: 0,
  };
  /** The most that any of its workers had resident. */
  memoryPeakMegabytes = 0;
  /** The newest warning or error that a worker logged. */
  lastWarning: string | undefined;
  readonly #options: FleetOptions;
  readonly #running = new Map<number, RunningProcess>();
  readonly #givenBack = new GivenBack();
  /** By worker, when each of the messages that it has set apart would come again if the worker ended now. */
  readonly #setApart = new Map<number, number[]>();
  #stopping = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.name = options.fleet.name;
  }

  get workers(): number {
    return this.#options.workers;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Of the workers that run now. */
  get pids(): readonly number[] {
    return [...this.#running.values()].map(({ pid }) => pid);
  }

  /** Messages that its workers have set apart from one that may end them. */
  get setApart(): number {
    return [...this.#setApart.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** What it has given back and why, until it may come again. */
  waits(): Wait[] {
    return this.#givenBack.waits(performance.now());
  }

  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.workers }, (_, index) => this.#startWorker(index + 1, 0)));
  }

  /** Tells every worker to drain and waits for it; those that do not end in time are killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const graceMs = this.#options.drainSeconds * 1000 + STOP_MARGIN_MS;
    await Promise.all([...this.#running.values()].map((worker) => worker.stop('SIGTERM', graceMs)));
  }

  /** Ends every worker at once: what it had received comes again. */
  async kill(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#running.values()].map((worker) => worker.stop('SIGKILL', 0)));
  }

  async #startWorker(number: number, shortLives: number): Promise<RunningProcess> {
    const { run, fleet, environment } = this.#options;
    const startedMs = performance.now();
    const worker = await startProcess({
      run,
      name: `${fleet.name}-${number}`,
      command: process.execPath,
      // So that a person finds it with ps, and can try what happens when it is killed.
      args: [`--title=sluice-${fleet.name}`, fleet.entryPath],
      env: environment,
      logFile: run.logPath(`${fleet.name}-${number}`),
      onLine: (line) => this.#read(line, number),
    });
    this.#running.set(number, worker);
    void worker.exited.then((exit) => this.#ended(number, exit, performance.now() - startedMs, shortLives));
    return worker;
  }

  async #ended(number: number, exit: ProcessExit, livedMs: number, shortLives: number): Promise<void> {
    this.#running.delete(number);
    if (this.#stopping) return;
    this.#addSetApart(number);
    const { onEvent, onFailure } = this.#options;
    // One that was killed from outside has not failed by itself.
    const failed = livedMs < STAYED_UP_MS && exit.signal !== 'SIGKILL';
    const lives = failed ? shortLives + 1 : 0;
    const how = exit.signal ?? `exit status ${exit.code}`;
    if (lives >= SHORT_LIVES_MAX) {
      const reason = this.lastWarning === undefined ? '' : `: ${this.lastWarning}`;
      onFailure(new Error(`worker ${this.name}-${number} cannot stay up (${how})${reason}`));
      return;
    }
    await sleep(RESTART_PAUSE_MS * (lives + 1));
    if (this.#stopping) return;
    try {
      const { pid } = await this.#startWorker(number, lives);
      onEvent(`worker ${this.name}-${number} ended (${how}); another started, pid ${pid}`);
    } catch (error) {
      onFailure(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** What an ended worker has set apart is in flight, and in nobody's hands, until then. */
  #addSetApart(number: number): void {
    const nowMs = performance.now();
    for (const dueAtMs of this.#setApart.get(number) ?? []) {
      if (dueAtMs > nowMs) this.#givenBack.add(SET_APART, (dueAtMs - nowMs) / 1000, nowMs);
    }
    this.#setApart.delete(number);
  }

  #read(line: string, number: number): void {
    const json = parsedJson(line);
    const metrics = metricLineSchema.safeParse(json);
    if (metrics.success) {
      const { counts } = this;
      for (const name of COUNT_NAMES) counts[name] += metrics.data[name];
      this.memoryPeakMegabytes = Math.max(this.memoryPeakMegabytes, metrics.data.memoryPeakMegabytes);
      return;
    }
    const givenBack = givenBackLineSchema.safeParse(json);
    if (givenBack.success) {
      this.#givenBack.add(givenBack.data.reason, givenBack.data.delaySeconds, performance.now());
      return;
    }
    const setApart = setApartLineSchema.safeParse(json);
    if (setApart.success) {
      const nowMs = performance.now();
      const entries = Object.entries(setApart.data.messagesByDelaySeconds);
      const due = entries.flatMap(([seconds, messages]) =>
        Array.from({ length: messages }, () => nowMs + Number(seconds) * 1000),
      );
      const earlier = (this.#setApart.get(number) ?? []).filter((dueAtMs) => dueAtMs > nowMs);
      this.#setApart.set(number, [...earlier, ...due].slice(-SET_APART_MAX));
      return;
    }
    const entry = logLineSchema.safeParse(json);
    if (!entry.success || entry.data.level < LEVEL_WARN) return;
    // Told once: a worker that repeats itself has said it.
    const { msg, reason } = entry.data;
    const warning = reason === undefined ? msg : `${msg} (${reason})`;
    if (warning !== this.lastWarning) this.#options.onEvent(`${this.name}: ${warning}`);
    this.lastWarning = warning;
  }
}
