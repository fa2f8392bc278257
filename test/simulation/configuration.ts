/**
 * What a schedule is made of, drawn from its seed alone: queue, fleet, workload and which faults are switched on.
 *
 * Most schedules are small, since most faults need few messages; and each has only some of the families of faults,
 * since a fault that is always on hides the others.
 */
import { Random } from './random.ts';
import { GROUP_SEARCH_MAX, IN_FLIGHT_MAX } from './sqs-attributes.ts';

/**
 * Share of the schedules in which a FIFO queue shows a tail although its head was given back with a delay. Nobody could
 * give a head back then and have its group wait; what the fence must still see to is that nothing is stored behind
 * what should have come after it.
 */
const DELAYED_HEADS_ARE_PASSED_SHARE = 0.1;

export interface Configuration {
  readonly seed: number;
  readonly fifo: boolean;
  readonly workers: number;
  readonly messages: number;
  readonly groups: number;
  readonly visibilityTimeoutSeconds: number;
  readonly maxReceiveCount: number;
  /** Messages are sent within this time. */
  readonly sendingMs: number;
  /** No fault begins after this; 0 for a schedule without faults. */
  readonly faultsEndMs: number;
  /** Chance that a call to SQS goes wrong. */
  readonly sqsFaults: number;
  /** Chance that the queue does what a distributed queue may do: duplicates, samples, stale handles. */
  readonly sqsQuirks: number;
  readonly inFlightMax: number;
  readonly groupSearchMax: number;
  /** The second reading of what holds up a FIFO group: sqs-order.ts. */
  readonly delayedHeadsArePassed: boolean;
  readonly databaseFaults: number;
  readonly databaseOutages: number;
  readonly outageMsMax: number;
  /** Chance per answer that the process that awaits it crashes, or pauses, there. */
  readonly crashes: number;
  readonly pauses: number;
  /** The how manyth answer that reaches a worker finds it crashing; 0 where chance alone decides. */
  readonly crashAtAnswer: number;
  /** Whether it crashes before it has heard that answer, or after. */
  readonly crashIsBefore: boolean;
  /** How often a worker is told to stop in the middle; no fault, so it happens without faults too. */
  readonly drains: number;
  /** Shares of messages that cannot simply be stored. */
  readonly invalid: number;
  readonly refused: number;
  readonly repeated: number;
  readonly reused: number;
  /** Messages that only SQS can move away: from a newer producer, or with a bug in the write function. */
  readonly doomed: number;
  /** Messages whose write fails once or twice before it succeeds. */
  readonly flaky: number;
  /** Messages that end the process which writes them. */
  readonly poison: number;
  /** Whether a rejected message halts its group. */
  readonly halts: boolean;
  /** How often the machines' clocks are set, by up to an hour. */
  readonly clockJumps: number;
}

const OUTAGE_MS_MAX = 90_000;
/** Twice as long as messages are kept in hand. */
const LONG_OUTAGE_MS_MAX = 600_000;
const LONG_FAULTS_MS = 700_000;

export function drawConfiguration(seed: number): Configuration {
  const random = new Random(seed, 'configuration');
  const faulty = random.chance(0.9);
  const family = (share: number, rate: number) => (faulty && random.chance(share) ? rate * random.uniform(0.2, 1) : 0);
  const workload = (share: number, rate: number) => (random.chance(share) ? rate : 0);
  const large = random.chance(0.05);
  const fifo = random.chance(0.5);
  const isLong = faulty && random.chance(0.04);
  const halts = fifo && random.chance(0.15);
  return {
    seed,
    fifo,
    workers: random.between(1, 3),
    messages: large ? random.between(40, 120) : isLong ? random.between(15, 40) : random.between(4, 20),
    groups: random.between(1, 5),
    visibilityTimeoutSeconds: random.pick([60, 60, 120]),
    maxReceiveCount: random.pick([3, 5, 5]),
    sendingMs: random.pick([0, 0, 5_000, 60_000]),
    faultsEndMs: isLong ? LONG_FAULTS_MS : faulty ? random.pick([20_000, 60_000, 120_000, 240_000]) : 0,
    sqsFaults: family(0.5, 0.3),
    sqsQuirks: family(0.5, 0.3),
    inFlightMax: faulty && random.chance(0.05) ? random.between(5, 20) : IN_FLIGHT_MAX,
    databaseFaults: family(0.5, 0.2),
    databaseOutages: isLong ? 1 : faulty && random.chance(0.25) ? random.between(1, 3) : 0,
    outageMsMax: isLong ? LONG_OUTAGE_MS_MAX : OUTAGE_MS_MAX,
    crashes: family(0.4, 0.08),
    pauses: family(0.4, 0.05),
    crashAtAnswer: 0,
    crashIsBefore: false,
    drains: random.chance(0.3) ? random.between(1, 4) : 0,
    invalid: workload(0.4, 0.15),
    refused: workload(0.4, 0.15),
    // Which of two messages with one key is stored, and which halts the group, would be anyone's guess.
    repeated: halts ? 0 : workload(0.4, 0.15),
    reused: halts ? 0 : workload(0.3, 0.1),
    doomed: halts ? 0 : workload(0.06, 0.1),
    flaky: workload(0.15, 0.15),
    poison: halts ? 0 : workload(0.06, 0.1),
    halts,
    clockJumps: random.chance(0.1) ? random.between(1, 3) : 0,
    groupSearchMax: faulty && random.chance(0.05) ? random.between(5, 20) : GROUP_SEARCH_MAX,
    delayedHeadsArePassed: random.chance(DELAYED_HEADS_ARE_PASSED_SHARE),
  };
}
