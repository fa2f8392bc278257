/**
 * What a worker has in hand: its deliveries, each with its lease and its place in the process.
 *
 * Holds always: a delivery has a lease and a place as long as it is here, and neither afterwards; a delivery that SQS
 * names twice, in one answer or in two, is here once. When a lease is lost, the attempt that is writing its message is
 * told. The consumer, the attempts and the settling change it.
 */
import type { Admission } from './admission.ts';
import { bytesOf, type Delivery } from './delivery.ts';
import { LeaseTable } from './lease-table.ts';
import { MESSAGES_PER_RECEIVE_MAX, type QueueFacts, type ReceivedMessage } from './queue-client.ts';
import type { Surroundings } from './surroundings.ts';

export class Hand {
  readonly leases: LeaseTable;
  readonly #facts: QueueFacts;
  readonly #admission: Admission;
  readonly #surroundings: Surroundings;
  readonly #onRelease: () => void;
  readonly #deliveries = new Map<string, Delivery>();

  constructor(facts: QueueFacts, admission: Admission, surroundings: Surroundings, onRelease: () => void) {
    this.#facts = facts;
    this.#admission = admission;
    this.#surroundings = surroundings;
    this.#onRelease = onRelease;
    this.leases = new LeaseTable(facts.visibilityTimeoutSeconds, (receiptHandle) =>
      this.#deliveries.get(receiptHandle)?.attempt?.abort(),
    );
  }

  get size(): number {
    return this.#deliveries.size;
  }

  /** What a receive brought takes the places that were reserved for it; the rest of them is free again. */
  received(messages: readonly ReceivedMessage[], requestSentAtMs: number): Delivery[] {
    const deliveries: Delivery[] = [];
    let bytes = 0;
    for (const message of messages.slice(0, MESSAGES_PER_RECEIVE_MAX)) {
      const { receiptHandle } = message;
      if (this.#deliveries.has(receiptHandle)) continue;
      const delivery = this.#delivery(message);
      bytes += delivery.bytes;
      this.#deliveries.set(receiptHandle, delivery);
      this.leases.received(receiptHandle, requestSentAtMs);
      deliveries.push(delivery);
    }
    this.#admission.arrived(deliveries.length, bytes);
    return deliveries;
  }

  /** Whether it is ours now, and will be for `marginMs` more. */
  holds({ message }: Delivery, marginMs = 0): boolean {
    return this.leases.holds(message.receiptHandle, this.#surroundings.monotonicMs(), marginMs);
  }

  release({ message, bytes }: Delivery): void {
    this.leases.released(message.receiptHandle);
    this.#deliveries.delete(message.receiptHandle);
    this.#admission.left(bytes);
    this.#onRelease();
  }

  #delivery(message: ReceivedMessage): Delivery {
    return {
      message,
      // On a standard queue a group is only a tenant to be fair to: nothing waits behind another.
      chain: (this.#facts.fifo ? message.messageGroupId : undefined) ?? message.receiptHandle,
      bytes: bytesOf(message),
      receiveCount: message.receiveCount,
      arrivedAtMs: this.#surroundings.monotonicMs(),
      attempt: undefined,
      heldSinceMs: undefined,
      isSetApart: false,
    };
  }
}
