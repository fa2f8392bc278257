/** The simplest work there is, for tests of the store: an id and a number, into a table of their own. */
import type pg from 'pg';
import type { Claims, HandledMessage } from '../../../workers/outcome.ts';
import { openPool } from '../../../workers/store/connection.ts';
import { InboxWriter, type InboxWriterOptions } from '../../../workers/store/inbox-writer.ts';
import type { RenewedPool } from '../../../workers/store/renewed-pool.ts';
import { afterwards } from '../../local/machine/machine.ts';
import type { TestPostgres } from '../postgres.ts';

export interface Work {
  readonly id: string;
  readonly value: string;
}

export type WorkMessage = HandledMessage<Work>;

/** Refuses every value that is no number: PostgreSQL's own 22P02. */
export async function writeWork(transaction: pg.ClientBase, payloads: readonly Work[]): Promise<void> {
  await transaction.query(
    `insert into work (id, value) select id, value::numeric from unnest($1::text[], $2::text[]) as work (id, value)`,
    [payloads.map(({ id }) => id), payloads.map(({ value }) => value)],
  );
}

/** A writer with connections of its own. */
export async function makeWriter(
  postgres: TestPostgres,
  options: Partial<InboxWriterOptions<Work>> & { readonly url?: string } = {},
): Promise<{ pool: RenewedPool; writer: InboxWriter<Work> }> {
  const { url = postgres.url, ...rest } = options;
  await postgres.pool.query(
    'create table if not exists work (id text, value numeric, at bigint generated always as identity)',
  );
  const pool = openPool({ name: 'url', url });
  afterwards(() => pool.end());
  return { pool, writer: workWriter(pool, rest) };
}

export function workWriter(pool: RenewedPool, options: Partial<InboxWriterOptions<Work>> = {}): InboxWriter<Work> {
  return new InboxWriter<Work>({
    pool,
    consumer: 'work',
    fence: 'work@1',
    key: ({ id }) => id,
    work: (payload) => payload,
    write: writeWork,
    ...options,
  });
}

let messages = 0;

/** A message of its own at every call, as SQS makes one at every send. */
export function message(id: string, value = '1', group?: string, sequenceNumber?: number | bigint): WorkMessage {
  messages += 1;
  const sequence = sequenceNumber === undefined ? undefined : String(sequenceNumber);
  return {
    messageId: `message-${messages}`,
    payload: { id, value },
    group: group === undefined ? undefined : { id: group, sequenceNumber: sequence },
  };
}

/** Leases that last. */
export const always: Claims<Work> = losing(() => false);

/** Leases of which some are lost when a commit is about to start. */
export function losing(isLost: (message: WorkMessage) => boolean): Claims<Work> {
  return (claimed) => ({
    signal: new AbortController().signal,
    leftBehind: new Promise<never>(() => {}),
    lost: () => claimed.filter(isLost),
  });
}

export const stored = { name: 'stored' };
export const suppressed = { name: 'suppressed' };
export const keyReused = { name: 'rejected', errorClass: 'KeyReused' };

/** Two statements that write rows of this table at the same time are sure to meet. */
export async function slowRows(postgres: TestPostgres, table: 'inbox' | 'fences'): Promise<void> {
  await postgres.pool.query(`
    create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.003); return new; end';
    create trigger slow before insert on ${table} for each row execute function slow()`);
}

/** Leases that last, and how often they were asked for: once per attempt. */
export function countedAlways(): { claims: Claims<Work>; attempts: () => number } {
  let attempts = 0;
  return {
    claims: (claimed) => {
      attempts += 1;
      return always(claimed);
    },
    attempts: () => attempts,
  };
}
