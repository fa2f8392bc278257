/** What the SDK throws for an answer in which it finds neither a result nor an error of SQS: whoever gave it is no SQS server. */
import { z } from 'zod';

const strangeAnswerSchema = z.object({
  name: z.enum(['SyntaxError', 'Unknown', 'UnknownError']),
  $metadata: z.object({ httpStatusCode: z.number() }),
});

/** The HTTP status of such an answer; undefined for every other error. */
export function statusOfStrangeAnswer(error: unknown): number | undefined {
  return strangeAnswerSchema.safeParse(error).data?.$metadata.httpStatusCode;
}
