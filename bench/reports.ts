/** What the bench's processes tell the bench, over the IPC channel that they are started with. */
import { z } from 'zod';

export const usageSchema = z.object({
  name: z.literal('usage'),
  /** User and system time since the process started. */
  cpuSeconds: z.number(),
  residentBytes: z.int(),
  heapUsedBytes: z.int(),
  /** Null in a process without --expose-gc. */
  heapUsedAfterCollectionBytes: z.int().nullable(),
});

export const reportSchema = z.discriminatedUnion('name', [
  /** From now on it can be asked: a signal that came before would have ended it. */
  z.object({ name: z.literal('ready') }),
  usageSchema,
  z.object({ name: z.literal('listening'), port: z.int().min(1) }),
  /** One message of the latency case: until its commit, and how long a bare commit took right after it. */
  z.object({ name: z.literal('commit'), workerMs: z.number(), bareMs: z.number() }),
]);

export type Usage = z.infer<typeof usageSchema>;
export type Report = z.infer<typeof reportSchema>;

export function report(message: Report): void {
  process.send?.(message);
}
