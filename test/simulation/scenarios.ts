/**
 * A dozen small scenarios, each run once for every moment at which a worker can crash in it, before and after what it
 * hears there. Chance misses moments; a sweep does not.
 */
import { type Configuration, drawConfiguration, NOTHING_GOES_WRONG } from './configuration.ts';

export interface Scenario {
  readonly name: string;
  readonly differs: Partial<Configuration>;
}

const SEED = 1;

/** Nothing goes wrong by itself: the crash is the only fault. */
const QUIET: Omit<Configuration, 'seed'> = {
  ...drawConfiguration(SEED),
  ...NOTHING_GOES_WRONG,
  fifo: false,
  workers: 1,
  messages: 8,
  groups: 1,
  visibilityTimeoutSeconds: 60,
  maxReceiveCount: 5,
  sendingMs: 0,
  faultsEndMs: 60_000,
  delayedHeadsArePassed: false,
};

export const SCENARIOS: readonly Scenario[] = [
  { name: 'one receive', differs: {} },
  { name: 'several receives share a transaction', differs: { messages: 25 } },
  { name: 'two workers', differs: { messages: 15, workers: 2 } },
  { name: 'bodies that cannot be read', differs: { invalid: 0.4 } },
  { name: 'rows that PostgreSQL refuses', differs: { refused: 0.4 } },
  { name: 'the same order again', differs: { repeated: 0.5 } },
  { name: 'a key used for two orders', differs: { reused: 0.5 } },
  { name: 'writes that fail at first', differs: { flaky: 0.4 } },
  { name: 'writes that never succeed', differs: { messages: 5, doomed: 0.5, maxReceiveCount: 3 } },
  { name: 'an outage', differs: { databaseOutages: 1 } },
  { name: 'a stop in the middle', differs: { messages: 25, drains: 1 } },
  { name: 'one group in its order', differs: { fifo: true } },
  { name: 'groups side by side', differs: { fifo: true, messages: 15, groups: 3 } },
  { name: 'a group whose head is rejected', differs: { fifo: true, refused: 0.4, invalid: 0.2 } },
  { name: 'a group whose head comes again', differs: { fifo: true, flaky: 0.4 } },
  { name: 'a group that is halted', differs: { fifo: true, halts: true, groups: 2, refused: 0.3 } },
  { name: 'a group on two workers', differs: { fifo: true, messages: 15, workers: 2, groups: 2 } },
];

/** @param crashAtAnswer the how manyth answer that a worker hears; 0 for no crash. */
export function scenarioConfiguration({ differs }: Scenario, crashAtAnswer: number, crashIsBefore: boolean) {
  return { ...QUIET, ...differs, seed: SEED, crashAtAnswer, crashIsBefore } satisfies Configuration;
}
