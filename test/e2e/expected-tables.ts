/**
 * What the tables must hold, computed from the file alone: by reading it whole, with none of the product's code.
 *
 * Money is counted in millionths as bigint.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';

export interface ExpectedTables {
  /** One text for each row, fields joined by |, sorted. */
  readonly orders: string[];
  readonly orderLines: string[];
  readonly ledgerEntries: string[];
  /** What must be in a dead-letter queue: queue, order and reason. */
  readonly rejected: string[];
}

const NEGATIVE_PRICE = 'unitPrice is negative';

interface Line {
  readonly InvoiceNo: string;
  readonly StockCode: string;
  readonly Description: string;
  readonly Quantity: string;
  readonly InvoiceDate: string;
  readonly UnitPrice: string;
  readonly CustomerID: string;
  readonly Country: string;
}

export function expectedTables(path: string): ExpectedTables {
  const content = readFileSync(path);
  const text = path.endsWith('.gz') ? gunzipSync(content) : content;
  const lines: Line[] = parse(text, { columns: true, bom: true });
  const invoices = Map.groupBy(lines, ({ InvoiceNo }) => InvoiceNo);
  const tables: ExpectedTables = { orders: [], orderLines: [], ledgerEntries: [], rejected: [] };
  const positions = new Map<string, number>();
  const accounts = new Map<string, { entries: number; balance: bigint }>();
  for (const [orderId, [...of]] of invoices) {
    const first = of[0]!;
    const customer = first.CustomerID;
    const position = (positions.get(customer) ?? 0) + 1;
    positions.set(customer, position);
    if (of.some(({ UnitPrice }) => millionths(UnitPrice) < 0n)) {
      const queues = customer === '' ? ['orders'] : ['orders', 'ledger'];
      for (const queue of queues) tables.rejected.push(row(queue, orderId, NEGATIVE_PRICE));
      continue;
    }
    const total = of.reduce((sum, line) => sum + BigInt(line.Quantity) * millionths(line.UnitPrice), 0n);
    const kind = orderId.startsWith('C') ? 'cancellation' : 'sale';
    tables.orders.push(row(orderId, customer, first.Country, first.InvoiceDate, kind, String(total)));
    for (const [index, line] of of.entries()) {
      const { StockCode, Description, Quantity, UnitPrice } = line;
      tables.orderLines.push(
        row(orderId, String(index + 1), StockCode, Description, Quantity, String(millionths(UnitPrice))),
      );
    }
    if (customer === '') continue;
    const account = accounts.get(customer) ?? { entries: 0, balance: 0n };
    account.entries += 1;
    account.balance += total;
    accounts.set(customer, account);
    const { entries, balance } = account;
    tables.ledgerEntries.push(
      row(customer, String(entries), orderId, String(position), String(total), String(balance), first.InvoiceDate),
    );
  }
  return sorted(tables);
}

export function sorted(tables: ExpectedTables): ExpectedTables {
  const { orders, orderLines, ledgerEntries, rejected } = tables;
  return {
    orders: orders.toSorted(),
    orderLines: orderLines.toSorted(),
    ledgerEntries: ledgerEntries.toSorted(),
    rejected: rejected.toSorted(),
  };
}

export function row(...fields: (string | null)[]): string {
  return fields.map((field) => field ?? '').join('|');
}

export function millionths(decimal: string): bigint {
  const [whole = '0', fraction = ''] = decimal.replace('-', '').split('.');
  const value = BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0').slice(0, 6));
  return decimal.startsWith('-') ? -value : value;
}
