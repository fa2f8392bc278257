/** An order counts as stored only when all of it is in the tables. */
import { describe, expect, test } from '@jest/globals';
import { storedTimes } from '../../local/balance.ts';
import { writeOrders } from '../../workers/orders/write-orders.ts';
import { order } from '../workers/orders.ts';
import { postgresForTests } from '../workers/postgres.ts';

const postgres = postgresForTests();

const lines = [1, 2, 3].map((quantity) => ({ stockCode: 'X', description: null, quantity, unitPrice: '0.01' }));

describe('an order in the tables', () => {
  test.each([
    ['with all of its lines is stored', 'select', ['whole', 'other']],
    ['that lacks its last line is not', "delete from order_lines where order_id = 'other' and line_no = 3", ['whole']],
    ['that lacks all lines is not', "delete from order_lines where order_id = 'other'", ['whole']],
    [
      'of which a line has another price is not',
      "update order_lines set unit_price = 1 where order_id = 'other'",
      ['whole'],
    ],
  ])('%s', async (_, spoil, stored) => {
    const client = await postgres.pool.connect();
    try {
      await writeOrders(client, [order({ orderId: 'whole', lines }), order({ orderId: 'other', lines })]);
      await client.query(spoil);
    } finally {
      client.release(true);
    }
    expect([...(await storedTimes(postgres.pool, 'orders'))].sort()).toEqual(stored.map((id) => [id, 1]).sort());
  });
});
