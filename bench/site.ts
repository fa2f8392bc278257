/**
 * What a case runs on: a folder whose reaper ends everything that was started, however the bench ends; processes that
 * can be asked what they used; and a fake SQS.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WORKER_NODE_OPTIONS } from '../lib/constructs/worker-node-options.ts';
import { type RunningProcess, startProcess } from '../local/machine/child-process.ts';
import { LOOPBACK } from '../local/machine/ports.ts';
import { startReaper } from '../local/machine/reaper.ts';
import { createRunFolder, type RunFolder, sweepLeftRuns } from '../local/machine/run-folder.ts';
import { readCounts, type SqsCounts } from './fake-sqs-counts.ts';
import type { Cores } from './machine.ts';
import type { Progress } from './progress.ts';
import { type Report, reportSchema, type Usage } from './reports.ts';

const PROBE = entryPath('probe.ts');
/** Loading the SDK and connecting takes a second, many times that on a machine that is busy. */
const ANSWER_MS_MAX = 30_000;
/** As small as most messages are. */
const BODY_BYTES = 1_024;
/** Longer than any drain that the bench asks for. */
const STOP_MS_MAX = 20_000;
const LAST_WORDS_MAX = 8;

export interface MeasuredProcess {
  readonly pid: number;
  /** Rejects when it ends, with the last that it said; asked to stop it has nothing more to tell. */
  readonly ended: Promise<never>;
  /** Asks it; it answers between two turns of its event loop. */
  usage(): Promise<Usage>;
  stop(): Promise<void>;
}

export interface FakeSqs extends MeasuredProcess {
  readonly endpoint: string;
  counts(): Promise<SqsCounts>;
}

export interface StartOptions {
  readonly name: string;
  /** Source file under bench/. */
  readonly entry: string;
  readonly args?: readonly string[];
  readonly nodeFlags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** @default any */
  readonly core?: string | undefined;
  readonly onReport?: (report: Report) => void;
}

export class Site {
  readonly run: RunFolder;
  readonly cores: Cores;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Rejects (AbortError) at Ctrl-C. */
  readonly interrupted: Promise<never>;

  constructor(run: RunFolder, cores: Cores, progress: Progress, signal: AbortSignal) {
    this.run = run;
    this.cores = cores;
    this.progress = progress;
    this.signal = signal;
    this.interrupted = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.interrupted.catch(() => {});
  }

  /** @throws Error (AbortError) at Ctrl-C. */
  async sleep(seconds: number): Promise<void> {
    await sleep(seconds * 1000, undefined, { signal: this.signal });
  }

  async startFakeSqs(
    supply: 'endless' | 'on-request',
    { core, bodyBytes = BODY_BYTES }: { readonly core?: string | undefined; readonly bodyBytes?: number } = {},
  ): Promise<FakeSqs> {
    const listening = Promise.withResolvers<number>();
    const process = await this.start({
      name: 'fake-sqs',
      entry: 'fake-sqs.ts',
      args: [supply, String(bodyBytes)],
      core,
      onReport: (report) => {
        if (report.name === 'listening') listening.resolve(report.port);
      },
    });
    const endpoint = `http://${LOOPBACK}:${await inTime(listening.promise, 'the fake SQS')}`;
    return { ...process, endpoint, counts: () => readCounts(endpoint) };
  }

  /** A process that takes from the fake SQS, with the flags that the template gives a worker. */
  startConsumer(sqs: FakeSqs, options: StartOptions): Promise<MeasuredProcess> {
    const environment = {
      ...options.environment,
      QUEUE_URL: `${sqs.endpoint}/000000000000/bench`,
      DEAD_LETTER_QUEUE_URL: `${sqs.endpoint}/000000000000/bench-dlq`,
      AWS_ENDPOINT_URL_SQS: sqs.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'bench',
      AWS_SECRET_ACCESS_KEY: 'bench',
      NODE_OPTIONS: WORKER_NODE_OPTIONS,
    };
    return this.start({ ...options, environment });
  }

  async start(options: StartOptions): Promise<MeasuredProcess> {
    const { name, entry, args = [], nodeFlags = [], environment = {}, core, onReport = () => {} } = options;
    const node = [process.execPath, ...nodeFlags, '--import', PROBE, entryPath(entry), ...args];
    const [command, ...rest] = core === undefined ? node : ['taskset', '--cpu-list', core, ...node];
    const lastWords: string[] = [];
    const ready = Promise.withResolvers<void>();
    let answered: (usage: Usage) => void = () => {};
    const running = await startProcess({
      run: this.run,
      name,
      command: command!,
      args: rest,
      env: { PATH: '/bin:/usr/bin', ...environment },
      logFile: this.run.logPath(name),
      onLine: (line) => {
        if (lastWords.push(line) > LAST_WORDS_MAX) lastWords.shift();
      },
      onMessage: (message) => {
        const report = reportSchema.parse(message);
        if (report.name === 'ready') ready.resolve();
        else if (report.name === 'usage') answered(report);
        else onReport(report);
      },
    });
    const ended = whenEnded(running, lastWords);
    await Promise.race([inTime(ready.promise, name), ended]);
    return {
      pid: running.pid,
      ended,
      usage: () => {
        const answer = Promise.withResolvers<Usage>();
        answered = answer.resolve;
        running.signal('SIGUSR2');
        return Promise.race([inTime(answer.promise, name), ended]);
      },
      stop: async () => {
        await running.stop('SIGTERM', STOP_MS_MAX);
      },
    };
  }
}

/** Does some work on a site of its own, and leaves nothing of it behind. */
export async function onSite<Result>(
  cores: Cores,
  progress: Progress,
  signal: AbortSignal,
  work: (site: Site) => Promise<Result>,
): Promise<Result> {
  await sweepLeftRuns();
  const run = createRunFolder();
  const reaper = await startReaper(run);
  try {
    return await work(new Site(run, cores, progress, signal));
  } finally {
    await run.close();
    await reaper.dismiss();
  }
}

function whenEnded(running: RunningProcess, lastWords: readonly string[]): Promise<never> {
  const ended = running.exited.then(({ code, signal }): never => {
    const words = lastWords.join('\n  ');
    throw new Error(`${running.name} ended in the middle (${signal ?? `exit status ${code}`}). It said:\n  ${words}`);
  });
  ended.catch(() => {});
  return ended;
}

async function inTime<Result>(promise: Promise<Result>, who: string): Promise<Result> {
  const timer = new AbortController();
  const late = sleep(ANSWER_MS_MAX, undefined, { signal: timer.signal }).then((): never => {
    throw new Error(`${who} has not answered for ${ANSWER_MS_MAX / 1000} s. Is the machine overloaded?`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

export function entryPath(file: string): string {
  return join(fileURLToPath(new URL('.', import.meta.url)), file);
}
