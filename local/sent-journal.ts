/**
 * What was accepted by the queues of this run, one line each, in a file of the run's folder.
 *
 * The balance is taken against it. It is a file, so that `sluice send --local` in another terminal is counted
 * too, and so that a run that is killed leaves behind what it had promised.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { parsedJson } from './json-text.ts';

const entrySchema = z.object({
  /** Name of the workload. */
  queue: z.string(),
  messageId: z.string(),
  /** By which the tables know it; the message id again where it is no order. */
  orderId: z.string(),
  customerId: z.string().nullable(),
  /** Which send it came with: every file counts its positions from 1. */
  send: z.string(),
});

export type SentEntry = z.infer<typeof entrySchema>;

const FILE_NAME = 'sent.ndjson';

export class SentJournal {
  readonly #path: string;
  readonly #send = randomUUID();
  #file: WriteStream | undefined;
  #failure: Error | undefined;

  constructor(runFolder: string) {
    this.#path = join(runFolder, FILE_NAME);
  }

  accepted(entry: Omit<SentEntry, 'send'>): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#file ??= this.#open();
    const { queue, messageId, orderId, customerId } = entry;
    this.#file.write(`${JSON.stringify({ queue, messageId, orderId, customerId, send: this.#send })}\n`);
  }

  #open(): WriteStream {
    return createWriteStream(this.#path, { flags: 'a', mode: 0o600 }).on('error', (cause) => {
      this.#failure = new Error(
        `cannot note what was sent in ${this.#path} (${cause.message}). Make room there, or set TMPDIR.`,
        {
          cause,
        },
      );
    });
  }

  /** @throws Error when something could not be written: a balance without it would be wrong. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    if (!file.errored) {
      await new Promise<void>((resolve) => {
        file.once('error', () => resolve());
        file.end(() => resolve());
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Every entry so far, of whoever wrote it. A line that was cut off by a kill is passed over: it was never promised. */
  async *entries(): AsyncGenerator<SentEntry> {
    if (!existsSync(this.#path)) return;
    for await (const line of createInterface({ input: createReadStream(this.#path) })) {
      const entry = entrySchema.safeParse(parsedJson(line));
      if (entry.success) yield entry.data;
    }
  }
}
