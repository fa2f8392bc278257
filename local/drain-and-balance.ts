/**
 * How a run ends whose database may be frozen or on its way back: the fleets drain, and then the balance is taken.
 *
 * Holds always: a database that takes connections and answers none is waited for by nobody; one that refuses them is,
 * unless the run failed. When `drain` has ended, no worker runs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueueBalance } from './balance.ts';
import type { LocalFleet } from './fleet.ts';
import type { PostgresServer } from './servers.ts';

/** A database that was killed is back within a second or two. */
const BALANCE_MS_MAX = 15_000;
const BALANCE_PAUSE_MS = 500;

/** @returns false when the database is silent: the workers had nothing to wait for, and there is no balance. */
export async function drain(fleets: readonly LocalFleet[], postgres: PostgresServer): Promise<boolean> {
  const stopping = fleets.map((fleet) => fleet.stop());
  const killing = postgres.isSilent().then(async (silent) => {
    if (silent) await Promise.all(fleets.map((fleet) => fleet.kill()));
    return silent;
  });
  const [silent] = await Promise.all([killing, ...stopping]);
  return !silent;
}

/** @param failure of the run; one that failed does not wait for its database. */
export async function lastBalances(
  take: () => Promise<QueueBalance[]>,
  postgres: PostgresServer,
  failure: () => Error | undefined,
): Promise<QueueBalance[]> {
  const giveUpAtMs = performance.now() + BALANCE_MS_MAX;
  for (;;) {
    try {
      return await take();
    } catch (error) {
      const failed = failure();
      if (failed !== undefined) throw failed;
      if (await postgres.isSilent()) throw noBalance(postgres, error);
      if (performance.now() > giveUpAtMs)
        throw new Error(`cannot take the balance: ${String(error)}`, { cause: error });
      await sleep(BALANCE_PAUSE_MS);
    }
  }
}

export function noBalance({ url }: PostgresServer, cause?: unknown): Error {
  return new Error(
    `cannot take the balance, because PostgreSQL at ${new URL(url).host} does not answer. Press Ctrl-C when it does to have one.`,
    { cause },
  );
}
