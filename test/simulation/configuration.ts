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
  /** The largest message that the queue takes: what a worker has to keep room for. */
  readonly messageBytesMax: number;
  /** How large a body is made; 0 for as large as its work. */
  readonly bodyBytes: number;
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
  /** How long a statement may be on its way, each way. */
  readonly statementMsMax: number;
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

const MESSAGE_BYTES_MAX = 262_144;
const STATEMENT_MS_MAX = 5;

/**
 * Share of the schedules that fill a worker to its limits: a backlog, a database that is slow, and nothing that goes
 * wrong. They are long, and few are enough.
 */
const CROWD_SHARE = 0.003;
/** Of those, of the largest messages that there are. */
const HEAVY_SHARE = 0.2;
const SLOW_STATEMENT_MS_MAX = 100;
const LARGEST_MESSAGE_BYTES = 1_048_576;
const HEAVY_BODY_BYTES = 1_000_000;

/** Shares of the schedules with long visibility timeouts, up to SQS's longest: the longer, the more there is to run. */
const LONG_LEASES = [
  { seconds: 900, share: 0.006 },
  { seconds: 3_600, share: 0.002 },
  { seconds: 10_800, share: 0.001 },
  { seconds: 43_200, share: 0.0003 },
] as const;

export function drawConfiguration(seed: number): Configuration {
  const random = new Random(seed, 'configuration');
  const faulty = random.chance(0.9);
  const family = (share: number, rate: number) => (faulty && random.chance(share) ? rate * random.uniform(0.2, 1) : 0);
  const workload = (share: number, rate: number) => (random.chance(share) ? rate : 0);
  const large = random.chance(0.05);
  const fifo = random.chance(0.5);
  const isLong = faulty && random.chance(0.04);
  const halts = fifo && random.chance(0.15);
  const drawn: Configuration = {
    seed,
    fifo,
    workers: random.between(1, 3),
    messages: large ? random.between(40, 120) : isLong ? random.between(15, 40) : random.between(4, 20),
    groups: random.between(1, 5),
    visibilityTimeoutSeconds: random.pick([60, 60, 120]),
    messageBytesMax: MESSAGE_BYTES_MAX,
    bodyBytes: 0,
    statementMsMax: STATEMENT_MS_MAX,
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
  return { ...drawn, ...drawRarity(drawn, random) };
}

/** What a few schedules have instead of what was drawn for them. */
function drawRarity(drawn: Configuration, random: Random): Partial<Configuration> {
  let left = random.next() - CROWD_SHARE;
  if (left < 0) return crowded(drawn, random);
  for (const { seconds, share } of LONG_LEASES) {
    left -= share;
    if (left < 0) return { visibilityTimeoutSeconds: seconds };
  }
  return {};
}

function crowded({ repeated }: Configuration, random: Random): Partial<Configuration> {
  const isHeavy = random.chance(HEAVY_SHARE);
  // What is not written, or once for two, leaves a batch below its limit.
  const isPlain = isHeavy || random.chance(0.6);
  return {
    ...NOTHING_GOES_WRONG,
    workers: 1,
    messages: isHeavy ? random.between(10, 12) : random.between(450, 600),
    // A group waits for those of it that are in flight: with few groups a worker is never full.
    groups: random.pick([80, 600]),
    sendingMs: 0,
    messageBytesMax: isHeavy ? LARGEST_MESSAGE_BYTES : random.pick([MESSAGE_BYTES_MAX, LARGEST_MESSAGE_BYTES]),
    bodyBytes: isHeavy ? HEAVY_BODY_BYTES : 0,
    statementMsMax: SLOW_STATEMENT_MS_MAX,
    invalid: isPlain ? 0 : 0.1,
    repeated: isPlain ? 0 : Math.min(repeated, 0.1),
  };
}

/** No fault, no stop, and no message that has to come again. */
export const NOTHING_GOES_WRONG = {
  faultsEndMs: 0,
  sqsFaults: 0,
  sqsQuirks: 0,
  inFlightMax: IN_FLIGHT_MAX,
  groupSearchMax: GROUP_SEARCH_MAX,
  databaseFaults: 0,
  databaseOutages: 0,
  crashes: 0,
  pauses: 0,
  drains: 0,
  invalid: 0,
  refused: 0,
  repeated: 0,
  reused: 0,
  doomed: 0,
  flaky: 0,
  poison: 0,
  halts: false,
  clockJumps: 0,
} as const;
