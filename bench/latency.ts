/**
 * What a worker adds to a commit when there is nothing else to do: from the moment at which the fake SQS wrote its answer
 * until the commit is answered, minus what the same four statements take by hand right after it.
 */
import { type CaseResult, number } from './result.ts';
import { EMPTY_TABLES } from './runtime.ts';
import type { Site } from './site.ts';
import { median, percentile } from './statistics.ts';
import { openDatabase } from './store.ts';

/** Connections, prepared statements and the first compilation are no part of an idle worker's day. */
const WARM_UP_MESSAGES = 100;

export interface LatencyOptions {
  readonly runs: number;
  readonly messages: number;
}

interface Commit {
  readonly workerMs: number;
  readonly bareMs: number;
}

interface LatencyRun {
  readonly worker: Spread;
  readonly bare: Spread;
  /** Of the differences, message by message. */
  readonly added: Spread;
}

interface Spread {
  readonly medianMs: number;
  readonly p99Ms: number;
}

export async function latency(site: Site, options: LatencyOptions): Promise<CaseResult> {
  const database = await openDatabase(site);
  const runs: LatencyRun[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    // The fake SQS of each run counts its messages from the start.
    await database.pool.query(EMPTY_TABLES);
    const commits = await commitsOf(site, database.url, options, run);
    runs.push({
      worker: spread(commits.map(({ workerMs }) => workerMs)),
      bare: spread(commits.map(({ bareMs }) => bareMs)),
      added: spread(commits.map(({ workerMs, bareMs }) => workerMs - bareMs)),
    });
  }
  await database.close();
  return resultOf(runs, options, database.durability);
}

async function commitsOf(site: Site, databaseUrl: string, options: LatencyOptions, run: number): Promise<Commit[]> {
  const { runs, messages } = options;
  const commits: Commit[] = [];
  const enough = Promise.withResolvers<void>();
  const text = () => `latency: run ${run} of ${runs}, ${Math.max(0, commits.length - WARM_UP_MESSAGES)} of ${messages}`;
  site.progress.step(text());
  const sqs = await site.startFakeSqs('on-request');
  const worker = await site.startConsumer(sqs, {
    name: 'latency-worker',
    entry: 'latency-worker.ts',
    environment: { DATABASE_URL: databaseUrl },
    onReport: (report) => {
      if (report.name !== 'commit') return;
      site.progress.within(text());
      if (commits.push(report) === WARM_UP_MESSAGES + messages) enough.resolve();
    },
  });
  await Promise.race([enough.promise, worker.ended, site.interrupted]);
  await worker.stop();
  await sqs.stop();
  return commits.slice(WARM_UP_MESSAGES, WARM_UP_MESSAGES + messages);
}

function spread(values: readonly number[]): Spread {
  return { medianMs: median(values), p99Ms: percentile(values, 99) };
}

function resultOf(runs: readonly LatencyRun[], options: LatencyOptions, durability: string): CaseResult {
  const middle = (of: keyof LatencyRun, figure: keyof Spread) => median(runs.map((run) => run[of][figure]));
  const row = (who: string, of: keyof LatencyRun) => [
    who,
    number(middle(of, 'medianMs'), 2),
    number(middle(of, 'p99Ms'), 2),
  ];
  return {
    name: 'latency',
    conditions: [
      `One message at a time on an idle queue, ${number(options.messages)} in each run; ${durability}.`,
      `Medians of ${runs.length} runs; in each, a bare commit after every message, in the same process.`,
    ],
    figures: [
      {
        what: 'added latency, median',
        seen: middle('added', 'medianMs'),
        decimals: 2,
        unit: ' ms',
        target: { kind: 'below', value: 2 },
      },
      {
        what: 'added latency, 99th percentile',
        seen: middle('added', 'p99Ms'),
        decimals: 2,
        unit: ' ms',
        target: { kind: 'below', value: 10 },
      },
    ],
    details: [
      {
        title: 'Milliseconds',
        head: ['', 'median', '99th percentile'],
        rows: [
          row("from SQS's answer to the commit", 'worker'),
          row('bare commit', 'bare'),
          row('difference, message by message', 'added'),
        ],
      },
    ],
    runs,
  };
}
