/** The tables as they are, in the form of `expectedTables`. */
import pg from 'pg';
import { type ExpectedTables, millionths, row, sorted } from './expected-tables.ts';

const TIME = `to_char(placed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')`;

export async function actualTables(url: string): Promise<Omit<ExpectedTables, 'rejected'>> {
  const client = new pg.Client(url);
  await client.connect();
  const rows = async (sql: string) =>
    (await client.query<(string | null)[]>({ text: sql, rowMode: 'array' })).rows as (string | null)[][];
  try {
    const orders = await rows(`select order_id, customer_id, country, ${TIME}, kind, total::text from orders`);
    const lines = await rows(
      `select order_id, line_no::text, stock_code, description, quantity::text, unit_price::text from order_lines`,
    );
    const entries = await rows(
      `select customer_id, entry_no::text, order_id, file_position::text, amount::text, balance::text, ${TIME}
       from ledger_entries`,
    );
    const { rejected, ...tables } = sorted({
      orders: orders.map(([...fields]) => row(...fields.slice(0, 5), money(fields[5]))),
      orderLines: lines.map(([...fields]) => row(...fields.slice(0, 5), money(fields[5]))),
      ledgerEntries: entries.map(([customer, no, order, position, amount, balance, time]) =>
        row(customer!, no!, order!, position!, money(amount), money(balance), time!),
      ),
      rejected: [],
    });
    return tables;
  } finally {
    await client.end();
  }
}

function money(decimal: string | null | undefined): string {
  return String(millionths(decimal!));
}
