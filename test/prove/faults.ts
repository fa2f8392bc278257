/**
 * What is done to a run, each kind of trouble by itself and all of them together.
 *
 * Holds always: a trouble goes on until it is told that it is over, and leaves everything healthy behind; all its chance
 * comes from a stream of its own; what it did is counted, because a fault that never happened proves nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultyNetwork } from '../faults/faulty-network.ts';
import { type FaultyPostgres, signalIfThere } from '../faults/faulty-postgres.ts';
import type { ProxyFate } from '../faults/faulty-sqs.ts';
import type { Random } from '../simulation/random.ts';

/** What stands between the workers and a server. */
export type Way = 'network to PostgreSQL' | 'network to SQS' | 'proxy before SQS';

/** What a trouble can lay its hands on. */
export interface World {
  /** The pids of the workers that run now. */
  readonly workers: () => readonly number[];
  readonly postgres: FaultyPostgres;
  readonly networkToPostgres: FaultyNetwork;
  readonly networkToSqs: FaultyNetwork;
  /** What the proxy before SQS does with each request. */
  fateOf: (operation: string) => ProxyFate;
  /** How many times longer the pauses between faults are: among many troubles work has to get under way as well. */
  readonly patience: number;
  /** Counts something that was done. */
  readonly count: (what: string, times?: number) => void;
}

export interface Trouble {
  readonly name: string;
  readonly what: string;
  readonly ways: readonly Way[];
  /** Settles when it is over and everything is healthy again. */
  readonly make: (world: World, random: Random, over: AbortSignal) => Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly what: string;
  readonly troubles: readonly Trouble[];
  /** How many times longer than that of others the pauses between what it does are. */
  readonly patience: number;
  /** How many times longer it goes on. */
  readonly stamina: number;
}

/** Long enough that a commit, a delete and a lease are met in every state; the deadlines of a worker are 5 to 26 s. */
const FREEZE_SECONDS = [20, 40] as const;
const SILENCE_SECONDS = [2, 12] as const;
const DELAY_PHASE_SECONDS = [3, 12] as const;
const AWAY_SECONDS = [0.5, 8] as const;
const BETWEEN_KILLS_SECONDS = [1, 5] as const;
const BETWEEN_RESETS_SECONDS = [0.2, 2] as const;
const BETWEEN_FREEZES_SECONDS = [5, 25] as const;
const BETWEEN_SECONDS = [1, 6] as const;
/** One kill in so many takes every worker of both fleets. */
const KILLS_PER_MASSACRE = 8;

/** What SQS does instead of answering, and how often: three calls in ten fail, half of them after they took effect. */
const FATES: readonly (readonly [ProxyFate, number])[] = [
  ['answer 500', 0.05],
  ['answer 503', 0.05],
  ['throttle', 0.05],
  ['answer 500 after it took effect', 0.1],
  ['lose the answer', 0.05],
];

const killWorkers: Trouble = {
  name: 'kill-workers',
  what: 'workers of both fleets killed (SIGKILL) every few seconds, and started again',
  ways: [],
  make: async (world, random, over) => {
    while (await paused(world, random, BETWEEN_KILLS_SECONDS, over)) {
      const workers = world.workers();
      if (workers.length === 0) continue;
      const victims = random.chance(1 / KILLS_PER_MASSACRE) ? workers : [random.pick(workers)];
      for (const pid of victims) {
        if (signalIfThere(pid, 'SIGKILL')) world.count('worker killed');
      }
    }
  },
};

const endPostgres = (name: string, what: string, signal: 'SIGINT' | 'SIGKILL'): Trouble => ({
  name,
  what,
  ways: [],
  make: async (world, random, over) => {
    while (await paused(world, random, BETWEEN_SECONDS, over)) {
      await world.postgres.endAndStart(signal, () => waited(random, AWAY_SECONDS, over));
      world.count(signal === 'SIGINT' ? 'PostgreSQL stopped' : 'PostgreSQL killed');
    }
  },
});

const freezePostgres: Trouble = {
  name: 'freeze-postgres',
  what: `PostgreSQL stopped where it is (SIGSTOP) for ${FREEZE_SECONDS.join(' to ')} s, and let go on`,
  ways: [],
  make: async (world, random, over) => {
    while (await paused(world, random, BETWEEN_FREEZES_SECONDS, over)) {
      // To its end, also when it is over meanwhile: shorter than the deadlines of a worker it would be another fault.
      await world.postgres.freeze(() => sleep(random.uniform(...FREEZE_SECONDS) * 1000));
      world.count('PostgreSQL frozen');
    }
  },
};

type NetworkOf = (world: World) => FaultyNetwork;

const swallow = (name: string, to: string, way: Way, networkOf: NetworkOf): Trouble => ({
  name,
  what: `a network to ${to} that swallows: connections go silent for good, new ones are taken and never answered`,
  ways: [way],
  make: async (world, random, over) => {
    while (await paused(world, random, BETWEEN_SECONDS, over)) {
      world.count(`connection to ${to} silenced`, networkOf(world).swallow());
      await waited(random, SILENCE_SECONDS, over);
      networkOf(world).pass();
    }
  },
});

const reset = (name: string, to: string, way: Way, networkOf: NetworkOf): Trouble => ({
  name,
  what: `a network to ${to} that resets every connection again and again`,
  ways: [way],
  make: async (world, random, over) => {
    while (await paused(world, random, BETWEEN_RESETS_SECONDS, over)) {
      world.count(`connection to ${to} reset`, networkOf(world).reset());
    }
  },
});

const delay = (name: string, to: string, way: Way, networkOf: NetworkOf): Trouble => ({
  name,
  what: `a network to ${to} that delays what it carries, now and then beyond every deadline`,
  ways: [way],
  make: async (world, random, over) => {
    while (await paused(world, random, BETWEEN_SECONDS, over)) {
      networkOf(world).delay(() => {
        world.count(`piece to or from ${to} delayed`);
        return delayMs(random);
      });
      await waited(random, DELAY_PHASE_SECONDS, over);
      networkOf(world).pass();
    }
  },
});

const failSqs: Trouble = {
  name: 'fail-sqs',
  what: 'SQS that answers 500, 503 and ThrottlingException to one call in three, also after the call took effect',
  ways: ['proxy before SQS'],
  make: async (world, random, over) => {
    world.fateOf = () => {
      const fate = fateFor(random.next());
      if (fate !== 'pass') world.count(fate);
      return fate;
    };
    while (await paused(world, random, BETWEEN_SECONDS, over));
    world.fateOf = () => 'pass';
  },
};

const toPostgres = ['PostgreSQL', 'network to PostgreSQL', (world: World) => world.networkToPostgres] as const;
const toSqs = ['SQS', 'network to SQS', (world: World) => world.networkToSqs] as const;

const TROUBLES: readonly Trouble[] = [
  killWorkers,
  endPostgres('stop-postgres', 'PostgreSQL stopped fast (SIGINT), and started again on its data', 'SIGINT'),
  endPostgres('kill-postgres', 'PostgreSQL killed (SIGKILL), and started again on its data', 'SIGKILL'),
  freezePostgres,
  swallow('swallow-postgres', ...toPostgres),
  reset('reset-postgres', ...toPostgres),
  delay('delay-postgres', ...toPostgres),
  swallow('swallow-sqs', ...toSqs),
  reset('reset-sqs', ...toSqs),
  delay('delay-sqs', ...toSqs),
  failSqs,
];

const CRASHES = ['kill-workers', 'stop-postgres', 'kill-postgres', 'fail-sqs'];

export const FAULTS: readonly Fault[] = [
  { name: 'none', what: 'nothing is done to it', troubles: [], patience: 1, stamina: 1 },
  ...TROUBLES.map((trouble) => ({
    name: trouble.name,
    what: trouble.what,
    troubles: [trouble],
    patience: 1,
    stamina: 1,
  })),
  {
    name: 'crashes',
    what: 'workers and PostgreSQL killed, PostgreSQL stopped, and SQS failing, at once',
    troubles: TROUBLES.filter(({ name }) => CRASHES.includes(name)),
    patience: 1,
    stamina: 1,
  },
  {
    name: 'everything',
    what: 'all of the above at once, each less often, for twice as long',
    troubles: TROUBLES,
    patience: 6,
    stamina: 2,
  },
];

/** Waits before the next thing that is done; false when it is over. */
function paused(world: World, random: Random, [from, to]: readonly [number, number], over: AbortSignal) {
  return waited(random, [from * world.patience, to * world.patience], over);
}

/** Waits for some time between the two; false when it is over. */
async function waited(random: Random, [from, to]: readonly [number, number], over: AbortSignal): Promise<boolean> {
  await sleep(random.uniform(from, to) * 1000, undefined, { signal: over }).catch(() => undefined);
  return !over.aborted;
}

/** Mostly a slow network, sometimes a bad one, and once in a while longer than any deadline for one call. */
function delayMs(random: Random): number {
  const kind = random.next();
  if (kind < 0.8) return random.uniform(0, 300);
  if (kind < 0.99) return random.uniform(300, 2_000);
  return random.uniform(2_000, 15_000);
}

function fateFor(chance: number): ProxyFate {
  let rest = chance;
  for (const [fate, probability] of FATES) {
    if (rest < probability) return fate;
    rest -= probability;
  }
  return 'pass';
}
