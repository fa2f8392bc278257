/** Adds a batch of entries to the ledgers of their customers, each with the balance after it. */
import type pg from 'pg';
import { z } from 'zod';
import { orderSchema } from '../messages/order.ts';
import { identifier } from '../messages/storable.ts';

/** An order that belongs in a ledger names its customer, and its place among the customer's orders. */
export const ledgerOrderSchema = orderSchema.extend({ customerId: identifier, filePosition: z.int32().min(1) });

export type LedgerOrder = z.infer<typeof ledgerOrderSchema>;

/** The orders of one customer come in their order; those of different customers in any. */
export async function writeEntries(transaction: pg.ClientBase, orders: readonly LedgerOrder[]): Promise<void> {
  const lines = orders.flatMap((order) => order.lines.map((line) => ({ orderId: order.orderId, line })));
  // Accounts are locked in the order of their ids, so that two batches with the same customers cannot deadlock.
  await transaction.query({
    name: 'insert-ledger-entries',
    text: `with amount as (
             select order_id, sum(quantity * unit_price) as amount
             from unnest($1::text[], $2::integer[], $3::numeric[]) as line (order_id, quantity, unit_price)
             group by order_id
           ), entry as (
             select customer_id, order_id, file_position, placed_at, amount,
                    row_number() over up_to_here as position,
                    sum(amount) over up_to_here as running
             from unnest($4::text[], $5::text[], $6::integer[], $7::timestamptz[])
               with ordinality as entry (order_id, customer_id, file_position, placed_at, arrival)
             join amount using (order_id)
             window up_to_here as (partition by customer_id order by arrival)
           ), added as (
             select customer_id, count(*) as entries, sum(amount) as amount
             from entry group by customer_id order by customer_id
           ), account as (
             insert into ledger_accounts as account (customer_id, entry_count, balance)
             select customer_id, entries, amount from added
             on conflict (customer_id) do update
               set entry_count = account.entry_count + excluded.entry_count,
                   balance = account.balance + excluded.balance
             returning customer_id, entry_count, balance
           )
           insert into ledger_entries (customer_id, entry_no, order_id, file_position, amount, balance, placed_at)
           select customer_id, entry_count - entries + position, order_id, file_position, entry.amount,
                  balance - added.amount + running, placed_at
           from entry join added using (customer_id) join account using (customer_id)`,
    values: [
      lines.map(({ orderId }) => orderId),
      lines.map(({ line }) => line.quantity),
      lines.map(({ line }) => line.unitPrice),
      orders.map(({ orderId }) => orderId),
      orders.map(({ customerId }) => customerId),
      orders.map(({ filePosition }) => filePosition),
      orders.map(({ placedAt }) => placedAt),
    ],
  });
}
