/** What must hold in every schedule. */
export const INVARIANTS = [
  /** At most one committed effect per key, and equal to what a payload of that key says. */
  'effect',
  /** Every delete is asked for after the commit or the dead-letter copy; at the end nothing is missing. */
  'no loss',
  /** A copy is of a message that is invalid, with the right class, its reason recorded; SQS moves only what faults explain. */
  'dead letters are earned',
  /** Of a group, nothing commits before what was sent earlier and is still there. */
  'order',
  /** No commit is sent without a lease on everything in it; what was given back is not hidden again. */
  'lease',
  /** An entry that SQS failed by its own fault is asked for again, a bounded number of times. */
  'settlement',
  /** While the database is away nothing is received by who knows it, and nothing comes again that was held. */
  'outage',
  /** What a worker has under way and in hand is within every limit that the runtime names; batches as SQS takes them. */
  'bounds',
  /** A worker that is told to stop ends by its deadline, and leaves nothing behind when nothing is wrong. */
  'drain',
  /** When the faults are over, everything settles within a computed time. */
  'liveness',
  /** Without faults: one receive a message, an empty one in twenty seconds, no extension, few deletes. */
  'cost',
  /** Two transactions never wait for each other in a circle. */
  'no deadlock',
  /** A worker does not end by itself. */
  'worker lives',
] as const;

export type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  readonly invariant: Invariant;
  readonly detail: string;
}
