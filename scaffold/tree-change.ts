/**
 * Files that are written all or none: whoever fails halfway undoes, and the tree is as it was.
 *
 * Holds always: what is written here was either not there before, or is put back with the same bytes; folders that were
 * made for it go with it.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export class TreeChange {
  readonly #tree: string;
  /** By path relative to the tree; undefined where there was nothing. */
  readonly #before = new Map<string, Buffer | undefined>();
  readonly #madeFolders: string[] = [];

  constructor(tree: string) {
    this.#tree = tree;
  }

  write(path: string, text: string): void {
    this.willChange(path);
    const folder = mkdirSync(dirname(join(this.#tree, path)), { recursive: true });
    if (folder !== undefined) this.#madeFolders.push(folder);
    writeFileSync(join(this.#tree, path), text);
  }

  /** Of a file that another program is about to write. */
  willChange(path: string): void {
    const file = join(this.#tree, path);
    if (!this.#before.has(path)) this.#before.set(path, existsSync(file) ? readFileSync(file) : undefined);
  }

  undo(): void {
    for (const [path, bytes] of this.#before) {
      if (bytes === undefined) rmSync(join(this.#tree, path), { force: true });
      else writeFileSync(join(this.#tree, path), bytes);
    }
    for (const folder of this.#madeFolders) rmSync(folder, { recursive: true, force: true });
  }
}
