/**
 * Two queues that behave as SQS documents it and fail as a script says, on a clock of their own.
 *
 * They keep messages in the order of their acceptance, suppress a deduplication id that they have seen, and check
 * every request against the limits of SQS.
 */
import type { SendMessageBatchResult } from '@aws-sdk/client-sqs';
import type { ProducedOrder } from '../../producer/retail-file.ts';
import type { SendBatch, SendClock } from '../../producer/send-orders.ts';

/** What happens to an entry: the last two are accepted or refused without the answer saying so. */
export type EntryFate = 'accept' | 'fail' | 'omit accepted' | 'omit refused';

export interface RequestFate {
  readonly call: 'answer' | 'lose the request' | 'lose the answer' | 'throttle';
  readonly entries: readonly EntryFate[];
  /** How many turns of the event loop the answer takes. */
  readonly turns: number;
}

export const queueUrls = { orders: 'https://sqs.test/orders', ledger: 'https://sqs.test/ledger.fifo' };

export class ScriptedSqs {
  readonly accepted: Record<'orders' | 'ledger', { readonly body: string; readonly groupId: string | undefined }[]> = {
    orders: [],
    ledger: [],
  };
  readonly requestSizes: number[] = [];
  inFlight = 0;
  inFlightMax = 0;
  readonly #script: RequestFate[];
  readonly #seen = new Set<string>();

  /** Requests beyond the script are accepted as they are. */
  constructor(script: readonly RequestFate[] = []) {
    this.#script = [...script];
  }

  readonly sendBatch: SendBatch = async ({ QueueUrl, Entries = [] }) => {
    const queue = QueueUrl === queueUrls.ledger ? 'ledger' : 'orders';
    const { call, entries, turns } = this.#script.shift() ?? { call: 'answer', entries: [], turns: 0 };
    this.inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    this.#check(Entries);
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    this.inFlight -= 1;
    if (call === 'lose the request') throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    if (call === 'throttle') throw Object.assign(new Error('Rate exceeded'), { name: 'ThrottlingException' });
    const successful: NonNullable<SendMessageBatchResult['Successful']> = [];
    const failed: NonNullable<SendMessageBatchResult['Failed']> = [];
    for (const [index, entry] of Entries.entries()) {
      const fate = entries[index] ?? 'accept';
      if (fate === 'accept' || fate === 'omit accepted') this.#accept(queue, entry);
      if (fate === 'accept') successful.push({ Id: entry.Id, MessageId: `id ${entry.Id}`, MD5OfMessageBody: '' });
      if (fate === 'fail') failed.push({ Id: entry.Id, SenderFault: false, Code: 'InternalError' });
    }
    if (call === 'lose the answer') throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    return { Successful: successful, Failed: failed };
  };

  #accept(queue: 'orders' | 'ledger', entry: NonNullable<Parameters<SendBatch>[0]['Entries']>[number]): void {
    if (entry.MessageDeduplicationId !== undefined) {
      if (this.#seen.has(entry.MessageDeduplicationId)) return;
      this.#seen.add(entry.MessageDeduplicationId);
    }
    this.accepted[queue].push({ body: entry.MessageBody!, groupId: entry.MessageGroupId });
  }

  #check(entries: NonNullable<Parameters<SendBatch>[0]['Entries']>): void {
    const bytes = entries.reduce((sum, { MessageBody }) => sum + Buffer.byteLength(MessageBody!), 0);
    const groups = entries.flatMap(({ MessageGroupId }) => MessageGroupId ?? []);
    const faults = [
      (entries.length < 1 || entries.length > 10) && `${entries.length} entries`,
      bytes > 1024 * 1024 && `${bytes} bytes`,
      new Set(groups).size < groups.length && 'a group twice in one batch',
      entries.some(({ Id }, index) => Id !== `${index}`) && 'ids that are not the index',
    ].filter((fault) => fault !== false);
    if (faults.length > 0) throw Object.assign(new Error(faults.join()), { $metadata: { httpStatusCode: 400 } });
    this.requestSizes.push(entries.length);
  }
}

/** A clock on which waiting takes no time. */
export function virtualClock(): SendClock & { readonly waits: number[] } {
  let nowMs = 0;
  const waits: number[] = [];
  return {
    waits,
    nowMs: () => nowMs,
    wait: async (ms, signal) => {
      await new Promise(setImmediate);
      if (signal.aborted) return;
      waits.push(ms);
      nowMs += ms;
    },
  };
}

/** Orders as the reader gives them, one per customer in the list; a customer of null is nobody. */
export function ordersOfCustomers(customers: readonly (string | null)[], bodyBytes = 20): ProducedOrder[] {
  return customers.map((customerId, index) => {
    const body = `${index}`.padStart(bodyBytes, ' ');
    return {
      orderId: `order-${index}`,
      customerId,
      filePosition: customerId === null ? null : index + 1,
      body,
      bodyBytes,
    };
  });
}

export async function* reader(
  orders: readonly ProducedOrder[],
  seen: { read?: number; closed?: boolean } = {},
): AsyncGenerator<ProducedOrder> {
  seen.read = 0;
  try {
    for (const order of orders) {
      seen.read += 1;
      yield order;
    }
  } finally {
    seen.closed = true;
  }
}
