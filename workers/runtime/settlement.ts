/**
 * Settling: telling SQS what became of messages, in batches of ten, until it has heard.
 *
 * Deletes of several commits share a call: one that is not full waits a moment for others. What comes again is told at
 * once, in calls that keep the order in which they were asked for.
 *
 * Holds always: results are read per entry; only what failed is told again, an entry for the service's fault and a
 * call that failed as a whole for whatever reason, a missing right too; a stale handle is not an error, since it means
 * that the message is someone else's by now and the inbox makes their work a no-op. Nothing here is aborted by a
 * shutdown: finished work is always told.
 */
import { backOffSeconds, CALL_BACK_OFF } from './back-off.ts';
import { type EntryResult, MESSAGES_PER_RECEIVE_MAX, type QueueClient, type VisibilityChange } from './queue-client.ts';
import { type Surroundings, sleep, type Timer } from './surroundings.ts';

/** Five calls of ten seconds, and three seconds of back-off at most, fit into the shortest visibility timeout of sixty. */
export const SETTLE_ATTEMPTS_MAX = 5;
/** How long a delete waits for nine others: a tenth of a second is nothing to a lease, and a third of the requests. */
export const DELETE_WAIT_MS = 100;
/** On FIFO the group waits too: SQS shows nothing more of it until its messages are deleted. */
export const FIFO_DELETE_WAIT_MS = 5;

interface WaitingDelete {
  readonly receiptHandle: string;
  readonly told: (result: EntryResult) => void;
}

export interface SettlementOptions {
  readonly queue: QueueClient;
  readonly fifo: boolean;
  readonly surroundings: Surroundings;
  /** Entries that SQS never confirmed: their messages come again, and what was stored is suppressed. */
  readonly onUnconfirmed: (entries: number, lastError: unknown) => void;
}

export class Settlement {
  readonly #options: SettlementOptions;
  #waiting: WaitingDelete[] = [];
  #timer: Timer | undefined;
  #isHurried = false;

  constructor(options: SettlementOptions) {
    this.#options = options;
  }

  /** @param told `gone` when the message was someone else's by then, `failed` when SQS never answered for it. */
  delete(receiptHandle: string, told: (result: EntryResult) => void): void {
    const { surroundings, fifo } = this.#options;
    this.#waiting.push({ receiptHandle, told });
    if (this.#isHurried || this.#waiting.length >= MESSAGES_PER_RECEIVE_MAX) this.flush();
    else this.#timer ??= surroundings.after(fifo ? FIFO_DELETE_WAIT_MS : DELETE_WAIT_MS, () => this.flush());
  }

  /** From now on no delete waits for others: the worker is about to end. */
  hurry(): void {
    this.#isHurried = true;
    this.flush();
  }

  /**
   * Results in the order of the changes. Ten at a time; where the order matters, one call after the other.
   *
   * @param isOurs asked before every call: on a standard queue SQS would take a change from a former owner too, and hide or
   * show the message to the one who has it now. `gone` for those that are not.
   */
  async changeVisibility(
    changes: readonly VisibilityChange[],
    isOrdered: boolean,
    isOurs: (receiptHandle: string) => boolean,
  ): Promise<EntryResult[]> {
    const calls: Promise<EntryResult[]>[] = [];
    for (let start = 0; start < changes.length; start += MESSAGES_PER_RECEIVE_MAX) {
      const batch = changes.slice(start, start + MESSAGES_PER_RECEIVE_MAX);
      const call = this.#tell(
        batch,
        (entries) => this.#options.queue.changeVisibilityBatch(entries),
        ({ receiptHandle }) => isOurs(receiptHandle),
      );
      calls.push(call);
      if (isOrdered) await call;
    }
    return (await Promise.all(calls)).flat();
  }

  /** Tells now what waits for others to share a call. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (this.#waiting.length > 0) void this.#deleteBatch(this.#waiting.splice(0, MESSAGES_PER_RECEIVE_MAX));
  }

  async #deleteBatch(batch: readonly WaitingDelete[]): Promise<void> {
    const handles = batch.map(({ receiptHandle }) => receiptHandle);
    const results = await this.#tell(handles, (entries) => this.#options.queue.deleteBatch(entries));
    batch.forEach(({ told }, index) => {
      told(results[index]!);
    });
  }

  /** At most ten entries; again and again only those that failed. */
  async #tell<Entry>(
    entries: readonly Entry[],
    call: (entries: readonly Entry[]) => Promise<EntryResult[]>,
    isWanted: (entry: Entry) => boolean = () => true,
  ): Promise<EntryResult[]> {
    const { surroundings, onUnconfirmed } = this.#options;
    const results = new Map<Entry, EntryResult>();
    let left = entries;
    let lastError: unknown;
    for (let attempt = 1; left.length > 0 && attempt <= SETTLE_ATTEMPTS_MAX; attempt += 1) {
      if (attempt > 1) {
        await sleep(surroundings, backOffSeconds(CALL_BACK_OFF, attempt - 1, surroundings.random()) * 1000);
      }
      for (const entry of left) if (!isWanted(entry)) results.set(entry, 'gone');
      left = left.filter((entry) => results.get(entry) !== 'gone');
      if (left.length === 0) break;
      const asked = left;
      try {
        const answers = await call(asked);
        asked.forEach((entry, index) => {
          results.set(entry, answers[index]!);
        });
        left = asked.filter((entry) => results.get(entry) === 'failed');
      } catch (error) {
        lastError = error;
      }
    }
    if (left.length > 0) onUnconfirmed(left.length, lastError);
    return entries.map((entry) => results.get(entry) ?? 'failed');
  }
}
