/**
 * The messages of one group that wait in this process, in their order, with at most one batch of them under way.
 *
 *   idle ──(take)──▶ under way ──(done)──▶ idle
 *
 * Holds always: nothing is taken while something is under way, so that two connections never have the same group; what
 * is put back comes before what waited behind it. Only the batcher changes it.
 */
import assert from 'node:assert/strict';

export class GroupChain<Item> {
  #waiting: Item[] = [];
  #isUnderWay = false;

  get isReady(): boolean {
    return !this.#isUnderWay && this.#waiting.length > 0;
  }

  get isOver(): boolean {
    return !this.#isUnderWay && this.#waiting.length === 0;
  }

  /** In their order; nobody else changes them. */
  get waiting(): readonly Item[] {
    return this.#waiting;
  }

  add(item: Item): void {
    this.#waiting.push(item);
  }

  take(count: number): Item[] {
    assert(this.isReady && count >= 1, 'a group is taken from only when nothing of it is under way');
    this.#isUnderWay = true;
    return this.#waiting.splice(0, count);
  }

  done(): void {
    assert(this.#isUnderWay, 'only a group that was taken from is done');
    this.#isUnderWay = false;
  }

  putBack(items: readonly Item[]): void {
    assert(this.#isUnderWay, 'only what was taken is put back');
    this.#waiting.unshift(...items);
  }

  /** Whoever has the head decides what becomes of those behind it. */
  drop(): Item[] {
    return this.#waiting.splice(0);
  }
}
