/** A set from which chance draws in the same time, however much is in it. */
import type { Random } from './random.ts';

export class Bag<Item> {
  readonly #items: Item[] = [];
  readonly #places = new Map<Item, number>();

  get size(): number {
    return this.#items.length;
  }

  has(item: Item): boolean {
    return this.#places.has(item);
  }

  add(item: Item): void {
    if (this.#places.has(item)) return;
    this.#places.set(item, this.#items.length);
    this.#items.push(item);
  }

  delete(item: Item): void {
    const place = this.#places.get(item);
    if (place === undefined) return;
    this.#places.delete(item);
    const last = this.#items.pop()!;
    if (last === item) return;
    this.#items[place] = last;
    this.#places.set(last, place);
  }

  draw(random: Random): Item {
    return random.pick(this.#items);
  }
}
