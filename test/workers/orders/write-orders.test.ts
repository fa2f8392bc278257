import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type pg from 'pg';
import type { Order } from '../../../workers/messages/order.ts';
import { orderSchema } from '../../../workers/messages/order.ts';
import { writeOrders } from '../../../workers/orders/write-orders.ts';
import { order } from '../orders.ts';
import { postgresForTests } from '../postgres.ts';

const postgres = postgresForTests();

async function write(orders: readonly Order[], setting?: string): Promise<void> {
  const client: pg.PoolClient = await postgres.pool.connect();
  try {
    await client.query('begin');
    if (setting !== undefined) await client.query(setting);
    await writeOrders(client, orders);
    await client.query('commit');
  } finally {
    client.release(true);
  }
}

const line = order().lines[0]!;

describe('writing orders', () => {
  test('keeps every line in its place, the repeated ones too, and sums them exactly', async () => {
    const lines = [
      { ...line, quantity: 3, unitPrice: '0.1' },
      { ...line, quantity: 3, unitPrice: '0.1' },
      { stockCode: 'POST', description: null, quantity: -1, unitPrice: '0.000001' },
    ];
    await write([order({ lines }), order({ orderId: 'C1', kind: 'cancellation', customerId: null, country: '' })]);
    expect(
      await postgres.rows('select order_id, customer_id, country, kind, total from orders order by order_id'),
    ).toEqual([
      ['536365', '17850', 'United Kingdom', 'sale', '0.599999'],
      ['C1', null, '', 'cancellation', '5.10'],
    ]);
    expect(
      await postgres.rows(
        "select line_no, stock_code, description, quantity, unit_price from order_lines where order_id = '536365' order by 1",
      ),
    ).toEqual([
      [1, '85123A', 'WHITE HANGING HEART', 3, '0.1'],
      [2, '85123A', 'WHITE HANGING HEART', 3, '0.1'],
      [3, 'POST', null, -1, '0.000001'],
    ]);
  });

  test('takes the time as UTC, whatever the time zone of the session', async () => {
    await write([order()], "set local time zone 'Asia/Kolkata'");
    expect(
      await postgres.rows("select to_char(placed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') from orders"),
    ).toEqual([['2010-12-01 08:26:00']]);
  });

  test('takes an invoice of 1,114 lines', async () => {
    const lines = Array.from({ length: 1_114 }, (_, index) => ({ ...line, quantity: index + 1, unitPrice: '0.01' }));
    await write([order({ lines })]);
    expect(await postgres.rows('select count(*), max(line_no) from order_lines')).toEqual([['1114', 1114]]);
    expect(await postgres.rows('select total from orders')).toEqual([['6210.55']]);
  });

  test('stores whatever the schema accepts, with the total of an independent sum', async () => {
    const anyText = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('NULL', '{a,"b"}', '\\', ''),
    );
    const anyLine = fc.record({
      stockCode: anyText,
      description: fc.option(anyText),
      quantity: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      unitPrice: fc
        .tuple(fc.nat(999_999_999_999), fc.stringMatching(/^(\.\d{1,6})?$/))
        .map(([whole, fraction]) => `${whole}${fraction}`),
    });
    const anyTime = fc
      .date({ min: new Date('0000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString());
    const anyOrder = fc
      .record({
        customerId: fc.option(anyText),
        country: anyText,
        placedAt: fc.oneof(anyTime, fc.constantFrom('0001-01-01T00:00Z', '9999-12-31T23:59:59.999999999Z')),
        kind: fc.constantFrom('sale', 'cancellation'),
        lines: fc.array(anyLine, { minLength: 1, maxLength: 5 }),
      })
      .map((fields) => orderSchema.safeParse({ ...order(), ...fields }))
      .filter(({ success }) => success)
      .map(({ data }) => data!);
    await fc.assert(
      fc.asyncProperty(fc.array(anyOrder, { minLength: 1, maxLength: 5 }), async (orders) => {
        await postgres.pool.query('truncate orders, order_lines');
        const distinct = orders.map((each, index) => ({ ...each, orderId: `o${index}` }));
        await write(distinct);
        const rows = await postgres.rows('select total * 1000000, customer_id, country from orders order by order_id');
        expect(rows).toEqual(
          distinct.map((each) => [
            expect.stringMatching(`^${millionths(each)}(\\.0+)?$`),
            each.customerId,
            each.country,
          ]),
        );
      }),
      { numRuns: 40 },
    );
  });
});

/** The total in millionths, added up with whole numbers. */
function millionths(of: Order): bigint {
  return of.lines.reduce((sum, { quantity, unitPrice }) => {
    const [whole = '', fraction = ''] = unitPrice.split('.');
    return sum + BigInt(quantity) * BigInt(whole + fraction.padEnd(6, '0'));
  }, 0n);
}
