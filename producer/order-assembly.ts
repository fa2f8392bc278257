/**
 * Puts orders together from lines that come in any order, and gives them out in the order of their first lines.
 *
 *   line ──▶ held, with its order ──(last line of the order)──▶ complete ──(its turn)──▶ out
 *              │  ▲
 *   (too many) ▼  │ (its turn)
 *            spill file
 *
 * An order waits for its own last line and for every order before it, so one order whose lines span the file
 * holds back all the others. What is held then goes to a temporary file.
 *
 * Holds always: an order is given out exactly when it is complete and all before it have been given out; the
 * text held in memory is at most `heldBytesMax` and one line.
 */
import { BODY_TAIL, bodyHead, bodyLine } from './order-body.ts';
import type { RetailLine } from './retail-line.ts';
import { type Segment, SpillFile } from './spill-file.ts';

/** What is known of an invoice before its lines are put together. */
export interface InvoicePlan {
  /** Which invoice of the file it is, from 0, by first lines. */
  readonly ordinal: number;
  readonly lines: number;
  readonly customerId: string | null;
  /** Which of its customer's invoices it is, from 1; null without a customer. */
  readonly filePosition: number | null;
  readonly bodyBytes: number;
}

/** An order, ready to be sent. */
export interface ProducedOrder {
  readonly orderId: string;
  readonly customerId: string | null;
  readonly filePosition: number | null;
  /** The JSON of the envelope. */
  readonly body: string;
  /** Its size as UTF-8. */
  readonly bodyBytes: number;
}

interface HeldOrder {
  readonly orderId: string;
  readonly plan: InvoicePlan;
  linesToCome: number;
  /** Text since the last spill. */
  texts: string[];
  spilled: Segment | undefined;
}

/** V8's header of a string and its place in an array, rounded up. */
const STRING_OVERHEAD_BYTES = 32;

export class OrderAssembly {
  readonly #invoices: ReadonlyMap<string, InvoicePlan>;
  readonly #heldBytesMax: number;
  readonly #spillFile: SpillFile;
  readonly #held = new Map<number, HeldOrder>();
  #heldBytes = 0;
  #nextOrdinal = 0;

  constructor(invoices: ReadonlyMap<string, InvoicePlan>, heldBytesMax: number, temporaryFolder: string) {
    this.#invoices = invoices;
    this.#heldBytesMax = heldBytesMax;
    this.#spillFile = new SpillFile(temporaryFolder);
  }

  /** Takes the file's next line; false if the plan does not have it, which means that the file has changed. */
  add(line: RetailLine): boolean {
    const plan = this.#invoices.get(line.invoiceNo);
    if (plan === undefined || plan.ordinal < this.#nextOrdinal) return false;
    let order = this.#held.get(plan.ordinal);
    const isFirst = order === undefined;
    if (order === undefined) {
      order = { orderId: line.invoiceNo, plan, linesToCome: plan.lines, texts: [], spilled: undefined };
      this.#held.set(plan.ordinal, order);
      this.#hold(order, bodyHead(line, plan.filePosition));
    }
    if (order.linesToCome === 0) return false;
    order.linesToCome -= 1;
    this.#hold(order, bodyLine(line, isFirst));
    if (this.#heldBytes > this.#heldBytesMax) this.#spill();
    return true;
  }

  /** The order whose turn it is, if its last line has come. */
  take(): ProducedOrder | undefined {
    const order = this.#held.get(this.#nextOrdinal);
    if (order === undefined || order.linesToCome > 0) return undefined;
    const inMemory = order.texts.join('');
    const body = `${order.spilled === undefined ? '' : this.#spillFile.read(order.spilled)}${inMemory}${BODY_TAIL}`;
    for (const text of order.texts) this.#heldBytes -= memoryBytes(text);
    this.#held.delete(this.#nextOrdinal);
    this.#nextOrdinal += 1;
    const { customerId, filePosition } = order.plan;
    return { orderId: order.orderId, customerId, filePosition, body, bodyBytes: Buffer.byteLength(body) };
  }

  /** How many orders have been given out. */
  get taken(): number {
    return this.#nextOrdinal;
  }

  /** Removes the temporary file, if there is one. */
  close(): void {
    this.#spillFile.close();
  }

  #hold(order: HeldOrder, text: string): void {
    order.texts.push(text);
    this.#heldBytes += memoryBytes(text);
  }

  #spill(): void {
    for (const order of this.#held.values()) {
      if (order.texts.length === 0) continue;
      order.spilled = this.#spillFile.append(order.texts.join(''), order.spilled);
      order.texts = [];
    }
    this.#spillFile.flush();
    this.#heldBytes = 0;
  }
}

/** At most what V8 holds for a string: two bytes a character as soon as one of them is not Latin-1. */
function memoryBytes(text: string): number {
  return text.length * 2 + STRING_OVERHEAD_BYTES;
}
