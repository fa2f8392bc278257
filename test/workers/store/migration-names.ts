/** The migrations that there are, in their order: a new worker brings its own. */
import { readdirSync } from 'node:fs';

export const migrationNames: readonly string[] = readdirSync(
  new URL('../../../workers/store/migrations', import.meta.url),
)
  .map((file) => file.replace(/\.sql$/, ''))
  .sort();
