/**
 * The workloads: each is a queue with its dead-letter queue, the fleet that works it off, the worker that its instances
 * run, and what watches them.
 *
 * Holds always: this is the only list of them. Configuration, stacks, outputs, alarms, dashboards and tests loop over
 * it, and the local run reads what came of it from the templates. `sluice add worker` adds to it.
 */

export interface Workload {
  /** Whether its messages stay in order within their group. */
  readonly fifo: boolean;
}

/** By their names, which are those of their queues, fleets and workers; a worker's entry is `workers/<name>/main.ts`. */
export const workloads = {
  /** Writes every order and its lines. */
  orders: { fifo: false },
  /** Keeps each customer's running balance: one message group per customer. */
  ledger: { fifo: true },
} as const satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof workloads;

/** Of two kinds, the one that each workload is of. */
export type ByKind<Standard, Fifo> = {
  readonly [Name in WorkloadName]: (typeof workloads)[Name]['fifo'] extends true ? Fifo : Standard;
};

/** SQS takes 80 characters: `sluice-`, a stage of 20, the name between hyphens, and `dlq.fifo`. */
export const WORKLOAD_NAME_MAX_CHARACTERS = 40;
const WORKLOAD_NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
export const WORKLOAD_NAME_ALLOWED = `1 to ${WORKLOAD_NAME_MAX_CHARACTERS} lower-case letters, digits and single hyphens between them, a letter first`;

/** Casts, here and in the functions below, because `Object.keys` and `Object.fromEntries` forget which keys they have. */
export const workloadNames = Object.keys(workloads) as readonly WorkloadName[];

/** One value for each workload. */
export function perWorkload<Value>(
  valueFor: (name: WorkloadName, workload: Workload) => Value,
): Readonly<Record<WorkloadName, Value>> {
  const values = workloadNames.map((name) => [name, valueFor(name, workloads[name])] as const);
  return Object.fromEntries(values) as Record<WorkloadName, Value>;
}

/** `fifo` for each FIFO workload, `standard` for each other. */
export function byKind<Standard, Fifo>(standard: Standard, fifo: Fifo): ByKind<Standard, Fifo> {
  return perWorkload<Standard | Fifo>((_, workload) => (workload.fifo ? fifo : standard)) as ByKind<Standard, Fifo>;
}

/** Source file of a worker, relative to the repository. */
export function workerEntry(name: string): string {
  return `workers/${name}/main.ts`;
}

/** A workload's name as a part of construct ids: `return-labels` is `ReturnLabels`. */
export function constructId(name: string): string {
  return name.replace(/(?:^|-)([a-z0-9])/g, (_, first: string) => first.toUpperCase());
}

export function isWorkloadName(name: string): boolean {
  return name.length <= WORKLOAD_NAME_MAX_CHARACTERS && WORKLOAD_NAME.test(name);
}
