/**
 * The run's own send: the orders of its file to the queues of its fleets, and how far that has come.
 *
 * Holds always: what a queue accepted is noted in the journal before it counts; once `ended` has settled nothing more
 * is sent. Only the send itself changes it: the signal ends it early.
 */
import { type FilePlan, readOrders } from '../producer/retail-file.ts';
import { createProducerClient, type SendSummary, sendBatchWith, sendOrders } from '../producer/send-orders.ts';
import type { Servers } from './assembly/system.ts';
import type { Credentials } from './credentials.ts';
import type { WorkQueue } from './monitor.ts';
import type { ScreenProgress } from './screen.ts';
import type { SentJournal } from './sent-journal.ts';

export interface FileSendingOptions {
  readonly plan: FilePlan;
  readonly queues: readonly WorkQueue[];
  readonly servers: Servers;
  readonly credentials: Credentials;
  readonly journal: SentJournal;
  readonly signal: AbortSignal;
  readonly onFailure: (error: Error) => void;
}

export class FileSending {
  /** Settles when nothing more is being sent; undefined when it failed, which `onFailure` was told. */
  readonly ended: Promise<SendSummary | undefined>;
  #hasEnded = false;
  readonly #total: number;
  readonly #startedMs = performance.now();
  #accepted = 0;
  #seconds = 0;

  constructor(options: FileSendingOptions) {
    const { orders, ledger } = options.plan.messages;
    this.#total = orders + ledger;
    this.ended = this.#send(options)
      .finally(() => {
        this.#hasEnded = true;
      })
      .catch((error: Error) => {
        options.onFailure(error);
        return undefined;
      });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get progress(): ScreenProgress {
    return { verb: 'sent', done: this.#accepted, total: this.#total, unit: 'messages', seconds: this.#seconds };
  }

  async #send({ plan, queues, servers, credentials, journal, signal }: FileSendingOptions): Promise<SendSummary> {
    const urlOf = (name: string) => {
      const queue = queues.find((candidate) => candidate.name === name);
      if (queue === undefined) throw new Error(`the assembly has no fleet ${name} to send to`);
      return queue.url;
    };
    const client = createProducerClient({
      endpoint: servers.sqsEndpoint,
      region: servers.region,
      ...(credentials.provider === undefined ? {} : { credentials: credentials.provider }),
    });
    try {
      return await sendOrders({
        orders: readOrders(plan),
        queueUrls: { orders: urlOf('orders'), ledger: urlOf('ledger') },
        sendBatch: sendBatchWith(client),
        messagesTotal: this.#total,
        signal,
        onAccepted: (message) => journal.accepted(message),
        onProgress: ({ acceptedMessages }) => {
          this.#accepted = acceptedMessages;
          this.#seconds = (performance.now() - this.#startedMs) / 1000;
        },
      });
    } finally {
      client.destroy();
    }
  }
}
