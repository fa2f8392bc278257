/** Where the bench is, on standard error: one line that is drawn anew on a terminal, a line per step elsewhere. */
const PLAIN_LINE_EVERY_MS = 15_000;

export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #plainLineAtMs = Number.NEGATIVE_INFINITY;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** A new step: always told. */
  step(text: string): void {
    this.#plainLineAtMs = Number.NEGATIVE_INFINITY;
    this.within(text);
  }

  /** Something that moved within a step: told where it costs no line, or seldom. */
  within(text: string): void {
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\x1b[K${text}`);
    } else if (performance.now() - this.#plainLineAtMs >= PLAIN_LINE_EVERY_MS) {
      this.#plainLineAtMs = performance.now();
      this.#stream.write(`${text}\n`);
    }
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K');
  }
}
