/** How a case says what it expects; what is thrown here is a difference, and everything else a fault of the run. */
import { z } from 'zod';

export class Difference extends Error {
  override readonly name = 'Difference';
}

/** @param instead what is seen where it does not hold, as a reader of the table wants to be told. */
export function check(holds: boolean, instead: string): asserts holds {
  if (!holds) throw new Difference(instead);
}

export function checkEqual(actual: unknown, expected: unknown, what: string): void {
  const [seen, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(seen === wanted, `${what}: ${seen} in place of ${wanted}`);
}

/** A refusal by the service, as the SDK's client throws it and as the model does. */
const refusalSchema = z.object({
  name: z.string(),
  Code: z.string().optional(),
  message: z.string(),
  status: z.number().optional(),
  $metadata: z.object({ httpStatusCode: z.number().optional() }).optional(),
});

export interface Refusal {
  readonly code: string;
  readonly status: number;
  readonly message: string;
}

/** Undefined when the error is not an answer of the service's. */
export function refusalOf(error: unknown): Refusal | undefined {
  const { success: isRead, data } = refusalSchema.safeParse(error);
  const status = isRead ? (data.status ?? data.$metadata?.httpStatusCode) : undefined;
  if (!isRead || status === undefined) return undefined;
  // Servers put the service's name before the code, or do not.
  return { code: lastPart(data.name), status, message: data.message };
}

/** Waits for the call, and expects that it fails by the sender's fault. */
export async function refused(call: Promise<unknown>, what: string, code?: string): Promise<void> {
  const refusal = await call.then(
    () => undefined,
    (error: unknown) => {
      const read = refusalOf(error);
      if (read === undefined) throw error;
      return read;
    },
  );
  check(refusal !== undefined, `${what} is accepted`);
  check(refusal.status >= 400 && refusal.status < 500, `${what} fails with status ${refusal.status}`);
  check(code === undefined || refusal.code === code, `${what} is refused as ${refusal.code}, not as ${code}`);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}
