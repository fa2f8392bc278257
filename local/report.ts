/** What `--report` writes: the balance, the timings and what the run cost, for scripts and for the README. */
import { appendFile, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import type { SendSummary } from '../producer/send-orders.ts';
import type { ResourceTypeCount } from './assembly/resource-types.ts';
import { isComplete, isExact, type QueueBalance } from './balance.ts';
import type { LocalFleet } from './fleet.ts';
import type { Preparation } from './prepare.ts';

export interface RunTimings {
  /** `cdk synth`'s part of the start; null when the assembly was there already. */
  readonly synthesisSeconds: number | null;
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

/** Known before the run rather than after it, when the figures would be lost. */
export async function checkReportFile(path: string): Promise<void> {
  try {
    await appendFile(path, '');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `cannot write the report to ${path} (${reason}). Name a file in a folder that exists and is yours.`,
      { cause: error },
    );
  }
}

export function writeReport(path: string, report: RunReport): Promise<void> {
  return writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}

/** What a run took, in a few words. */
export function costOf({ timings, requests }: RunReport): string {
  const { storedSeconds, totalSeconds } = timings;
  const { perMessage } = requests;
  const each = perMessage === null ? '' : ` · ${perMessage.toFixed(2)} SQS requests a message`;
  return `${(storedSeconds ?? totalSeconds).toFixed(1)} s${each}`;
}

export interface ReportInput {
  readonly startedAt: Date;
  readonly prepared: Preparation;
  /** Undefined when it failed. */
  readonly sending: SendSummary | undefined;
  readonly balances: readonly QueueBalance[];
  readonly fleets: readonly LocalFleet[];
  readonly interrupted: boolean;
}

export async function takeReport(input: ReportInput): Promise<RunReport> {
  const timings = await readTimings(input);
  const messages = input.balances.reduce((sum, { sent }) => sum + sent, 0);
  const producer = input.sending?.requests ?? 0;
  const workers = input.fleets.reduce((sum, { counts }) => sum + counts.requests, 0);
  const processors = cpus();
  return {
    startedAt: input.startedAt.toISOString(),
    stage: input.prepared.stage,
    input: input.prepared.plan.path,
    orders: input.prepared.plan.orders,
    messages,
    exact: input.balances.every(isExact),
    complete: isComplete(input.balances),
    interrupted: input.interrupted,
    balance: input.balances,
    timings,
    requests: { producer, workers, perMessage: messages === 0 ? null : (producer + workers) / messages },
    fleets: input.fleets.map(({ name, counts, memoryPeakMegabytes, workers: size }) => ({
      name,
      workers: size,
      received: counts.received,
      retried: counts.retried,
      leasesLost: counts.leasesLost,
      requests: counts.requests,
      memoryPeakMegabytes,
    })),
    resources: input.prepared.resources,
    machine: {
      cpus: processors.length,
      model: processors[0]?.model ?? 'unknown',
      memoryGigabytes: Math.round(totalmem() / 2 ** 30),
      node: process.version,
    },
  };
}

/** When the first and the last key of this run were stored, from the inbox itself. */
async function readTimings({ startedAt, prepared, sending }: ReportInput): Promise<RunTimings> {
  const { rows } = await prepared.postgres.pool.query<{ first: number | null; last: number | null }>(
    `select extract(epoch from min(stored_at) - $1::timestamptz)::float8 as first,
            extract(epoch from max(stored_at) - $1::timestamptz)::float8 as last
     from inbox where stored_at >= $1`,
    [startedAt],
  );
  return {
    synthesisSeconds: prepared.synthesisSeconds,
    firstRowSeconds: rows[0]?.first ?? null,
    storedSeconds: rows[0]?.last ?? null,
    sendingSeconds: sending?.seconds ?? null,
    totalSeconds: (Date.now() - startedAt.getTime()) / 1000,
  };
}
