/**
 * What is written together, and when: messages of several receives share a transaction.
 *
 * A batch leaves at once when none is under way, so that an idle worker adds no delay; while others are being written
 * it gathers until it is full or has waited a few milliseconds. Consecutive messages of a group may share a batch, and
 * a group is in one batch at a time.
 *
 * A message that was received three times or more is a suspect: it may be what ended the process before. It is handled
 * alone, when everything that was handled before it is settled, so that it does not drag healthy messages along each
 * time. Those that were received less often go first.
 *
 * Holds always: at most `batches` are under way; while a suspect is, it is the only one; of a group nothing is taken
 * before what came earlier. Only the consumer changes it. Times are milliseconds on the monotonic clock.
 */
import assert from 'node:assert/strict';
import { GroupChain } from './group-chain.ts';

export interface BatchLimits {
  readonly messages: number;
  readonly bytes: number;
  /** How long a message waits for others while a batch is being written. */
  readonly waitMs: number;
  /** Batches that are being written at once. */
  readonly batches: number;
  readonly suspectReceives: number;
  /** Consecutive messages of one group in a batch. */
  readonly messagesPerGroup: number;
}

/**
 * 100 messages are where a larger transaction no longer writes more rows a second; three are written at once, so that
 * one waits for the disk while the others compute. Bytes: eight messages of SQS's largest size.
 */
export const BATCH_LIMITS: BatchLimits = {
  messages: 100,
  bytes: 8 * 1_048_576,
  waitMs: 5,
  batches: 3,
  suspectReceives: 3,
  messagesPerGroup: 100,
};

export interface Batchable {
  /** Messages with the same chain are written in their order; one of a standard queue has a chain of its own. */
  readonly chain: string;
  readonly bytes: number;
  readonly receiveCount: number;
  readonly arrivedAtMs: number;
}

export class Batcher<Item extends Batchable> {
  readonly #limits: BatchLimits;
  readonly #chains = new Map<string, GroupChain<Item>>();
  /** Chains that can be taken from, in the order in which they became so. */
  readonly #ready = new Set<string>();
  #waiting = 0;
  #waitingSuspects = 0;
  #underWay = 0;
  #isSuspectUnderWay = false;

  constructor(limits: BatchLimits = BATCH_LIMITS) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get underWay(): number {
    return this.#underWay;
  }

  get isSuspectUnderWay(): boolean {
    return this.#isSuspectUnderWay;
  }

  /** Nothing more should be received while one is here: it would be dragged along. */
  get hasSuspects(): boolean {
    return this.#waitingSuspects > 0 || this.#isSuspectUnderWay;
  }

  /** Those that wait behind what is under way or about to be, in their order. */
  waitingIn(chain: string): readonly Item[] {
    return this.#chains.get(chain)?.waiting ?? [];
  }

  /** Everything that waits, chain by chain. */
  get waitingByChain(): (readonly Item[])[] {
    return [...this.#chains.values()].map(({ waiting }) => waiting);
  }

  add(item: Item): void {
    const chain = this.#chains.get(item.chain) ?? new GroupChain<Item>();
    this.#chains.set(item.chain, chain);
    chain.add(item);
    this.#count([item], 1);
    if (chain.isReady) this.#ready.add(item.chain);
  }

  /**
   * The next batch, if one should be written now.
   *
   * @param batches how many may be under way at the moment.
   * @param isRestSettled whether nothing is in hand but what waits here.
   */
  take(nowMs: number, batches = this.#limits.batches, isRestSettled = true): Item[] | undefined {
    if (this.#underWay >= Math.min(batches, this.#limits.batches) || this.#isSuspectUnderWay) return undefined;
    const { picked, isFull, oldestAtMs } = this.#pick();
    if (picked.length === 0) return this.#underWay === 0 && isRestSettled ? this.#takeSuspect() : undefined;
    if (this.#underWay > 0 && !isFull && nowMs < oldestAtMs + this.#limits.waitMs) return undefined;
    const batch = picked.flatMap(([chain, count]) => this.#take(chain, count));
    this.#underWay += 1;
    return batch;
  }

  /** When to ask again although nothing has happened. */
  get dueAtMs(): number | undefined {
    if (this.#underWay === 0 || this.#underWay >= this.#limits.batches || this.#isSuspectUnderWay) return undefined;
    const { picked, oldestAtMs } = this.#pick();
    return picked.length === 0 ? undefined : oldestAtMs + this.#limits.waitMs;
  }

  /** A batch has its outcomes: another may be written. Its chains are free only after `free`. */
  written(): void {
    assert(this.#underWay > 0, 'only a batch under way is written');
    this.#underWay -= 1;
    this.#isSuspectUnderWay = false;
  }

  /**
   * Nothing of the chain is under way any more.
   *
   * @param again to be written once more, before what waits behind them.
   * @returns whether something of it waits to be written.
   */
  free(name: string, again: readonly Item[] = []): boolean {
    const chain = this.#chains.get(name);
    assert(chain !== undefined, 'only a chain that was taken from is freed');
    chain.putBack(again);
    this.#count(again, 1);
    chain.done();
    if (chain.isReady) this.#ready.add(name);
    else this.#chains.delete(name);
    return chain.isReady;
  }

  /** Takes out what waits in a chain. */
  drop(name: string): Item[] {
    const chain = this.#chains.get(name);
    if (chain === undefined) return [];
    const dropped = chain.drop();
    this.#count(dropped, -1);
    this.#ready.delete(name);
    if (chain.isOver) this.#chains.delete(name);
    return dropped;
  }

  /** Takes out everything that waits behind nothing, chain by chain. */
  dropReady(isWanted: (waiting: readonly Item[]) => boolean = () => true): Item[] {
    return [...this.#ready].filter((name) => isWanted(this.waitingIn(name))).flatMap((name) => this.drop(name));
  }

  /** Which chains would give how many messages to the next batch. */
  #pick() {
    const { messages: messagesMax, bytes: bytesMax, messagesPerGroup } = this.#limits;
    const picked: [string, number][] = [];
    let messages = 0;
    let bytes = 0;
    let oldestAtMs = Number.POSITIVE_INFINITY;
    let isFull = false;
    for (const name of this.#ready) {
      let count = 0;
      for (const item of this.waitingIn(name)) {
        if (this.#isSuspect(item) || count >= messagesPerGroup) break;
        // One that is larger than a batch goes alone.
        isFull = messages >= messagesMax || (messages > 0 && bytes + item.bytes > bytesMax);
        if (isFull) break;
        count += 1;
        messages += 1;
        bytes += item.bytes;
        oldestAtMs = Math.min(oldestAtMs, item.arrivedAtMs);
      }
      if (count > 0) picked.push([name, count]);
      if (isFull) break;
    }
    return { picked, isFull: isFull || messages >= messagesMax, oldestAtMs };
  }

  #takeSuspect(): Item[] | undefined {
    let first: Item | undefined;
    for (const name of this.#ready) {
      const item = this.waitingIn(name)[0];
      if (first === undefined || (item !== undefined && item.receiveCount < first.receiveCount)) first = item;
    }
    if (first === undefined) return undefined;
    this.#isSuspectUnderWay = true;
    this.#underWay += 1;
    return this.#take(first.chain, 1);
  }

  #take(name: string, count: number): Item[] {
    const taken = this.#chains.get(name)!.take(count);
    this.#ready.delete(name);
    this.#count(taken, -1);
    return taken;
  }

  #count(items: readonly Item[], sign: 1 | -1): void {
    for (const item of items) {
      this.#waiting += sign;
      if (this.#isSuspect(item)) this.#waitingSuspects += sign;
    }
  }

  #isSuspect({ receiveCount }: Item): boolean {
    return receiveCount >= this.#limits.suspectReceives;
  }
}
