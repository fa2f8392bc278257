/** Writes a batch of messages, a row each, in one statement however many there are. */
import type pg from 'pg';
import type { SampleWorkMessage } from './message.ts';

/** In the order in which they came, which `entry_no` keeps. */
export async function writeSampleWork(
  transaction: pg.ClientBase,
  messages: readonly SampleWorkMessage[],
): Promise<void> {
  await transaction.query({
    name: 'insert-sample-work-entries',
    text: `insert into sample_work_entries (id, note)
           select id, note
           from unnest($1::text[], $2::text[]) with ordinality as message (id, note, arrival)
           order by arrival`,
    values: [messages.map(({ id }) => id), messages.map(({ note }) => note)],
  });
}
