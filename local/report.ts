/** What `--report` writes: the balance, the timings and what the run cost, for scripts and for the README. */
import { cpus, totalmem } from 'node:os';
import type pg from 'pg';
import type { FilePlan } from '../producer/retail-file.ts';
import type { ResourceTypeCount } from './assembly/resource-types.ts';
import { isComplete, isExact, type QueueBalance } from './balance.ts';
import type { LocalFleet } from './fleet.ts';

export interface RunTimings {
  /** `cdk synth`'s part of the start. */
  readonly synthesisSeconds: number;
  /** From the start of the command to the first commit, by the database's clock; null when nothing was stored. */
  readonly firstRowSeconds: number | null;
  /** From the start of the command to the last commit. */
  readonly storedSeconds: number | null;
  readonly sendingSeconds: number | null;
  readonly totalSeconds: number;
}

export interface RunReport {
  readonly startedAt: string;
  readonly stage: string;
  readonly input: string;
  readonly orders: number;
  readonly messages: number;
  /** Nothing is lost, stored twice, out of order, or dead without a reason of its own. */
  readonly exact: boolean;
  /** Nothing is waiting either. */
  readonly complete: boolean;
  readonly interrupted: boolean;
  readonly balance: readonly QueueBalance[];
  readonly timings: RunTimings;
  /** Send, receive, delete and visibility, of the producer and the workers; the monitor's own are not counted. */
  readonly requests: { readonly producer: number; readonly workers: number; readonly perMessage: number | null };
  readonly fleets: readonly {
    readonly name: string;
    readonly workers: number;
    readonly received: number;
    readonly retried: number;
    readonly leasesLost: number;
    readonly requests: number;
    readonly memoryPeakMegabytes: number;
  }[];
  /** Every resource type of the templates: what it is on this machine, or why it is not. */
  readonly resources: readonly ResourceTypeCount[];
  readonly machine: {
    readonly cpus: number;
    readonly model: string;
    readonly memoryGigabytes: number;
    readonly node: string;
  };
}

export interface ReportInput {
  readonly options: {
    readonly stage: string;
    readonly input: string | undefined;
    readonly workers: number | undefined;
  };
  readonly startedAt: Date;
  readonly plan: FilePlan;
  readonly balances: readonly QueueBalance[];
  readonly interrupted: boolean;
  readonly producerRequests: number;
  readonly fleets: readonly LocalFleet[];
  readonly timings: RunTimings;
  readonly resources: readonly ResourceTypeCount[];
}

export function reportOf(input: ReportInput): RunReport {
  const messages = input.balances.reduce((sum, { sent }) => sum + sent, 0);
  const workers = input.fleets.reduce((sum, { counts }) => sum + counts.requests, 0);
  const processors = cpus();
  return {
    startedAt: input.startedAt.toISOString(),
    stage: input.options.stage,
    input: input.plan.path,
    orders: input.plan.orders,
    messages,
    exact: input.balances.every(isExact),
    complete: isComplete(input.balances),
    interrupted: input.interrupted,
    balance: input.balances,
    timings: input.timings,
    requests: {
      producer: input.producerRequests,
      workers,
      perMessage: messages === 0 ? null : (input.producerRequests + workers) / messages,
    },
    fleets: input.fleets.map(({ name, counts, memoryPeakMegabytes, workers: size }) => ({
      name,
      workers: size,
      received: counts.received,
      retried: counts.retried,
      leasesLost: counts.leasesLost,
      requests: counts.requests,
      memoryPeakMegabytes,
    })),
    resources: input.resources,
    machine: {
      cpus: processors.length,
      model: processors[0]?.model ?? 'unknown',
      memoryGigabytes: Math.round(totalmem() / 2 ** 30),
      node: process.version,
    },
  };
}

/** When the first and the last key of this run were stored, from the inbox itself. */
export async function readTimings(
  pool: pg.Pool,
  startedAt: Date,
  synthesisSeconds: number,
  sendingSeconds: number | undefined,
): Promise<RunTimings> {
  const { rows } = await pool.query<{ first: number | null; last: number | null }>(
    `select extract(epoch from min(stored_at) - $1::timestamptz)::float8 as first,
            extract(epoch from max(stored_at) - $1::timestamptz)::float8 as last
     from inbox where stored_at >= $1`,
    [startedAt],
  );
  return {
    synthesisSeconds,
    firstRowSeconds: rows[0]?.first ?? null,
    storedSeconds: rows[0]?.last ?? null,
    sendingSeconds: sendingSeconds ?? null,
    totalSeconds: (Date.now() - startedAt.getTime()) / 1000,
  };
}
