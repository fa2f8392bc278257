/** Orders for the tests of the workers. */
import type { Order } from '../../workers/messages/order.ts';

/** Two of a thing for 2.55, unless something else is asked for. */
export function order(change: Partial<Order> = {}): Order {
  return {
    orderId: '536365',
    customerId: '17850',
    country: 'United Kingdom',
    placedAt: '2010-12-01T08:26:00Z',
    kind: 'sale',
    filePosition: 1,
    lines: [{ stockCode: '85123A', description: 'WHITE HANGING HEART', quantity: 2, unitPrice: '2.55' }],
    ...change,
  };
}

export const bodyOf = (payload: unknown) => JSON.stringify({ schema: 'order', version: 1, payload });
