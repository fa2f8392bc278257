/** Writes a batch of orders with their lines in two statements, however many there are. */
import type pg from 'pg';
import type { Order } from '../messages/order.ts';

export async function writeOrders(transaction: pg.ClientBase, orders: readonly Order[]): Promise<void> {
  const lines = orders.flatMap((order) => order.lines.map((line, index) => ({ order, line, lineNo: index + 1 })));
  // The totals are summed here, in SQL's exact decimals.
  await transaction.query({
    name: 'insert-orders',
    text: `with line as (
             select order_id, sum(quantity * unit_price) as total
             from unnest($1::text[], $2::integer[], $3::numeric[]) as line (order_id, quantity, unit_price)
             group by order_id
           )
           insert into orders (order_id, customer_id, country, placed_at, kind, total)
           select order_id, customer_id, country, placed_at, kind, total
           from unnest($4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[])
             as "order" (order_id, customer_id, country, placed_at, kind)
           join line using (order_id)`,
    values: [
      lines.map(({ order }) => order.orderId),
      lines.map(({ line }) => line.quantity),
      lines.map(({ line }) => line.unitPrice),
      orders.map(({ orderId }) => orderId),
      orders.map(({ customerId }) => customerId),
      orders.map(({ country }) => country),
      orders.map(({ placedAt }) => placedAt),
      orders.map(({ kind }) => kind),
    ],
  });
  await transaction.query({
    name: 'insert-order-lines',
    text: `insert into order_lines (order_id, line_no, stock_code, description, quantity, unit_price)
           select * from unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::numeric[])`,
    values: [
      lines.map(({ order }) => order.orderId),
      lines.map(({ lineNo }) => lineNo),
      lines.map(({ line }) => line.stockCode),
      lines.map(({ line }) => line.description),
      lines.map(({ line }) => line.quantity),
      lines.map(({ line }) => line.unitPrice),
    ],
  });
}
