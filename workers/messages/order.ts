/**
 * The order event: what the producer sends and the workers read.
 *
 * One invoice is one order and one message. The same body goes to every queue that carries orders,
 * so that a queue added later reads what is already being sent.
 *
 * Holds always: money and dates travel as text, never as a JavaScript number or Date; whatever this
 * schema accepts, PostgreSQL can store.
 *
 * A change that old workers can still read adds an optional field and keeps the version. A change that
 * they cannot read raises `ORDER_VERSION`; workers retry a version newer than their own, so deploy the
 * workers first and the producer after them.
 */
import { z } from 'zod';
import { decimal, identifier, storableText, storableTime } from './storable.ts';

export const ORDER_SCHEMA = 'order';
export const ORDER_VERSION = 1;

export const orderLineSchema = z.object({
  stockCode: identifier,
  description: storableText(4096).nullable(),
  /** Negative on a cancellation: goods that come back. */
  quantity: z.int32(),
  unitPrice: decimal.refine((price) => !/^-.*[1-9]/.test(price), 'is negative'),
});

/**
 * More lines than fit into a message of 1 MiB. It is there for bodies that are no orders: zod collects a fault for every
 * line, and a million of empty ones would end the process for want of memory before it had said so.
 */
const LINES_MAX = 16_000;

export const orderSchema = z.object({
  orderId: identifier,
  customerId: identifier.nullable(),
  country: storableText(128),
  /** The time of the order's first line, UTC, such as 2011-08-12T14:50:00Z. */
  placedAt: storableTime,
  kind: z.enum(['sale', 'cancellation']),
  /** Which of its customer's orders this is in the producer's file, from 1; null without a customer. */
  filePosition: z.int32().min(1).nullable(),
  /** In the order of the file: the first is line_no 1. */
  lines: z.array(orderLineSchema).min(1).max(LINES_MAX),
});

export type OrderLine = z.infer<typeof orderLineSchema>;
export type Order = z.infer<typeof orderSchema>;

/** Where an order stood in a file is not part of it: the same order out of another file is the same work. */
export function orderWork({ filePosition, ...order }: Order): Omit<Order, 'filePosition'> {
  return order;
}
