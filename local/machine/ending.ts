/**
 * Ends processes that are known by a pid and a start mark, or by the PostgreSQL that they belong to.
 *
 * What PostgreSQL forks leaves its process group, and loses its parent when the first process is killed. What then still
 * tells whose it is, is `cluster_name`: the first process has it among its arguments, the others begin their titles with
 * it. It is the name of the run's folder, so that no two servers share one.
 *
 * Holds always: a process that was stopped (SIGSTOP) is woken (SIGCONT) after it was signalled, since it hears nothing
 * else but SIGKILL; no signal goes to a process whose start mark has not been compared first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, type ProcessIdentity, processesWhose } from './process-identity.ts';
import { hasCode } from './system-error.ts';

/** PostgreSQL itself gives its processes 5 s after SIGQUIT before it kills them. */
export const QUIT_WAIT_MS = 6_000;
/** A killed process goes as soon as the kernel gets to it; only one that hangs in a disk is slower. */
export const KILL_WAIT_MS = 2_000;
const POLL_MS = 10;

export interface EndableProcess extends ProcessIdentity {
  /** SIGQUIT goes to the process alone, which takes its own children down; SIGKILL goes to its whole group. */
  readonly endWith: 'SIGKILL' | 'SIGQUIT';
}

/** Ends one process and waits for it, within bounds. */
export async function endProcess(process: EndableProcess): Promise<void> {
  if (process.endWith === 'SIGQUIT') {
    signalAndWake(process, 'SIGQUIT');
    if (await haveEnded([process], QUIT_WAIT_MS)) return;
  }
  signalIfSame(process, -process.pid, 'SIGKILL');
  await haveEnded([process], KILL_WAIT_MS);
}

/** Ends every process of a PostgreSQL and waits for them, within bounds; nothing is lost that was committed. */
export async function endCluster(clusterName: string): Promise<void> {
  for (const [signal, waitMs] of [['SIGQUIT', QUIT_WAIT_MS] as const, ['SIGKILL', KILL_WAIT_MS] as const]) {
    const processes = processesOf(clusterName);
    for (const process of processes) signalAndWake(process, signal);
    if (await haveEnded(processes, waitMs)) return;
  }
}

/** Lets the processes of a PostgreSQL go on, should they have been stopped. */
export function wakeCluster(clusterName: string): void {
  for (const process of processesOf(clusterName)) signalIfSame(process, process.pid, 'SIGCONT');
}

/** All processes of a PostgreSQL that run now. */
export function processesOf(clusterName: string): ProcessIdentity[] {
  // What was forked a moment ago may not have its title yet, and shows the arguments of the first.
  return processesWhose(
    (commandLine) =>
      commandLine.startsWith(`postgres: ${clusterName}: `) ||
      commandLine.split(' ').includes(`cluster_name=${clusterName}`),
  );
}

function signalAndWake(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  signalIfSame(identity, identity.pid, signal);
  signalIfSame(identity, identity.pid, 'SIGCONT');
}

function signalIfSame(identity: ProcessIdentity, target: number, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(target, signal);
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

async function haveEnded(identities: readonly ProcessIdentity[], waitMs: number): Promise<boolean> {
  const giveUpAtMs = performance.now() + waitMs;
  while (identities.some(isRunning)) {
    if (performance.now() > giveUpAtMs) return false;
    await sleep(POLL_MS);
  }
  return true;
}
