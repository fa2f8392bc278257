/**
 * One delivery of a message in this process, from its receive until its lease is released.
 */
import type { Batchable } from './batcher.ts';
import type { ReceivedMessage } from './queue-client.ts';

export interface Delivery extends Batchable {
  readonly message: ReceivedMessage;
  /** Aborted when the lease is lost; set while an attempt to write it is under way. */
  attempt: AbortController | undefined;
  /** Since when it is kept for a database that did not take it. */
  heldSinceMs: number | undefined;
  /** Its lease was made longer for a suspect, so that the two do not come again together. */
  isSetApart: boolean;
}

/** What a message takes of the memory that admission counts: its body and its attributes. */
export function bytesOf({ body, attributes }: Pick<ReceivedMessage, 'body' | 'attributes'>): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, value] of Object.entries(attributes)) {
    const { DataType: type = '', StringValue: text = '', BinaryValue: binary } = value;
    bytes += Buffer.byteLength(name) + Buffer.byteLength(type) + Buffer.byteLength(text) + (binary?.byteLength ?? 0);
  }
  return bytes;
}
