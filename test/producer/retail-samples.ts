/** Retail files for tests: written to temporary folders, and what they must come to, worked out without the producer. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';
import fc from 'fast-check';

export const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';

/** The fields of one line as text, in the order of the header. */
export type Row = readonly [string, string, string, string, string, string, string, string];

export interface ExpectedOrder {
  readonly orderId: string;
  readonly customerId: string | null;
  readonly filePosition: number | null;
  readonly body: string;
}

/** A folder for the tests of a file, removed after them. */
export function temporaryFolder(): {
  write(name: string, content: string | Uint8Array): Promise<string>;
  path(): string;
} {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-producer-test-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return {
    path: () => folder,
    write: async (name, content) => {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    },
  };
}

export function csvOf(rows: readonly Row[], lineEnd = '\n'): string {
  const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [HEADER, ...rows.map((row) => row.map(field).join(','))].map((line) => `${line}${lineEnd}`).join('');
}

/** The orders of rows: collected in one go, with everything in memory. */
export function expectedOrders(rows: readonly Row[]): ExpectedOrder[] {
  const invoices = Map.groupBy(rows, ([invoiceNo]) => invoiceNo);
  const positions = new Map<string, number>();
  return [...invoices].map(([orderId, ofInvoice]) => {
    const [, , , , date, , customer, country] = ofInvoice[0]!;
    const position = (positions.get(customer) ?? 0) + 1;
    positions.set(customer, position);
    const customerId = customer === '' ? null : customer;
    const filePosition = customer === '' ? null : position;
    const payload = {
      orderId,
      customerId,
      country,
      placedAt: `${date.slice(0, 10)}T${date.slice(11)}Z`,
      kind: orderId[0] === 'C' ? 'cancellation' : 'sale',
      filePosition,
      lines: ofInvoice.map(([, stockCode, description, quantity, , unitPrice]) => ({
        stockCode,
        description: description === '' ? null : description,
        quantity: Number.parseInt(quantity, 10),
        unitPrice,
      })),
    };
    return { orderId, customerId, filePosition, body: JSON.stringify({ schema: 'order', version: 1, payload }) };
  });
}

/** A row of the given invoice; the other fields can be set where a test needs them. */
export function row(invoiceNo: string, customer: string, fields: { description?: string; price?: string } = {}): Row {
  const { description = 'LANTERN', price = '2.55' } = fields;
  return [invoiceNo, '71053', description, '6', '2011-08-12 08:26:00', price, customer, 'United Kingdom'];
}

const awkwardText = fc.oneof(
  fc.constantFrom('', 'LANTERN', 'SET OF 3, "SMALL"', 'TWO\nLINES', 'CR LF\r\nINSIDE', '"', 'CAFÉ £5', '雪 🧨', '  '),
  // Unpaired surrogates and the characters that no message may have cannot be in a file that is read at all.
  fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !/[\0\uFFFE\uFFFF]/.test(text)),
);

/** Rows of a few invoices of a few customers, in any order. */
export const anyRows: fc.Arbitrary<Row[]> = fc
  .record({
    customerOfInvoice: fc.array(fc.constantFrom('', '12346', '17850', '17851'), { minLength: 1, maxLength: 12 }),
    picks: fc.array(
      fc.record({
        pick: fc.nat(),
        description: awkwardText,
        quantity: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        price: fc.constantFrom('0', '2.55', '0.001', '11062.06', '-11062.06', '123456789012.123456', '007.50'),
        minute: fc.integer({ min: 10, max: 59 }),
      }),
      { minLength: 1, maxLength: 60 },
    ),
  })
  .map(({ customerOfInvoice, picks }) =>
    picks.map(({ pick, description, quantity, price, minute }): Row => {
      const invoice = pick % customerOfInvoice.length;
      const invoiceNo = `${invoice % 3 === 2 ? 'C' : ''}${536365 + invoice}`;
      const date = `2011-08-12 08:${minute}:00`;
      return [invoiceNo, '85123A', description, String(quantity), date, price, customerOfInvoice[invoice]!, 'EIRE'];
    }),
  );
