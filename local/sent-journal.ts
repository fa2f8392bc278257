/**
 * What was accepted by the queues of this run, one line each, in a file of the run's folder.
 *
 * The balance is taken against it. It is a file, so that `sluice send --local` in another terminal is counted
 * too, and so that a run that is killed leaves behind what it had promised.
 */
import { createReadStream, createWriteStream, existsSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const entrySchema = z.object({
  queue: z.enum(['orders', 'ledger']),
  messageId: z.string(),
  orderId: z.string(),
  customerId: z.string().nullable(),
});

export type SentEntry = z.infer<typeof entrySchema>;

const FILE_NAME = 'sent.ndjson';

export class SentJournal {
  readonly #path: string;
  #file: WriteStream | undefined;

  constructor(runFolder: string) {
    this.#path = join(runFolder, FILE_NAME);
  }

  accepted(entry: SentEntry): void {
    this.#file ??= createWriteStream(this.#path, { flags: 'a', mode: 0o600 });
    const { queue, messageId, orderId, customerId } = entry;
    this.#file.write(`${JSON.stringify({ queue, messageId, orderId, customerId })}\n`);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await new Promise<void>((resolve, reject) => {
      file.once('error', reject);
      file.end(resolve);
    });
  }

  /** Every entry so far, of whoever wrote it. A line that was cut off by a kill is passed over: it was never promised. */
  async *entries(): AsyncGenerator<SentEntry> {
    if (!existsSync(this.#path)) return;
    for await (const line of createInterface({ input: createReadStream(this.#path) })) {
      const entry = entrySchema.safeParse(parsed(line));
      if (entry.success) yield entry.data;
    }
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
