/**
 * The message body of an order, in the pieces that it can be written in as lines come by.
 *
 * Holds always: the head, the lines in their order and the tail are, put together, the JSON without white space of
 * `{ schema, version, payload }` with a payload of `orderSchema`. So an order that waits for its last line is
 * held as text and never built twice, and its size is known without building it at all.
 */
import { ORDER_SCHEMA, ORDER_VERSION, type Order } from '../workers/messages/order.ts';
import type { RetailLine } from './retail-line.ts';

/** Closes the lines, the payload and the envelope. */
export const BODY_TAIL = ']}}';

/** Everything before the order's first line. `filePosition` counts its customer's orders from 1. */
export function bodyHead(first: RetailLine, filePosition: number | null): string {
  const payload: Order = {
    orderId: first.invoiceNo,
    customerId: first.customerId,
    country: first.country,
    placedAt: first.placedAt,
    kind: first.invoiceNo.startsWith('C') ? 'cancellation' : 'sale',
    filePosition,
    lines: [],
  };
  return jsonOf({ schema: ORDER_SCHEMA, version: ORDER_VERSION, payload }).slice(0, -BODY_TAIL.length);
}

/** One line; all but the first follow a comma. */
export function bodyLine(line: RetailLine, isFirst: boolean): string {
  const json = jsonOf({
    stockCode: line.stockCode,
    description: line.description,
    quantity: line.quantity,
    unitPrice: line.unitPrice,
  });
  return isFirst ? json : `,${json}`;
}

/**
 * JSON in which characters beyond U+FFFF are escaped: SQS takes them as they are, the embedded server and others that
 * check a body by UTF-16 units refuse them. Both forms are the same JSON text to whoever parses it.
 */
function jsonOf(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[\uD800-\uDFFF]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
}
