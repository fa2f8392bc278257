/**
 * What one worker has under way and in hand, as the queue and the database see it at their ends of the wire: calls,
 * transactions, reasons being recorded, and messages whose receipt it has heard of and has neither settled nor lost.
 *
 * A message counts from the answer that brings it until the worker hears that it is settled, gives it back, or may
 * believe that its lease is over. What is hidden once more for the queue's own visibility timeout counts as extended,
 * although it may have been given back with just that delay: only what was never changed is held for sure.
 *
 * Holds always: whenever something grows, `onGrowth` is told, so that between two growths nothing can pass a limit.
 */
import type { SqsOperation } from './faults.ts';
import type { Receipt } from './sqs-message.ts';

/** As attempt.ts has it: with less than this left of a lease, a worker may take it for lost. */
const COMMIT_MARGIN_MS = 2_000;

/** What grew: calls by their operation, messages in hand, transactions, and rejections. */
export type Growth = SqsOperation | 'held' | 'transactions' | 'rejections';

interface Holding {
  /** When the worker may take its lease for lost at the earliest. */
  untilMs: number;
  isSure: boolean;
}

export class Load {
  readonly calls: Record<SqsOperation, number> = { receive: 0, delete: 0, changeVisibility: 0, send: 0 };
  /** Batches under way: from their `begin` until their connection is given back. */
  transactions = 0;
  /** Reasons that are being recorded. */
  reasons = 0;
  onGrowth: (growth: Growth) => void = () => {};
  readonly #held = new Map<Receipt, Holding>();
  #bytes = 0;

  began(operation: SqsOperation): void {
    this.calls[operation] += 1;
    this.onGrowth(operation === 'send' ? 'rejections' : operation);
  }

  ended(operation: SqsOperation): void {
    this.calls[operation] -= 1;
  }

  transactionBegan(): void {
    this.transactions += 1;
    this.onGrowth('transactions');
  }

  reasonBegan(): void {
    this.reasons += 1;
    this.onGrowth('rejections');
  }

  received(receipts: readonly Receipt[], visibilityTimeoutSeconds: number): void {
    for (const receipt of receipts) {
      if (!this.#held.has(receipt)) this.#bytes += bytesOf(receipt);
      const untilMs = receipt.askedAtMs + visibilityTimeoutSeconds * 1000 - COMMIT_MARGIN_MS;
      this.#held.set(receipt, { untilMs, isSure: true });
    }
    this.onGrowth('held');
  }

  /** It asks for more time, or gives the message back. */
  changes(receipt: Receipt): void {
    const holding = this.#held.get(receipt);
    if (holding !== undefined) holding.isSure = false;
  }

  /** Nothing that comes too late is believed. */
  extended(receipt: Receipt, untilMs: number, nowMs: number): void {
    const holding = this.#held.get(receipt);
    if (holding === undefined) return;
    if (holding.untilMs <= nowMs) this.left(receipt);
    else holding.untilMs = untilMs - COMMIT_MARGIN_MS;
  }

  left(receipt: Receipt): void {
    if (this.#held.delete(receipt)) this.#bytes -= bytesOf(receipt);
  }

  /** As soon as there are more than `within`, it is looked whose leases still last. */
  held(nowMs: number, within = { messages: 0, bytes: 0 }): { readonly messages: number; readonly bytes: number } {
    if (this.#held.size > within.messages || this.#bytes > within.bytes) {
      for (const [receipt, { untilMs }] of this.#held) if (untilMs <= nowMs) this.left(receipt);
    }
    return { messages: this.#held.size, bytes: this.#bytes };
  }

  /** How many messages are certainly in its hands. */
  surelyHeld(nowMs: number): number {
    return [...this.#held.values()].filter(({ untilMs, isSure }) => isSure && untilMs > nowMs).length;
  }
}

function bytesOf({ message }: Receipt): number {
  return Buffer.byteLength(message.sent.body);
}
