/**
 * What became of one message: the words that the runtime (which knows SQS) and the store (which knows SQL)
 * share, so that neither has to know the other.
 */
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
  | { readonly name: 'held'; readonly reason: string };

/** Why a message can never succeed. */
export type RejectionClass =
  /** The body is not what its schema says. */
  | 'InvalidMessage'
  /** PostgreSQL refused the values (SQLSTATE class 22 or 23). */
  | 'RefusedByDatabase'
  /** The idempotency key was committed before with another payload. */
  | 'KeyReused';
