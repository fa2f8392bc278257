/** Runs schedules in plain Node processes, as many at once as there are cores: each has a module cache of its own. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SCENARIOS } from './scenarios.ts';
import { addReport, emptyReport, type Report, reportSchema } from './tally.ts';

const RUN_SCHEDULES = fileURLToPath(new URL('./run-schedules.ts', import.meta.url));

/** Schedules leave much garbage that is young, and throw many errors that nobody reads. */
const NODE_OPTIONS = ['--max-semi-space-size=64', '--stack-trace-limit=0'];

export interface Order {
  readonly firstSeed?: number;
  readonly schedules?: number;
  readonly step?: number;
  readonly mutant?: string;
  readonly until?: readonly string[];
  readonly drain?: 'checkpoint' | 'immediate';
  readonly hashEvery?: number;
  readonly scenario?: string;
  readonly crashAtAnswer?: number;
  readonly crashIsBefore?: boolean;
  readonly traced?: boolean;
}

/** In one process. @throws Error when the process fails, with what it wrote. */
export async function runInProcess(order: Order, onReport: (report: Report) => void = () => {}): Promise<Report> {
  const child = spawn(process.execPath, [...NODE_OPTIONS, RUN_SCHEDULES, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', order.traced === true ? 'inherit' : 'pipe'],
  });
  let complaint = '';
  child.stderr?.on('data', (data: Buffer) => {
    complaint += data.toString();
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const sum = emptyReport();
  if (child.stdout === null) throw new Error('the process has no standard output');
  for await (const line of createInterface({ input: child.stdout })) {
    const report = reportSchema.parse(JSON.parse(line));
    addReport(sum, report);
    onReport(report);
  }
  const status = await ended;
  if (status !== 0) throw new Error(`a process of the simulator ended with ${status}: ${complaint.trim()}`);
  return sum;
}

/** On every core: process k takes the seeds k, k + n, k + 2n and so on. */
export async function runOnAllCores(
  { firstSeed = 1, schedules = 1, ...rest }: Order,
  onReport: (report: Report) => void = () => {},
): Promise<Report> {
  const processes = Math.min(availableParallelism(), schedules);
  const orders = Array.from({ length: processes }, (_, index) => {
    const share = Math.ceil((schedules - index) / processes);
    return { ...rest, firstSeed: firstSeed + index, schedules: share, step: processes };
  });
  return runEach(orders, onReport);
}

/** As many at once as there are cores. */
export async function runEach(
  orders: readonly Order[],
  onReport: (report: Report) => void = () => {},
): Promise<Report> {
  const sum = emptyReport();
  const left = [...orders];
  const work = async () => {
    for (let order = left.shift(); order !== undefined; order = left.shift()) {
      addReport(sum, await runInProcess(order, onReport));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return sum;
}

/** Every scenario, with a crash at every moment. */
export function sweepAll(onReport: (report: Report) => void = () => {}): Promise<Report> {
  return runEach(
    SCENARIOS.map(({ name }) => ({ scenario: name })),
    onReport,
  );
}
