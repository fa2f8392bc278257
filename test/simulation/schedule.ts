/**
 * One schedule, from its seed to its verdict: a workload is sent, faults happen until a set time, and everything must
 * settle in a computed time after that.
 */
import { type Configuration, drawConfiguration } from './configuration.ts';
import { Fleet } from './fleet.ts';
import { History } from './history.ts';
import type { Violation } from './invariants.ts';
import { judgeOf } from './judge.ts';
import { judgeCost } from './judge-cost.ts';
import { judgeLosses } from './judge-losses.ts';
import { type Health, PostgresModel } from './postgres-model.ts';
import { Random } from './random.ts';
import { type Drain, Scheduler } from './scheduler.ts';
import { SqsModel } from './sqs-model.ts';
import { drawWorkload, POISON, type Sent } from './workload.ts';

/** As back-off.ts has them: the waits of a message that failed, and of one from a newer producer. */
const MESSAGE_BACK_OFF_SECONDS = { first: 15, most: 900 };
const NEWER_BACK_OFF_SECONDS = { first: 300, most: 3_600 };
/** As consumer.ts has them. */
const LEASES_BEHIND_SUSPECT = 5;
const LEASES_APART_MAX = 25;
/** No lease lasts longer. */
const LEASE_SECONDS_MAX = 12 * 3_600;
/** Locks of lost sessions, probes, restarts and calls that hang, after the faults. */
const AFTERMATH_MS = 60_000;
/** Most rounds that a message needs once nothing goes wrong: one for a lease of the past, one for a conflict, one to succeed. */
const ROUNDS = 3;
/** How often it is looked whether everything is settled, where nothing else happens. */
const TICK_MS_MIN = 1_000;
const TICKS_PER_LEASE_MAX = 120;
/** A worker that has not ended this long after the last drain began does not end at all. */
const END_MS_MAX = 300_000;

export interface Verdict {
  readonly seed: number;
  readonly configuration: Configuration;
  readonly violations: readonly Violation[];
  /** How often what happened: faults by operation, and states that must be seen sometimes. */
  readonly coverage: ReadonlyMap<string, number>;
  readonly traceHash: string;
  readonly events: number;
  readonly virtualMs: number;
  /** How many answers reached workers: the moments at which one could have crashed. */
  readonly answers: number;
}

export interface ScheduleOptions {
  readonly drain?: Drain;
  readonly onTrace?: (line: string) => void;
  /** @default what is drawn from the seed */
  readonly configuration?: Configuration;
}

/** Told of what a worker left unhandled: a real process would have ended by it. */
let onUnhandled: (error: unknown) => void = () => {};
process.on('unhandledRejection', (error) => onUnhandled(error));

export async function runSchedule(seed: number, options: ScheduleOptions = {}): Promise<Verdict> {
  const configuration = options.configuration ?? drawConfiguration(seed);
  const scheduler = new Scheduler(options.drain ?? 'checkpoint', options.onTrace);
  const coverage = new Map<string, number>();
  const count = (what: string) => void coverage.set(what, (coverage.get(what) ?? 0) + 1);
  const history = new History(scheduler, configuration, count);
  const judge = judgeOf(history);
  const sqsRandom = new Random(seed, 'sqs');
  const databaseRandom = new Random(seed, 'database');
  const model = new SqsModel({ scheduler, settings: configuration, random: sqsRandom, witness: judge, count });
  const server = new PostgresModel(scheduler, databaseRandom, judge);
  onUnhandled = (error) => history.violated('worker lives', `a worker failed: ${String(error)}`);
  history.queue = model;
  history.database = server;
  const common = { scheduler, configuration, count };
  const fleet = new Fleet({
    ...common,
    history,
    sqs: { ...common, random: sqsRandom, model },
    database: { ...common, random: databaseRandom, server, commitSent: judge.commitSent, keysAsked: judge.keysAsked },
  });
  const workload = drawWorkload(configuration, new Random(seed, 'workload'));
  for (const sent of workload) scheduler.at(sent.sendAtMs, () => model.accept(sent));
  setOutages(configuration, new Random(seed, 'outages'), scheduler, server, history, count);
  scheduler.at(0, () => fleet.start());

  const settleByMs = settlingLimit(configuration, workload);
  const isSettled = () => model.messages.length === workload.length && model.isEmpty;
  let ticking = true;
  const tickMs = Math.max(TICK_MS_MIN, (configuration.visibilityTimeoutSeconds * 1000) / TICKS_PER_LEASE_MAX);
  const tick = () => ticking && void scheduler.after(tickMs, tick);
  tick();
  await scheduler.run(() => isSettled() || scheduler.nowMs > settleByMs || history.violations.length > 0);
  history.judged('liveness');
  if (!isSettled() && history.violations.length === 0) {
    const left = model.messages.filter(({ where }) => where === 'source').map(({ messageId }) => messageId);
    history.violated(
      'liveness',
      `${left.join(', ')} not settled ${(settleByMs - configuration.faultsEndMs) / 1000} s after the faults`,
    );
  }
  if (history.violations.length === 0) {
    fleet.end();
    const endByMs = scheduler.nowMs + END_MS_MAX;
    await scheduler.run(() => fleet.isOver || scheduler.nowMs > endByMs);
    if (!fleet.isOver) history.violated('drain', 'a worker did not end');
    judgeLosses(history);
    judgeCost(history);
  }
  ticking = false;
  // Node tells of a rejection that nobody handles only between two turns of its loop.
  await new Promise(setImmediate);
  const { traceHash, events, nowMs: virtualMs } = scheduler;
  const { violations } = history;
  return { seed, configuration, violations, coverage, traceHash, events, virtualMs, answers: fleet.answers };
}

/** When everything must be settled: as many rounds as a message can need, each a lease or the longest back-off. */
function settlingLimit(configuration: Configuration, workload: readonly Sent[]): number {
  const { maxReceiveCount, visibilityTimeoutSeconds, fifo, groups, faultsEndMs, sendingMs } = configuration;
  const doomed = workload.filter(({ fate }) => fate === 'moved');
  const backOff = doomed.some(({ work }) => work.value === 'newer') ? NEWER_BACK_OFF_SECONDS : MESSAGE_BACK_OFF_SECONDS;
  const longest = Math.min(backOff.first * 2 ** (maxReceiveCount - 1), backOff.most);
  const roundMs = Math.max(visibilityTimeoutSeconds, longest) * 1000 + AFTERMATH_MS;
  // Doomed messages of one group are moved one after the other.
  const rounds = ROUNDS + (maxReceiveCount + 1) * (fifo ? doomed.length : Math.min(1, doomed.length));
  // Those in hand beside a suspect when its process ends come again this much later, each chain apart; behind each poison
  // of a group once more.
  const chains = fifo ? groups : workload.length;
  const apartSeconds = Math.min(LEASES_APART_MAX, LEASES_BEHIND_SUSPECT + chains) * visibilityTimeoutSeconds;
  const apartMs = Math.min(apartSeconds, LEASE_SECONDS_MAX) * 1000;
  const poisons = workload.filter(({ work }) => work.value === POISON).length;
  const timesApart = fifo ? Math.max(1, poisons) : 1;
  return Math.max(faultsEndMs, sendingMs) + rounds * roundMs + timesApart * apartMs + workload.length * 1_000;
}

function setOutages(
  { databaseOutages, outageMsMax, faultsEndMs }: Configuration,
  random: Random,
  scheduler: Scheduler,
  server: PostgresModel,
  history: History,
  count: (what: string) => void,
): void {
  for (let index = 0; index < databaseOutages; index += 1) {
    const fromMs = random.uniform(0, faultsEndMs);
    const toMs = Math.min(faultsEndMs, fromMs + random.uniform(1_000, outageMsMax));
    const health = random.pick<Health>(['refusing', 'refusing', 'read-only', 'full']);
    const endsSessions = health !== 'full' && random.chance(0.8);
    history.outages.push({ fromMs, toMs });
    scheduler.at(fromMs, () => {
      count(`database: ${health}`);
      server.health = health;
      if (endsSessions || health === 'refusing') server.endAllSessions();
    });
    scheduler.at(toMs, () => {
      server.health = 'well';
    });
  }
}
