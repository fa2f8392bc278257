/**
 * Whether this instance has to leave, asked of the metadata service in intervals:
 *
 *   autoscaling/target-lifecycle-state is Terminated    the group scales in, replaces or rebalances it; it waits for us
 *   spot/instance-action is there                       EC2 takes the Spot instance back at that time, whoever waits
 *
 * Holds always: one question after another, never two at once; it tells once; no answer, whatever it is, ends it or the
 * process. A service that is away leaves the worker where it is: the group's hook and systemd have their own deadlines.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { MetadataService } from './metadata.ts';

/** The state that the group wants the instance to come to, when it is to go. */
const TARGET_STATE_PATH = 'autoscaling/target-lifecycle-state';
const LEAVING_STATE = 'Terminated';
const SPOT_NOTICE_PATH = 'spot/instance-action';

/** Stopped or hibernated is as gone as terminated, for those who wait for a message. */
const spotNoticeSchema = z.object({ action: z.enum(['terminate', 'stop', 'hibernate']), time: z.iso.datetime() });

export interface Leave {
  /** For the log. */
  readonly reason: string;
  /** When the instance is gone whatever happens, in milliseconds since 1970; undefined when the group waits. */
  readonly goneAtMs: number | undefined;
}

export interface LeaveWatchOptions {
  readonly metadata: Pick<MetadataService, 'read'>;
  readonly intervalMs: number;
  readonly log: Logger;
}

/** Resolves when the instance has to leave; undefined when `signal` is aborted before. */
export async function leaveNotice(
  { metadata, intervalMs, log }: LeaveWatchOptions,
  signal: AbortSignal,
): Promise<Leave | undefined> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      const leave = await noticeNow(metadata);
      if (leave !== undefined) return leave;
      failures = 0;
    } catch (error) {
      failures += 1;
      // Told at the first failure and then seldom: a service that is away must not fill the log.
      if (Math.log2(failures) % 1 === 0) {
        log.warn({ err: error, failures }, 'cannot ask the metadata service whether to leave; trying again');
      }
    }
    await sleep(intervalMs);
  }
  return undefined;
}

async function noticeNow(metadata: Pick<MetadataService, 'read'>): Promise<Leave | undefined> {
  // The Spot notice first: its time does not wait. Neither hides the other when it fails.
  const answers = await Promise.allSettled([spotNotice(metadata), groupNotice(metadata)]);
  for (const answer of answers) if (answer.status === 'fulfilled' && answer.value !== undefined) return answer.value;
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return undefined;
}

async function groupNotice(metadata: Pick<MetadataService, 'read'>): Promise<Leave | undefined> {
  const state = await metadata.read(TARGET_STATE_PATH);
  if (state?.trim() !== LEAVING_STATE) return undefined;
  return { reason: 'the Auto Scaling group takes this instance away', goneAtMs: undefined };
}

async function spotNotice(metadata: Pick<MetadataService, 'read'>): Promise<Leave | undefined> {
  const text = await metadata.read(SPOT_NOTICE_PATH);
  if (text === undefined) return undefined;
  const { action, time } = spotNoticeSchema.parse(JSON.parse(text));
  return { reason: `EC2 takes this Spot instance back (${action} at ${time})`, goneAtMs: Date.parse(time) };
}
