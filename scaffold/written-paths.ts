/** What `sluice add worker` writes, and how a person takes it back when the command was killed before it could. */

export const WORKLOADS_FILE = 'lib/workloads.ts';
export const MIGRATIONS_FOLDER = 'workers/store/migrations';
export const SNAPSHOT_FILE = 'test/lib/__snapshots__/app.test.ts.snap';
export const STAGES_FILE = 'docs/stages.md';

/** Both are there only when a worker is, or was begun. */
export function foldersOf(name: string): [string, string] {
  return [`workers/${name}`, `test/workers/${name}`];
}

/** What the table is called, and the words of SQL. */
export function snakeCase(name: string): string {
  return name.replaceAll('-', '_');
}

/** Of files that are committed git clean takes none. */
export function takeBackAdvice(name: string): string {
  const migration = `'${MIGRATIONS_FOLDER}/*_${snakeCase(name)}.sql'`;
  return `If a call that was killed left it half-written, as git status shows, undo that: git checkout ${WORKLOADS_FILE} ${SNAPSHOT_FILE} ${STAGES_FILE} && git clean -fd ${foldersOf(name).join(' ')} ${migration}`;
}
