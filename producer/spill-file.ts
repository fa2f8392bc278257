/**
 * A temporary file for text that does not fit into memory: segments are appended, and each names the one before
 * it, so that a text written in many pieces costs memory for its last piece only.
 *
 *   segment: offset of the segment before (8 bytes) | its length (4 bytes) | text (UTF-8)
 *
 * Synchronous on purpose: a spill is a few large writes now and then, and what uses it needs no promises.
 *
 * Holds always: the file has no name on systems that allow that, so that even SIGKILL leaves nothing behind;
 * elsewhere `close` removes it.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Segments are gathered into writes of about this size. */
const WRITE_BYTES = 1024 * 1024;
const HEADER_BYTES = 12;

/** Where a segment lies; its length is that of its text. */
export interface Segment {
  readonly offset: number;
  readonly textBytes: number;
}

const NO_SEGMENT: Segment = { offset: 0, textBytes: 0 };

export class SpillFile {
  readonly #folder: string;
  #fileDescriptor: number | undefined;
  #pathToRemove: string | undefined;
  #endOffset = 0;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Appends text after `before`. It can be read once `flush` has returned. */
  append(text: string, before: Segment | undefined): Segment {
    const segment = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(text));
    const previous = before ?? NO_SEGMENT;
    segment.writeBigUInt64LE(BigInt(previous.offset), 0);
    segment.writeUInt32LE(previous.textBytes, 8);
    segment.write(text, HEADER_BYTES);
    const offset = this.#endOffset + this.#gatheredBytes;
    this.#gathered.push(segment);
    this.#gatheredBytes += segment.length;
    if (this.#gatheredBytes >= WRITE_BYTES) this.flush();
    return { offset, textBytes: segment.length - HEADER_BYTES };
  }

  flush(): void {
    if (this.#gatheredBytes === 0) return;
    const bytes = Buffer.concat(this.#gathered);
    try {
      const file = this.#opened();
      for (let written = 0; written < bytes.length; ) {
        written += writeSync(file, bytes, written, bytes.length - written, this.#endOffset + written);
      }
    } catch (error) {
      const fault = `cannot write to the temporary folder ${this.#folder} the lines that do not fit into memory`;
      throw new Error(`${fault}. Make room there, or name another folder in TMPDIR.`, { cause: error });
    }
    this.#endOffset += bytes.length;
    this.#gathered = [];
    this.#gatheredBytes = 0;
  }

  /** The text of a segment and of all before it, in the order in which they were appended. */
  read(last: Segment): string {
    const texts: string[] = [];
    for (let segment = last; segment.textBytes > 0; ) {
      const bytes = Buffer.allocUnsafe(HEADER_BYTES + segment.textBytes);
      for (let read = 0; read < bytes.length; ) {
        const got = readSync(this.#opened(), bytes, read, bytes.length - read, segment.offset + read);
        if (got === 0) throw new Error(`the temporary file ends at ${segment.offset + read}, inside a segment`);
        read += got;
      }
      texts.push(bytes.toString('utf8', HEADER_BYTES));
      segment = { offset: Number(bytes.readBigUInt64LE(0)), textBytes: bytes.readUInt32LE(8) };
    }
    return texts.reverse().join('');
  }

  close(): void {
    if (this.#fileDescriptor !== undefined) closeSync(this.#fileDescriptor);
    if (this.#pathToRemove !== undefined) unlinkSync(this.#pathToRemove);
    this.#fileDescriptor = undefined;
    this.#pathToRemove = undefined;
  }

  #opened(): number {
    if (this.#fileDescriptor !== undefined) return this.#fileDescriptor;
    const path = join(this.#folder, `sluice-spill-${randomUUID()}`);
    this.#fileDescriptor = openSync(path, 'wx+', 0o600);
    try {
      unlinkSync(path);
    } catch {
      // Windows keeps the name of an open file; it then goes with `close`.
      this.#pathToRemove = path;
    }
    return this.#fileDescriptor;
  }
}
