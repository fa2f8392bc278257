/** What the fake SQS was asked since it started, and how the bench reads it. */
import { z } from 'zod';

const countsSchema = z.object({
  /** When it counted, on its own monotonic clock. */
  atMs: z.number(),
  receives: z.int(),
  /** Messages handed out. */
  received: z.int(),
  /** Delete batches. */
  deletes: z.int(),
  /** Messages deleted: they are done. */
  deleted: z.int(),
  visibilityChanges: z.int(),
  /** Operations that it does not know. */
  unknown: z.int(),
});

export type SqsCounts = z.infer<typeof countsSchema>;

/** @throws Error when something was asked that the fake SQS does not know: then the figures would mean nothing. */
export async function readCounts(endpoint: string): Promise<SqsCounts> {
  const answer = await fetch(new URL('/counts', endpoint));
  const counts = countsSchema.parse(await answer.json());
  if (counts.unknown > 0) {
    throw new Error(
      `the fake SQS was asked ${counts.unknown} times for what it does not know; teach it to bench/fake-sqs.ts`,
    );
  }
  return counts;
}

/** What was asked between two looks. */
export function between(before: SqsCounts, after: SqsCounts) {
  const messages = after.deleted - before.deleted;
  const requests =
    after.receives +
    after.deletes +
    after.visibilityChanges -
    (before.receives + before.deletes + before.visibilityChanges);
  const seconds = (after.atMs - before.atMs) / 1000;
  return { messages, seconds, messagesPerSecond: messages / seconds, requestsPerMessage: requests / messages };
}
