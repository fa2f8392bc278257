/** How the bench waits: by what the fake SQS was told to delete, never by the clock alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { number } from './result.ts';
import type { FakeSqs, MeasuredProcess, Site } from './site.ts';

/**
 * Node has compiled what is hot after some ten seconds of a core, which are as many messages: before that a message costs
 * two to four times as much.
 */
const WARM_UP_MESSAGES = 40_000;
const POLL_MS = 200;
/** A worker that is alive deletes something in this time, on the busiest machine. */
const STANDSTILL_MS_MAX = 30_000;

export interface Work {
  readonly sqs: FakeSqs;
  readonly consumers: readonly MeasuredProcess[];
  /** For a person. */
  readonly what: string;
}

export async function untilWarm(site: Site, work: Work): Promise<void> {
  const { deleted } = await work.sqs.counts();
  await untilDeleted(site, { ...work, what: `${work.what}, warming up` }, deleted + WARM_UP_MESSAGES);
}

/**
 * Until so many messages were deleted since the fake SQS started.
 *
 * @returns how many they were in the end. @throws Error when a consumer ends, and when nothing moves any more.
 */
export async function untilDeleted(site: Site, { sqs, consumers, what }: Work, messages: number): Promise<number> {
  const startedMs = performance.now();
  const { deleted: first } = await sqs.counts();
  let last = { deleted: first, atMs: startedMs };
  for (;;) {
    const { deleted } = await sqs.counts();
    const nowMs = performance.now();
    if (deleted >= messages) return deleted;
    if (deleted > last.deleted) last = { deleted, atMs: nowMs };
    if (nowMs - last.atMs > STANDSTILL_MS_MAX) {
      throw new Error(
        `nothing was deleted for ${STANDSTILL_MS_MAX / 1000} s (${what}), so there is nothing to measure`,
      );
    }
    const perSecond = ((deleted - first) / (nowMs - startedMs)) * 1000;
    const left = perSecond > 0 ? `, ${number((messages - deleted) / perSecond)} s left` : '';
    site.progress.within(`${what}: ${number(deleted - first)} of ${number(messages - first)} messages${left}`);
    await Promise.race([sleep(POLL_MS), site.interrupted, ...consumers.map(({ ended }) => ended)]);
  }
}
