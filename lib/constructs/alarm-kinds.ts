/**
 * Every kind of alarm that tells a person something: how soon it has to be looked at, and what it means.
 *
 * The name of a kind is the anchor of its section in docs/operations.md, which says how to look and what to do; a test
 * holds the two together. Alarms that only scale a fleet are no kind: they act, and nobody has to.
 */

/** `page` for now, at night too: work stands still, or soon will. `ticket` for the next day: nothing is lost by then. */
export type Severity = 'page' | 'ticket';

interface Kind {
  readonly severity: Severity;
  /** One sentence, for somebody who has just woken up. */
  readonly meaning: string;
}

export const alarmKinds = {
  'messages-wait-too-long': {
    severity: 'page',
    meaning: 'The oldest message has waited longer than the objective.',
  },
  'messages-are-stored-late': {
    severity: 'ticket',
    meaning: 'A message was stored later than the objective, after more receives than the age of the queue counts.',
  },
  'messages-come-again': {
    severity: 'ticket',
    meaning: 'Messages fail and come again, for a quarter of an hour.',
  },
  'many-messages-are-rejected': {
    severity: 'ticket',
    meaning: 'More than a tenth of what is received can never succeed: most often a producer has a fault.',
  },
  'dead-letters-wait': {
    severity: 'ticket',
    meaning: 'The dead-letter queue is not empty: each message in it waits for a person.',
  },
  'backlog-does-not-drain': {
    severity: 'ticket',
    meaning: 'The fleet is as large as it may be, and what leaves the queue is no more than what comes.',
  },
  'few-groups-are-worked-on': {
    severity: 'ticket',
    meaning:
      'A large backlog is one of few message groups: more instances work off no more of it, and others may wait.',
  },
  'no-worker-while-messages-wait': {
    severity: 'page',
    meaning: 'Messages wait, and no worker has told anything of itself.',
  },
  'in-flight-near-limit': {
    severity: 'page',
    meaning: 'Nearly as many messages are in flight as SQS allows, 120,000; beyond, it hands out none.',
  },
  'access-is-denied': {
    severity: 'page',
    meaning: 'SQS refuses the workers: the right to the queue or to its key is gone, or the key itself.',
  },
  'database-is-away': {
    severity: 'page',
    meaning: 'The workers have received nothing for ten minutes, because the database takes no write.',
  },
  'database-processor-is-busy': {
    severity: 'ticket',
    meaning: 'The processor of the database has been busy for a quarter of an hour.',
  },
  'database-storage-runs-out': {
    severity: 'page',
    meaning: 'The storage of the database is nearly full, and RDS has not made it larger.',
  },
  'database-connections-run-out': {
    severity: 'ticket',
    meaning: 'More connections are open than all workers together may have.',
  },
} as const satisfies Record<string, Kind>;

export type AlarmKind = keyof typeof alarmKinds;

/** Those that only a FIFO queue can have: it alone has groups that wait for each other. */
export const FIFO_ALARM_KINDS: readonly string[] = ['few-groups-are-worked-on'] satisfies AlarmKind[];
