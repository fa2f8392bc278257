/**
 * As many orders as are asked for, made of the sample day: its orders again and again, each time a day later, under new
 * numbers, with their customers kept, so that groups are long. One in forty has a negative price. The same bytes every
 * time, and never more than the sample in memory.
 */
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parse } from 'csv-parse/sync';
import { z } from 'zod';
import { SAMPLE_FILE } from '../../local/start.ts';

/** Far above the span of the numbers in the sample, so that no number comes twice. */
const NUMBERS_APART = 1_000;
/**
 * Each customer orders for so many shops, each a group of its own: with the few groups of one day a single killed worker
 * would hold them all.
 */
const SHOPS_PER_CUSTOMER = 8;
const ORDERS_PER_NEGATIVE_PRICE = 40;
const DAY_MS = 86_400_000;

const lineSchema = z.object({
  InvoiceNo: z.string().regex(/^[A-Z]?\d+$/),
  StockCode: z.string(),
  Description: z.string(),
  Quantity: z.string(),
  InvoiceDate: z.string(),
  UnitPrice: z.string(),
  CustomerID: z.string(),
  Country: z.string(),
});

type Line = z.infer<typeof lineSchema>;

/** Writes a retail file of so many orders. */
export async function writeMadeOrders(path: string, orders: number): Promise<void> {
  const lines = z.array(lineSchema).parse(parse(await readFile(SAMPLE_FILE), { columns: true }));
  const invoices = [...Map.groupBy(lines, ({ InvoiceNo }) => InvoiceNo).values()];
  await pipeline(madeLines(invoices, orders), createWriteStream(path));
}

function* madeLines(invoices: readonly (readonly Line[])[], orders: number): Generator<string> {
  yield csvLine(Object.keys(lineSchema.shape));
  for (let made = 0; made < orders; made += 1) {
    const day = Math.floor(made / invoices.length);
    const invoice = invoices[made % invoices.length]!;
    const isNegative = made % ORDERS_PER_NEGATIVE_PRICE === ORDERS_PER_NEGATIVE_PRICE - 1;
    const priced = isNegative ? invoice.findIndex(({ UnitPrice }) => /^\d*[1-9.]/.test(UnitPrice)) : -1;
    yield invoice.map((line, index) => csvLine(Object.values(madeLine(line, day, index === priced)))).join('');
  }
}

function madeLine(line: Line, day: number, isNegative: boolean): Line {
  const { InvoiceNo, InvoiceDate, UnitPrice, CustomerID } = line;
  const shop = day % SHOPS_PER_CUSTOMER;
  const date = new Date(Date.parse(`${InvoiceDate.replace(' ', 'T')}Z`) + day * DAY_MS).toISOString();
  return {
    ...line,
    InvoiceNo: InvoiceNo.replace(/\d+/, (number) => String(Number(number) + day * NUMBERS_APART)),
    InvoiceDate: date.slice(0, 19).replace('T', ' '),
    UnitPrice: isNegative ? `-${UnitPrice}` : UnitPrice,
    CustomerID: CustomerID === '' || shop === 0 ? CustomerID : `${CustomerID}-${shop}`,
  };
}

function csvLine(fields: readonly string[]): string {
  return `${fields.map((field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(',')}\n`;
}
