/** The ledger worker: every order of a customer becomes an entry with the running balance, in their order. */
import { ORDER_SCHEMA, ORDER_VERSION, orderWork } from '../messages/order.ts';
import { runWorker } from '../worker.ts';
import { ledgerOrderSchema, writeEntries } from './write-entries.ts';

await runWorker({
  name: 'ledger',
  message: { name: ORDER_SCHEMA, version: ORDER_VERSION, payload: ledgerOrderSchema },
  key: (order) => order.orderId,
  work: orderWork,
  write: writeEntries,
});
