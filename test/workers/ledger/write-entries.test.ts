import { describe, expect, test } from '@jest/globals';
import { type LedgerOrder, writeEntries } from '../../../workers/ledger/write-entries.ts';
import { order } from '../orders.ts';
import { postgresForTests } from '../postgres.ts';

const postgres = postgresForTests();

async function write(orders: readonly LedgerOrder[], setting?: string): Promise<void> {
  const client = await postgres.pool.connect();
  try {
    await client.query('begin');
    if (setting !== undefined) await client.query(setting);
    await writeEntries(client, orders);
    await client.query('commit');
  } finally {
    client.release(true);
  }
}

/** An order over cents, as quantity times one cent. */
const entry = (customerId: string, filePosition: number, cents: number) => ({
  ...order({ lines: [{ stockCode: 'X', description: null, quantity: cents, unitPrice: '0.01' }] }),
  orderId: `${customerId}-${filePosition}`,
  customerId,
  filePosition,
});

const ledger = () =>
  postgres.rows('select customer_id, entry_no, order_id, amount, balance from ledger_entries order by 1, 2');

describe('a ledger', () => {
  test('of two customers whose orders are interleaved counts from 1 and carries each balance over batches', async () => {
    await write([entry('a', 1, 10), entry('b', 1, 500), entry('a', 2, -25), entry('b', 2, 1)]);
    await write([entry('b', 3, -501), entry('a', 3, 20)]);
    expect(await ledger()).toEqual([
      ['a', '1', 'a-1', '0.10', '0.10'],
      ['a', '2', 'a-2', '-0.25', '-0.15'],
      ['a', '3', 'a-3', '0.20', '0.05'],
      ['b', '1', 'b-1', '5.00', '5.00'],
      ['b', '2', 'b-2', '0.01', '5.01'],
      ['b', '3', 'b-3', '-5.01', '0.00'],
    ]);
    expect(await postgres.rows('select customer_id, entry_count, balance from ledger_accounts order by 1')).toEqual([
      ['a', '3', '0.05'],
      ['b', '3', '0.00'],
    ]);
  });

  test('keeps the order in which the entries came, not that of their positions or times', async () => {
    await write([entry('a', 9, 1), { ...entry('a', 2, 2), placedAt: '2001-01-01T00:00:00Z' }]);
    expect((await ledger()).map((row) => row[2])).toEqual(['a-9', 'a-2']);
    expect(await postgres.rows('select file_position from ledger_entries order by entry_no')).toEqual([[9], [2]]);
  });

  test('takes the time as UTC, whatever the time zone of the session', async () => {
    await write([entry('a', 1, 1)], "set local time zone 'America/New_York'");
    expect(await postgres.rows("select placed_at = timestamptz '2010-12-01 08:26:00+00' from ledger_entries")).toEqual([
      [true],
    ]);
  });

  test('adds up exactly over many batches of many customers', async () => {
    const seen = new Map<string, { entries: number; cents: bigint }>();
    const positions = new Map<string, number>();
    for (let batch = 0; batch < 20; batch += 1) {
      const orders = Array.from({ length: 10 }, (_, index) => {
        const customer = `c${(batch * 7 + index * index) % 5}`;
        const position = (positions.get(customer) ?? 0) + 1;
        positions.set(customer, position);
        const cents = ((batch * 31 + index * 17) % 2_000_003) - 300;
        const { entries, cents: balance } = seen.get(customer) ?? { entries: 0, cents: 0n };
        seen.set(customer, { entries: entries + 1, cents: balance + BigInt(cents) });
        return entry(customer, position, cents);
      });
      await write(orders);
    }
    expect(
      await postgres.rows(
        'select customer_id, entry_count::integer, (balance * 100)::bigint from ledger_accounts order by 1',
      ),
    ).toEqual([...seen].sort().map(([customer, { entries, cents }]) => [customer, entries, String(cents)]));
    expect(
      await postgres.rows(`
        select order_id from (
          select order_id, entry_no, file_position, balance, sum(amount) over up_to_here as running, row_number() over up_to_here as number
          from ledger_entries window up_to_here as (partition by customer_id order by entry_no)
        ) entry where balance <> running or entry_no <> number or file_position <> number`),
    ).toEqual([]);
  });

  test('is written by two workers at once without a deadlock or a gap', async () => {
    const customers = Array.from({ length: 60 }, (_, index) => `c${String(index).padStart(2, '0')}`);
    for (let round = 0; round < 10; round += 1) {
      await Promise.all([
        write(customers.map((customer) => entry(customer, 2 * round + 1, 1))),
        write(customers.toReversed().map((customer) => entry(customer, 2 * round + 2, 2))),
      ]);
    }
    expect(await postgres.rows('select customer_id, entry_count, balance from ledger_accounts order by 1')).toEqual(
      customers.map((customer) => [customer, '20', '0.30']),
    );
    expect(await postgres.rows('select count(*) from ledger_entries where entry_no between 1 and 20')).toEqual([
      ['1200'],
    ]);
  });
});
