/** The orders worker: every order that arrives becomes one row of `orders` and its lines. */
import { ORDER_SCHEMA, ORDER_VERSION, orderSchema, orderWork } from '../messages/order.ts';
import { runWorker } from '../worker.ts';
import { writeOrders } from './write-orders.ts';

await runWorker({
  name: 'orders',
  message: { name: ORDER_SCHEMA, version: ORDER_VERSION, payload: orderSchema },
  key: (order) => order.orderId,
  work: orderWork,
  write: writeOrders,
});
