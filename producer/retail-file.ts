/**
 * A retail file as a sequence of orders, read twice.
 *
 *   survey  reads every line, finds whatever is wrong, and counts: nothing of a bad file is ever sent
 *   read    gives out the orders, in the order of their first lines
 *
 * The second reading trusts the counts of the first, and notices if the file is no longer the same.
 *
 * Holds always: neither reading has the file in memory; the survey keeps one small record per invoice, the
 * reading keeps the lines of unfinished and waiting orders, in memory up to a limit and beyond it on disk.
 */
import { tmpdir } from 'node:os';
import { csvRecords } from './csv-records.ts';
import { type Fingerprint, openInputFile, sameFile } from './input-file.ts';
import { type InvoicePlan, OrderAssembly, type ProducedOrder } from './order-assembly.ts';
import { BODY_TAIL, bodyHead, bodyLine } from './order-body.ts';
import { RetailFileError, shown } from './retail-file-error.ts';
import { type RetailLine, RetailLineParser } from './retail-line.ts';
import { textBlocks } from './text-blocks.ts';

export type { InvoicePlan, ProducedOrder } from './order-assembly.ts';
export { RetailFileError } from './retail-file-error.ts';

/** What SQS takes: a message's body and attributes together, and ours has no attributes. */
export const MESSAGE_BYTES_MAX = 1024 * 1024;

/** One invoice is about 200 bytes of index, so that the index stays under about 200 MB. */
export const INVOICES_MAX = 1_000_000;

/** Lines held in memory before they go to a temporary file: far above what real files need, far below a small machine. */
export const HELD_BYTES_MAX = 32 * 1024 * 1024;

/** What the survey of a file found: how much there is to send, and where each invoice has its place. */
export interface FilePlan {
  readonly path: string;
  readonly fingerprint: Fingerprint;
  readonly orders: number;
  readonly lines: number;
  /** How many messages each queue will get. */
  readonly messages: { readonly orders: number; readonly ledger: number };
  readonly invoices: ReadonlyMap<string, InvoicePlan>;
}

export interface SurveyProgress {
  /** Of the file as it lies on disk: compressed, where it is. */
  readonly kilobytesRead: number;
  readonly kilobytesTotal: number;
}

export interface SurveyOptions {
  /** The largest message body to let through. @default MESSAGE_BYTES_MAX */
  readonly messageBytesMax?: number;
  /** @default INVOICES_MAX */
  readonly invoicesMax?: number;
  readonly signal?: AbortSignal;
  /** Called after each block of lines. */
  readonly onProgress?: (progress: SurveyProgress) => void;
}

export interface ReadOptions {
  /** Lines held in memory before they go to a temporary file. @default HELD_BYTES_MAX */
  readonly heldBytesMax?: number;
  /** Where that file is made. @default the folder of the operating system */
  readonly temporaryFolder?: string;
}

/**
 * Reads and checks the whole file and plans its orders.
 *
 * @throws RetailFileError for the first line that cannot be read, a file that cannot be opened, has no
 *   orders or too many, or has an order too large for a message.
 */
export async function surveyRetailFile(path: string, options: SurveyOptions = {}): Promise<FilePlan> {
  const file = await openInputFile(path);
  try {
    const survey = new Survey(path, options.invoicesMax ?? INVOICES_MAX);
    for await (const batch of retailLines(path, file.content())) {
      options.signal?.throwIfAborted();
      for (const { line, value } of batch) survey.add(line, value);
      options.onProgress?.({
        kilobytesRead: Math.ceil(file.bytesRead() / 1000),
        kilobytesTotal: Math.ceil(Number(file.fingerprint.sizeBytes) / 1000),
      });
    }
    if (!sameFile(file.fingerprint, await file.fingerprintNow())) throw changed(path);
    return survey.plan(file.fingerprint, options.messageBytesMax ?? MESSAGE_BYTES_MAX);
  } finally {
    await file.close();
  }
}

/**
 * Gives out the orders of a surveyed file in the order of their first lines, each with all its lines.
 *
 * @throws RetailFileError if the file is no longer the one that was surveyed.
 */
export async function* readOrders(plan: FilePlan, options: ReadOptions = {}): AsyncGenerator<ProducedOrder> {
  const { path } = plan;
  const file = await openInputFile(path);
  const assembly = new OrderAssembly(
    plan.invoices,
    options.heldBytesMax ?? HELD_BYTES_MAX,
    options.temporaryFolder ?? tmpdir(),
  );
  try {
    if (!sameFile(file.fingerprint, plan.fingerprint)) throw changed(path);
    for await (const batch of retailLines(path, file.content())) {
      for (const { value } of batch) {
        if (!assembly.add(value)) throw changed(path);
      }
      for (let order = assembly.take(); order !== undefined; order = assembly.take()) {
        if (order.bodyBytes !== plan.invoices.get(order.orderId)?.bodyBytes) throw changed(path);
        yield order;
      }
    }
    if (assembly.taken !== plan.orders) throw changed(path);
  } finally {
    assembly.close();
    await file.close();
  }
}

interface NumberedLine {
  readonly line: number;
  readonly value: RetailLine;
}

async function* retailLines(path: string, content: AsyncIterable<Buffer>): AsyncGenerator<NumberedLine[]> {
  let parser: RetailLineParser | undefined;
  for await (const records of csvRecords(path, textBlocks(path, content))) {
    const lines: NumberedLine[] = [];
    for (const record of records) {
      if (parser === undefined) parser = new RetailLineParser(path, record);
      else lines.push({ line: record.line, value: parser.parse(record) });
    }
    yield lines;
  }
}

function changed(path: string): RetailFileError {
  return new RetailFileError(path, undefined, 'it changed while it was being read. Send it again when it is complete.');
}

/** The counts of the survey while it runs. */
class Survey {
  readonly #path: string;
  readonly #invoicesMax: number;
  readonly #invoices = new Map<string, { -readonly [Key in keyof InvoicePlan]: InvoicePlan[Key] }>();
  readonly #invoicesOfCustomer = new Map<string, number>();
  #lines = 0;
  #ledgerMessages = 0;

  constructor(path: string, invoicesMax: number) {
    this.#path = path;
    this.#invoicesMax = invoicesMax;
  }

  add(line: number, value: RetailLine): void {
    this.#lines += 1;
    const invoice = this.#invoices.get(value.invoiceNo);
    if (invoice === undefined) {
      this.#begin(value);
      return;
    }
    if (invoice.customerId !== value.customerId) {
      const names = (id: string | null) => (id === null ? 'no customer' : `customer ${shown(id)}`);
      const fault = `invoice ${shown(value.invoiceNo)} names ${names(value.customerId)} here`;
      const before = `${names(invoice.customerId)} in its first line`;
      throw new RetailFileError(this.#path, line, `${fault} and ${before}. Correct one of them.`);
    }
    invoice.lines += 1;
    invoice.bodyBytes += Buffer.byteLength(bodyLine(value, false));
  }

  plan(fingerprint: Fingerprint, messageBytesMax: number): FilePlan {
    if (this.#invoices.size === 0) {
      throw new RetailFileError(
        this.#path,
        undefined,
        'it has no orders. Below the column names, it needs lines of orders.',
      );
    }
    for (const [invoiceNo, invoice] of this.#invoices) {
      if (invoice.bodyBytes <= messageBytesMax) continue;
      const size = `invoice ${shown(invoiceNo)} with its ${invoice.lines} lines is a message of ${invoice.bodyBytes} bytes`;
      const fault = `${size}, and SQS takes at most ${messageBytesMax}. Split the invoice.`;
      throw new RetailFileError(this.#path, undefined, fault);
    }
    return {
      path: this.#path,
      fingerprint,
      orders: this.#invoices.size,
      lines: this.#lines,
      messages: { orders: this.#invoices.size, ledger: this.#ledgerMessages },
      invoices: this.#invoices,
    };
  }

  #begin(first: RetailLine): void {
    if (this.#invoices.size >= this.#invoicesMax) {
      const fault = `it has more than ${this.#invoicesMax} invoices, and their index is held in memory. Split the file.`;
      throw new RetailFileError(this.#path, undefined, fault);
    }
    const { customerId } = first;
    let filePosition: number | null = null;
    if (customerId !== null) {
      filePosition = (this.#invoicesOfCustomer.get(customerId) ?? 0) + 1;
      this.#invoicesOfCustomer.set(customerId, filePosition);
      this.#ledgerMessages += 1;
    }
    const ends = Buffer.byteLength(bodyHead(first, filePosition)) + BODY_TAIL.length;
    const bodyBytes = ends + Buffer.byteLength(bodyLine(first, true));
    this.#invoices.set(first.invoiceNo, {
      ordinal: this.#invoices.size,
      lines: 1,
      customerId,
      filePosition,
      bodyBytes,
    });
  }
}
