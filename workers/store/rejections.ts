/** What the runtime asks of the database besides storing messages: a place for reasons, and a sign of life. */
import type pg from 'pg';

export interface RejectionRow {
  readonly queueName: string;
  readonly messageId: string;
  readonly reason: string;
  readonly errorClass: string;
}

/** Idempotent: a message that is rejected twice has one row. */
export async function recordRejection(pool: pg.Pool, rejection: RejectionRow): Promise<void> {
  await pool.query({
    name: 'insert-rejection',
    text: `insert into rejections (queue, message_id, reason, error_class) values ($1, $2, $3, $4)
           on conflict do nothing`,
    values: [rejection.queueName, rejection.messageId, rejection.reason, rejection.errorClass],
  });
}

/** Whether the database would take a write now: a replica that was just promoted elsewhere answers, but does not. */
export async function acceptsWrites(pool: pg.Pool): Promise<boolean> {
  try {
    const { rows } = await pool.query<{ writable: boolean }>(
      `select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable`,
    );
    return rows[0]?.writable === true;
  } catch {
    // Whatever the error, the answer is no; the breaker asks again.
    return false;
  }
}
