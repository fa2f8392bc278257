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
