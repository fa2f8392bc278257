/**
 * Faults that a person could write into the workers, each with the invariants that must catch it. A mutant is one exact
 * replacement that occurs once in its file, made while the file is loaded.
 *
 * Without a counterpart in today's runtime, and missing here on purpose: an extension for running messages only and
 * cumulative extension (every extension is absolute and for all that is held), the release of a tail before its head's
 * delay (the model's queue never shows a tail before a delayed head), and the FIFO fence.
 */
import { registerHooks } from 'node:module';
import type { Invariant } from './judge.ts';

export interface Mutant {
  readonly name: string;
  /** Below workers/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly caughtBy: readonly Invariant[];
}

const CONSUMER = 'runtime/consumer.ts';
const QUEUE_CLIENT = 'runtime/queue-client.ts';
const INBOX_WRITER = 'store/inbox-writer.ts';

const SETTLE_DECIDED = 'await this.#settle(await this.#decide(messages));';
const DELETE_ALL =
  'deleteMessages(this.#options.queue, messages.map(({ receiptHandle }) => receiptHandle), this.#options.surroundings);';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'delete before the commit',
    file: CONSUMER,
    from: SETTLE_DECIDED,
    to: `await ${DELETE_ALL} ${SETTLE_DECIDED}`,
    caughtBy: ['no loss'],
  },
  {
    name: 'delete when the write starts',
    file: CONSUMER,
    from: SETTLE_DECIDED,
    to: `void ${DELETE_ALL} ${SETTLE_DECIDED}`,
    caughtBy: ['no loss'],
  },
  {
    name: 'a lost commit counts as success',
    file: INBOX_WRITER,
    from: "await client.query('commit');",
    to: "await client.query('commit').catch(() => {});",
    caughtBy: ['no loss'],
  },
  {
    name: 'a lost connection counts as bad data',
    file: 'store/database-failure.ts',
    from: "connectionWorks ? 'fault' : 'away'",
    to: "connectionWorks ? 'fault' : 'data'",
    caughtBy: ['dead letters are earned'],
  },
  {
    name: 'keys and rows in two transactions',
    file: INBOX_WRITER,
    from: 'if (fresh.length > 0) await this.#write(client, fresh);',
    to: "await client.query('commit'); await client.query('begin isolation level read committed'); if (fresh.length > 0) await this.#write(client, fresh);",
    caughtBy: ['effect'],
  },
  {
    name: 'no removal of duplicates inside a batch',
    file: INBOX_WRITER,
    from: 'const fresh = [...firsts].filter(([key]) => inserted.has(key)).map(([, { payload }]) => payload);',
    to: 'const fresh = messages.filter(({ key }) => inserted.has(key)).map(({ payload }) => payload);',
    caughtBy: ['effect'],
  },
  {
    name: 'keys are not sorted',
    file: INBOX_WRITER,
    from: '[...firsts.keys()].sort()',
    to: '[...firsts.keys()]',
    caughtBy: ['no deadlock'],
  },
  {
    name: 'a conflict is a duplicate, whatever its payload',
    file: INBOX_WRITER,
    from: 'if (!hash.equals(',
    to: 'if (hash.length === 0 && !hash.equals(',
    caughtBy: ['no loss'],
  },
  {
    name: 'bisection while the database is away',
    file: INBOX_WRITER,
    from: "if (result.name === 'away') return",
    to: 'if (messages.length === 0) return',
    caughtBy: ['outage'],
  },
  {
    name: 'bisection drops the good half',
    file: INBOX_WRITER,
    from: 'const freeOutcomes = await this.commit(free, mayCommit);',
    to: "const freeOutcomes = free.map((): Outcome => ({ name: 'stored' }));",
    caughtBy: ['no loss'],
  },
  {
    name: 'the handle is the id of a batch entry',
    file: QUEUE_CLIENT,
    from: 'Id: String(index), ReceiptHandle',
    to: 'Id: receiptHandle, ReceiptHandle',
    caughtBy: ['bounds'],
  },
  {
    name: 'failed entries are ignored',
    file: QUEUE_CLIENT,
    from: "code = '' } of failed) {",
    to: "code = '' } of failed.slice(0, 0)) {",
    caughtBy: ['settlement'],
  },
  {
    name: 'results are matched by position',
    file: QUEUE_CLIENT,
    from: "for (const { Id: id, SenderFault: senderFault, Code: code = '' } of failed) {",
    to: "for (const [id, { SenderFault: senderFault, Code: code = '' }] of failed.entries()) {",
    caughtBy: ['settlement'],
  },
  {
    name: 'leases are never extended',
    file: CONSUMER,
    from: 'const due = this.#leases.due(surroundings.monotonicMs());',
    to: 'const due = this.#leases.due(surroundings.monotonicMs()).slice(0, 0);',
    caughtBy: ['outage'],
  },
  {
    name: 'a lease counts from the answer to its extension',
    file: CONSUMER,
    from: 'this.#leases.extended(receiptHandle, requestSentAtMs);',
    to: 'this.#leases.extended(receiptHandle, surroundings.monotonicMs());',
    caughtBy: ['lease'],
  },
  {
    name: 'a heartbeat after settling',
    file: 'runtime/lease-table.ts',
    from: "if (lease.state === 'held') lease.state = 'settling';",
    to: '',
    caughtBy: ['lease'],
  },
  {
    name: 'a later message is started while an earlier one is unknown',
    file: INBOX_WRITER,
    from: 'second.filter(({ group }) => group === undefined || !waiting.has(group));',
    to: 'second;',
    caughtBy: ['order'],
  },
  {
    name: 'a group on two connections',
    file: CONSUMER,
    from: 'this.#startBatch(messages);',
    to: 'this.#startBatch(messages.slice(0, 3)); if (messages.length > 3) this.#startBatch(messages.slice(3));',
    caughtBy: ['order'],
  },
  {
    name: 'delete before the dead-letter copy is there',
    file: CONSUMER,
    from: 'await queue.sendDeadLetter(deadLetterFor(message, rejection));',
    to: 'void queue.sendDeadLetter(deadLetterFor(message, rejection)).catch(() => {});',
    caughtBy: ['no loss'],
  },
  {
    name: 'polling while the breaker is open',
    file: CONSUMER,
    from: 'this.#breaker.admits &&\n      this.#polls.size',
    to: 'this.#polls.size',
    caughtBy: ['outage'],
  },
  {
    name: 'a permit is leaked when a receive brings nothing',
    file: CONSUMER,
    from: 'this.#permits += MESSAGES_PER_RECEIVE_MAX - messages.length;',
    to: 'if (messages.length > 0) this.#permits += MESSAGES_PER_RECEIVE_MAX - messages.length;',
    caughtBy: ['liveness'],
  },
  {
    name: 'a drain does not wait for deletes',
    file: CONSUMER,
    from: 'while (this.#polls.size > 0 || this.#batches.size > 0)',
    to: 'while (this.#polls.size > 0)',
    caughtBy: ['drain'],
  },
  {
    name: 'a drain without a deadline',
    file: CONSUMER,
    from: 'await Promise.race([settled(), surroundings.sleep(this.#drainSeconds * 1000, this.#finished.signal)]);',
    to: 'await settled();',
    caughtBy: ['drain'],
  },
  {
    name: 'a commit without a lease',
    file: INBOX_WRITER,
    from: 'if (outcomes === undefined || !mayCommit()) {',
    to: 'if (outcomes === undefined) {',
    caughtBy: ['lease'],
  },
  {
    name: 'a copy before its reason is recorded',
    file: CONSUMER,
    from: 'await this.#record(rejection);',
    to: 'void this.#record(rejection).catch(() => {});',
    caughtBy: ['dead letters are earned'],
  },
  {
    name: 'the outage is never over',
    file: CONSUMER,
    from: 'if (await probe()) {',
    to: 'if ((await probe()) && this.#permits < 0) {',
    caughtBy: ['liveness'],
  },
];

/** Every mutant's text must be there exactly once, or the source has moved on and the mutant tests nothing. */
export function mutated(source: string, { name, file, from, to }: Mutant): string {
  const times = source.split(from).length - 1;
  if (times !== 1) throw new Error(`the mutant "${name}" fits ${times} places of workers/${file}; it must fit one`);
  return source.replace(from, () => to);
}

export function applyMutant(mutant: Mutant): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.endsWith(`/workers/${mutant.file}`)) return loaded;
      return { ...loaded, source: mutated(String(loaded.source), mutant) };
    },
  });
}
