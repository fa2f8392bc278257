/**
 * Who the embedded PostgreSQL runs as.
 *
 * PostgreSQL refuses to run as root. Started by root it runs as the user and group nobody, by number: no account has to
 * exist and none is made. Started by anyone else it runs as that person.
 */
import { spawnSync } from 'node:child_process';

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** What Linux calls nobody, and what every user namespace shows for ids that it does not know. */
const NOBODY: ServerUser = { uid: 65_534, gid: 65_534 };

let chosen: { readonly user: ServerUser | undefined } | undefined;

/**
 * The user that servers are started as; undefined means as oneself.
 *
 * Root in a container without other users cannot become one: it then stays itself, and PostgreSQL says why it refuses.
 */
export function serverUser(): ServerUser | undefined {
  chosen ??= { user: process.getuid?.() === 0 && canEnter('/', NOBODY) ? NOBODY : undefined };
  return chosen.user;
}

/** Whether a user may enter a folder, asked of the system itself: access lists and closed parents count too. */
export function canEnter(folder: string, user: ServerUser | undefined): boolean {
  // From `/`, because our own working folder may be closed to that user.
  const { status } = spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], { cwd: '/', stdio: 'ignore', ...user });
  return status === 0;
}
