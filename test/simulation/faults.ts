/** What can go wrong on the way to the queue and to the database; every one at every operation is counted when it happens. */

export const SQS_OPERATIONS = ['receive', 'delete', 'changeVisibility', 'send'] as const;
export type SqsOperation = (typeof SQS_OPERATIONS)[number];

export const SQS_FAULTS = [
  'throttled',
  'error 500',
  'error 500 after its effect',
  'never arrives',
  'answer lost',
  'answer after the deadline',
  'answer slow',
  'arrives late',
] as const;
/** Only where a call has entries. */
export const ENTRIES_FAIL = 'entries fail';
export type SqsFault = (typeof SQS_FAULTS)[number] | typeof ENTRIES_FAIL | 'none';

export const STATEMENTS = [
  'begin',
  'move-fences',
  'insert-inbox-keys',
  'select-inbox-keys',
  'insert-effects',
  'commit',
  'rollback',
  'insert-rejection',
  'upsert-probe',
] as const;

export const DATABASE_FAULTS = [
  'connection lost before it arrives',
  'connection lost after its effect',
  'error of the server',
  'answer swallowed',
  'arrives late',
] as const;
export type DatabaseFault = (typeof DATABASE_FAULTS)[number] | 'none';

/** States that must be seen sometimes, or the schedules prove less than they seem to. */
const STATES = [
  'state: a second copy in the dead-letter queue',
  'state: lock timeout',
  'state: moved by SQS after faults',
  'state: rejected after its last receive',
  'state: rejected because its group went on without it',
  'state: stored, and moved by SQS after its last delete failed',
  'bounds: polls at their limit',
  'bounds: messages at their limit',
  'bounds: bytes at their limit',
  'bounds: batches at their limit',
  'bounds: batch messages at their limit',
  'bounds: batch bytes at their limit',
  'bounds: rejections at their limit',
  'drain: messages left',
  'crash by poison',
  'the clock is set',
  'database: refusing',
  'database: read-only',
  'database: full',
  'sqs receive: aborted',
  'queue: duplicate delivery',
  'queue: comes again after its delete',
  'queue: a superseded handle changes the present lease',
  'queue: a delayed head is passed',
] as const;

/** Every kind of fault at every kind of call, and every state. */
export const REACHED: readonly string[] = [
  ...SQS_OPERATIONS.flatMap((operation) => SQS_FAULTS.map((fault) => `sqs ${operation}: ${fault}`)),
  `sqs delete: ${ENTRIES_FAIL}`,
  `sqs changeVisibility: ${ENTRIES_FAIL}`,
  ...STATEMENTS.flatMap((statement) => DATABASE_FAULTS.map((fault) => `database ${statement}: ${fault}`)),
  ...STATES,
];

/** In a million schedules. */
const TIMES_PER_MILLION = 100;
/** With fewer, nobody could say. */
const SCHEDULES_TO_JUDGE_MIN = 5_000;

/** What was not seen often enough in so many schedules; undefined where they are too few to say. */
export function notReached(
  schedules: number,
  coverage: Readonly<Record<string, number>>,
): { readonly what: string; readonly times: number; readonly wanted: number }[] | undefined {
  if (schedules < SCHEDULES_TO_JUDGE_MIN) return undefined;
  const wanted = Math.ceil((schedules * TIMES_PER_MILLION) / 1_000_000);
  return REACHED.map((what) => ({ what, times: coverage[what] ?? 0, wanted })).filter(({ times }) => times < wanted);
}
