/**
 * What the embedded server does otherwise than SQS, by the case's name. The tests fail when a difference goes or comes,
 * so that this list, and the table in docs/conformance.md that is made of it, stay true.
 *
 * Who adds one looks for what would lean on it, and says why nothing does.
 */

export interface KnownDifference {
  /** What it does in place of the behaviour. */
  readonly instead: string;
  /** Why it does so: fauxqs's reason, as far as its source tells. */
  readonly reason: string;
  /** Why nothing in the product leans on it. */
  readonly leansNot: string;
}

export const EMBEDDED_SERVER_DIFFERENCES: Readonly<Record<string, KnownDifference>> = {
  'characters beyond U+FFFF are accepted': {
    instead: 'It refuses them.',
    reason: 'It checks UTF-16 units one by one, and takes each half of a pair for a forbidden character.',
    leansNot: 'The producer writes them as JSON escapes, which every server takes (`producer/order-body.ts`).',
  },
  'a message has at most ten attributes': {
    instead: 'It accepts any number.',
    reason: 'It does not count them.',
    leansNot:
      'The copy of a rejected message is counted by the worker, which leaves its reason to PostgreSQL where eleven would be needed (`workers/runtime/rejection.ts`).',
  },
  'a delay of more than 15 minutes is refused': {
    instead: 'It accepts any delay.',
    reason: 'It checks the delay of a queue alone.',
    leansNot: 'Nothing is sent with a delay: what comes again is given back with a visibility timeout.',
  },
  'a message is gone after its retention': {
    instead: 'It keeps every message.',
    reason: 'It stores the attribute and does not act upon it.',
    leansNot:
      'Nothing waits for a message to expire, and what to do before four days are over is in `docs/operations.md`.',
  },
  'a standard queue takes groups, and keeps no order': {
    instead: 'It takes the message and forgets the group.',
    reason: 'It reads groups on FIFO queues alone.',
    leansNot: 'Workers look at a group on FIFO queues alone, and the producer names one there alone.',
  },
  'message attributes come only when asked for': {
    instead: 'It gives all attributes to a receive that names none.',
    reason: 'It takes no names for all names.',
    leansNot: 'Every receive asks for all (`workers/runtime/queue-client.ts`, `local/sqs-control.ts`).',
  },
  'too many in flight: short polls fail, long ones do not': {
    instead: 'It has no limit of messages in flight.',
    reason: 'It does not count them.',
    leansNot:
      'Workers poll long, and at the limit a long poll is like one of an empty queue; the short polls are those of a local run for its dead letters.',
  },
  'too many in flight on a FIFO queue: no error': {
    instead: 'It has no limit of messages in flight.',
    reason: 'It does not count them.',
    leansNot: 'At the limit a receive is like one of an empty queue, and workers go on asking.',
  },
  'more than twelve hours in all are refused, not cut': {
    instead: 'It accepts each timeout that is itself within twelve hours.',
    reason: 'It does not remember when the message was received.',
    leansNot:
      'Leases are not extended past twelve hours from the receive (`workers/runtime/lease-table.ts`), and the longest delay is an hour.',
  },
  "a delete with no handle of the queue's is refused": {
    instead: 'It accepts the delete, and nothing is deleted.',
    reason: 'It answers a delete in the same way, whatever it finds.',
    leansNot: 'Workers delete with handles that a receive brought, and with no others.',
  },
  'an entry id has at most 80 characters': {
    instead: 'It accepts longer ones.',
    reason: 'It checks the characters and not their number.',
    leansNot: 'The id of an entry is its place in the batch.',
  },
  'a bad handle of a batch to delete fails alone': {
    instead: 'It answers that the entry was deleted.',
    reason: 'It answers a delete in the same way, whatever it finds.',
    leansNot:
      "A refused entry means to a worker that the message is someone else's, who finds its effect in the inbox: it does the same after either answer.",
  },
  'a moved message names its source': {
    instead: 'It does not give the attribute.',
    reason: 'It does not know the attribute.',
    leansNot: 'Nothing reads it: a rejected copy names its source in an attribute of its own.',
  },
  'retention in a dead-letter queue has begun before': {
    instead: 'It keeps every message.',
    reason: 'It stores the attribute and does not act upon it.',
    leansNot:
      'A dead-letter queue keeps its messages at least as long as its source, or the template is refused (`lib/constructs/work-queue.ts`).',
  },
  'FIFO: a move makes the message id the deduplication id': {
    instead: 'It keeps the id of the sender.',
    reason: 'It puts the message into the other queue as it is.',
    leansNot: "Nothing reads it, and the producer's ids are distinct over all that it sends.",
  },
  'a move task makes new messages': {
    instead: 'It does not know move tasks.',
    reason: 'It has no such action.',
    leansNot: "Moving dead letters back is a person's doing on AWS; no program here starts a move.",
  },
  "a dead-letter queue is of its source's kind": {
    instead: 'It accepts any queue for the dead letters of any other.',
    reason: 'It does not look at the redrive policy when a queue is made.',
    leansNot: 'The local run checks it before it makes the queues (`local/assembly/system.ts`).',
  },
  'FIFO: one receive brings several of a group, in order': {
    instead: 'It gives one message of each group.',
    reason: 'It locks a group with its first message.',
    leansNot:
      'Workers take what they are given, from one to ten of a group: that several keep their order is shown by the simulator, not by the local run.',
  },
  'FIFO: a delete with an expired handle is refused': {
    instead: 'It accepts the delete: as long as nothing else was received from the queue the message is deleted.',
    reason: 'It looks for expired handles when it is received from, and answers each delete in the same way.',
    leansNot:
      'A worker deletes what is committed, and where SQS refuses the delete the message comes again and its effect is found in the inbox.',
  },
  'FIFO: a change with an expired handle is refused': {
    instead: 'It accepts the change as long as nothing else was received from the queue.',
    reason: 'It looks for expired handles when it is received from.',
    leansNot:
      "A lease ends by the worker's own clock, which is early; no commit is sent without one, whatever SQS answers (`workers/runtime/lease-table.ts`).",
  },
  'FIFO: a repeated attempt brings the same handles': {
    instead: 'It takes the attempt for a new one.',
    reason: 'It ignores ReceiveRequestAttemptId.',
    leansNot: 'No receive names an attempt: messages whose receive was lost come again after their timeout.',
  },
  'FIFO: a backlog of one group hides the others': {
    instead: 'It shows every group.',
    reason: 'It keeps a list for each group.',
    leansNot: 'Nothing counts on other groups going on behind such a backlog: they wait, and come when it goes.',
  },
};
