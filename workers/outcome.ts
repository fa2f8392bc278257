/**
 * The words that the runtime (which knows SQS) and the store (which knows SQL) share, so that neither has to know the
 * other: a message that is handed over, the claim that its leases give, and what became of it.
 */

export interface HandledMessage<Payload> {
  /** SQS's own, the same at every delivery. */
  readonly messageId: string;
  readonly payload: Payload;
  /** On a FIFO queue; undefined where order does not matter. */
  readonly group: MessageGroup | undefined;
}

export interface MessageGroup {
  readonly id: string;
  /** SQS's SequenceNumber: grows within a group, and is new when a message is sent again. Undefined where SQS gave none. */
  readonly sequenceNumber: string | undefined;
}

/** The leases behind one attempt to commit some messages. */
export interface Claim<Payload> {
  /** Aborts as soon as one of the leases is lost: what is being written then will not be committed. */
  readonly signal: AbortSignal;
  /** Rejects when the attempt goes on long after that: whatever it waits for, nobody waits for it any more. */
  readonly leftBehind: Promise<never>;
  /** Asked right before a commit: the messages whose lease would not outlast it. */
  lost(): readonly HandledMessage<Payload>[];
}

/** Makes the claim for an attempt; asked again for every attempt, since leases end. */
export type Claims<Payload> = (messages: readonly HandledMessage<Payload>[]) => Claim<Payload>;

export type Outcome =
  /** Committed in this attempt: delete it. */
  | { readonly name: 'stored' }
  /** Committed in an earlier attempt: delete it. */
  | { readonly name: 'suppressed' }
  /** Can never succeed, for a reason that lies in the message: move it to the dead-letter queue. */
  | { readonly name: 'rejected'; readonly reason: string; readonly errorClass: RejectionClass }
  /** Did not succeed and may yet: give it back with a delay. Its group waits for it. */
  | { readonly name: 'retried'; readonly reason: string }
  /** The database or the network is away, which says nothing about the message: keep it while its lease lasts. */
  | { readonly name: 'held'; readonly reason: string }
  /** Its lease ended before the commit: it is someone else's by now. */
  | { readonly name: 'lost' };

/** Why a message is in the dead-letter queue by a worker's doing. */
export type RejectionClass =
  /** The body is not what its schema says. */
  | 'InvalidMessage'
  /** PostgreSQL refused the values (SQLSTATE class 22 or 23). */
  | 'RefusedByDatabase'
  /** The idempotency key was committed before with another payload. */
  | 'KeyReused'
  /** A later message of its group was committed before it: storing it now would break the order. */
  | 'OutOfOrder'
  /** An earlier message of its group was rejected, and this worker halts a group then. */
  | 'GroupHalted'
  /** It was received as often as its queue allows and failed each time; the one class that says nothing about the message. */
  | 'RetriesExhausted';
