/** A table that somebody else holds, for one test. */
import { afterwards } from '../local/machine/machine.ts';
import type { TestPostgres } from './postgres.ts';

/** Whoever needs the table waits: for the inbox that is every commit, for the list of migrations every start. */
export async function holdTable(postgres: TestPostgres, table: 'inbox' | 'sluice_migrations') {
  const holder = await postgres.pool.connect();
  await holder.query(`begin; lock table ${table} in access exclusive mode`);
  let held = true;
  const letGo = () => {
    if (held) holder.release(true);
    held = false;
  };
  afterwards(letGo);
  return {
    letGo,
    isWaitedFor: async () => (await postgres.rows('select 1 from pg_locks where not granted')).length > 0,
  };
}
