/** What the runtime asks of the database besides storing messages: a place for reasons, and a proof that it writes. */
import type { RenewedPool } from './renewed-pool.ts';

export interface RejectionRow {
  readonly queueName: string;
  readonly messageId: string;
  readonly reason: string;
  readonly errorClass: string;
  /** The group that is halted by it; undefined where a rejection is skipped. */
  readonly haltsGroup: string | undefined;
}

/** Idempotent: a message that is rejected twice has one row. A group that is halted stays halted by the first. */
export async function recordRejection(pool: RenewedPool, fence: string, rejection: RejectionRow): Promise<void> {
  const { queueName, messageId, reason, errorClass, haltsGroup } = rejection;
  await pool.query({
    name: 'insert-rejection',
    text: `with halted as (
             insert into fences as fence (queue, message_group, sequence, halted_by)
             select $5, $6, -1, $2 where $6::text is not null
             on conflict (queue, message_group)
               do update set halted_by = coalesce(fence.halted_by, excluded.halted_by)
           )
           insert into rejections (queue, message_id, reason, error_class) values ($1, $2, $3, $4)
           on conflict do nothing`,
    values: [queueName, messageId, reason, errorClass, fence, haltsGroup ?? null],
  });
}

/** Whether the database takes a write now: a replica that was just promoted elsewhere, or a full disk, answers too. */
export async function acceptsWrites(pool: RenewedPool, consumer: string): Promise<boolean> {
  try {
    await proveWrite(pool, consumer);
    return true;
  } catch {
    // Whatever the error, the answer is no; the breaker asks again.
    return false;
  }
}

/** Writes what it writes at every probe. */
export async function proveWrite(pool: RenewedPool, consumer: string): Promise<void> {
  await pool.query({
    name: 'upsert-probe',
    text: `insert into probes (consumer, probed_at) values ($1, now())
           on conflict (consumer) do update set probed_at = excluded.probed_at`,
    values: [consumer],
  });
}
