/** The message of the bench: what the fake SQS writes and the workers read. */
import { z } from 'zod';

export const BENCH_SCHEMA = 'bench';
export const BENCH_VERSION = 1;

export const payloadSchema = z.object({
  key: z.string(),
  /** When the fake SQS wrote its answer: `process.hrtime`, which is one clock for all processes of a machine. */
  handedOutAtNs: z.string(),
  text: z.string(),
});

export type BenchPayload = z.infer<typeof payloadSchema>;
