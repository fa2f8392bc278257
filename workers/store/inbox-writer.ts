/**
 * Writes batches of messages so that each has its effect exactly once.
 *
 * One transaction holds the idempotency keys and the rows. A key that is there already is a message that was
 * committed before: its rows are not written again. A batch that fails for its data, or in the write function, is
 * halved until the bad message stands alone; one that fails for the database's state is not, since every half would
 * fail too.
 *
 * Holds always: keys are written in sorted order, so that two workers with the same keys wait for each other
 * and cannot deadlock; of one group, nothing commits behind a message that did not; an answer to a commit
 * that got lost counts as not committed, and the replay finds out.
 *
 * It knows SQL; it knows no SQS.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Outcome } from '../outcome.ts';
import { type DatabaseFailure, readFailure } from './database-failure.ts';

/** Deadlocks are rare with sorted keys; whoever loses three times in a row is better off coming again later. */
const CONFLICT_ATTEMPTS_MAX = 3;
/** A connection that does not answer a rollback by then is given up. */
const ROLLBACK_MS_MAX = 2_000;

export interface InboxMessage<Payload> {
  readonly key: string;
  readonly payload: Payload;
  /** Messages of one group commit in their order; undefined where order does not matter. */
  readonly group: string | undefined;
}

/** Writes the rows of a batch; called inside the transaction that also holds their keys. Throws what pg throws. */
export type Write<Payload> = (transaction: pg.ClientBase, payloads: readonly Payload[]) => Promise<void>;

export class InboxWriter<Payload> {
  readonly #pool: pg.Pool;
  readonly #consumer: string;
  readonly #write: Write<Payload>;
  readonly #work: (payload: Payload) => unknown;

  /** @param work what of a payload is the work itself; two messages with one key must agree in it. */
  constructor(
    pool: pg.Pool,
    consumer: string,
    write: Write<Payload>,
    work: (payload: Payload) => unknown = (payload) => payload,
  ) {
    this.#work = work;
    this.#pool = pool;
    this.#consumer = consumer;
    this.#write = write;
  }

  /**
   * One outcome per message, in their order. Never throws for what the database says.
   *
   * @param mayCommit asked right before the commit: false when a message is no longer ours to commit.
   */
  async commit(messages: readonly InboxMessage<Payload>[], mayCommit: () => boolean): Promise<Outcome[]> {
    if (messages.length === 0) return [];
    for (let attempt = 1; ; attempt += 1) {
      const result = await this.#attempt(messages, mayCommit);
      if (Array.isArray(result)) return result;
      if (result.name === 'away') return messages.map(() => ({ name: 'held', reason: result.reason }));
      if (result.name !== 'conflict') return this.#halve(messages, result, mayCommit);
      if (attempt >= CONFLICT_ATTEMPTS_MAX) return messages.map(() => ({ name: 'retried', reason: result.reason }));
    }
  }

  async #halve(
    messages: readonly InboxMessage<Payload>[],
    failure: DatabaseFailure,
    mayCommit: () => boolean,
  ): Promise<Outcome[]> {
    if (messages.length === 1) return [alone(failure)];
    const middle = Math.ceil(messages.length / 2);
    const first = messages.slice(0, middle);
    const outcomes = await this.commit(first, mayCommit);
    const waiting = new Map<string, Outcome>();
    first.forEach(({ group }, index) => {
      const outcome = outcomes[index]!;
      if (group !== undefined && (outcome.name === 'retried' || outcome.name === 'held')) waiting.set(group, outcome);
    });
    const second = messages.slice(middle);
    const free = second.filter(({ group }) => group === undefined || !waiting.has(group));
    const freeOutcomes = await this.commit(free, mayCommit);
    return [
      ...outcomes,
      ...second.map((message) => freeOutcomes[free.indexOf(message)] ?? waiting.get(message.group!)!),
    ];
  }

  async #attempt(messages: readonly InboxMessage<Payload>[], mayCommit: () => boolean) {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      // Nothing was sent: whatever the reason, it is not the messages'.
      return { name: 'away' as const, reason: readFailure(error, false).reason };
    }
    try {
      // Named, because the inbox leans on it: who waited for another's key has to see that key afterwards.
      await client.query('begin isolation level read committed');
      const outcomes = await this.#writeAll(client, messages);
      if (outcomes === undefined || !mayCommit()) {
        await client.query('rollback');
        client.release();
        if (outcomes === undefined) return { name: 'conflict' as const, reason: 'a key was removed meanwhile' };
        return messages.map((): Outcome => ({ name: 'retried', reason: 'the lease was lost before the commit' }));
      }
      await client.query('commit');
      client.release();
      return outcomes;
    } catch (error) {
      const clean = await rolledBack(client);
      const failure = readFailure(error, clean);
      client.release(!clean || failure.name === 'away');
      return failure;
    }
  }

  /** Undefined when a key was there at the insert and gone at the read: an old one was just cleared away. */
  async #writeAll(client: pg.PoolClient, messages: readonly InboxMessage<Payload>[]): Promise<Outcome[] | undefined> {
    const firsts = new Map<string, { payload: Payload; hash: Buffer }>();
    for (const { key, payload } of messages) {
      if (!firsts.has(key)) firsts.set(key, { payload, hash: this.#hash(payload) });
    }
    const inserted = await this.#insertKeys(client, firsts);
    const seen = [...firsts.keys()].filter((key) => !inserted.has(key));
    const known = await this.#knownHashes(client, seen);
    if (known.size < seen.length) return undefined;
    const fresh = [...firsts].filter(([key]) => inserted.has(key)).map(([, { payload }]) => payload);
    if (fresh.length > 0) await this.#write(client, fresh);
    const taken = new Set<string>();
    return messages.map(({ key, payload }) => {
      const first = firsts.get(key)!;
      const hash = known.get(key) ?? first.hash;
      if (!hash.equals(first.payload === payload ? first.hash : this.#hash(payload))) return keyReused;
      if (!inserted.has(key) || taken.has(key)) return { name: 'suppressed' };
      taken.add(key);
      return { name: 'stored' };
    });
  }

  /** Of the payload as its schema read it: field order and unknown fields of the sender do not count. */
  #hash(payload: Payload): Buffer {
    return createHash('sha256')
      .update(JSON.stringify(this.#work(payload)))
      .digest();
  }

  async #insertKeys(client: pg.PoolClient, firsts: ReadonlyMap<string, { hash: Buffer }>): Promise<Set<string>> {
    const keys = [...firsts.keys()].sort();
    const { rows } = await client.query<{ key: string }>({
      name: 'insert-inbox-keys',
      text: `insert into inbox (consumer, key, payload_hash)
             select $1, key, payload_hash from unnest($2::text[], $3::bytea[]) as message (key, payload_hash)
             on conflict do nothing
             returning key`,
      values: [this.#consumer, keys, keys.map((key) => firsts.get(key)!.hash)],
    });
    return new Set(rows.map(({ key }) => key));
  }

  /** In a statement of its own: the one that met a conflict may not see the row that it met. */
  async #knownHashes(client: pg.PoolClient, keys: readonly string[]): Promise<Map<string, Buffer>> {
    if (keys.length === 0) return new Map();
    const { rows } = await client.query<{ key: string; payload_hash: Buffer }>({
      name: 'select-inbox-hashes',
      text: 'select key, payload_hash from inbox where consumer = $1 and key = any ($2::text[])',
      values: [this.#consumer, keys],
    });
    return new Map(rows.map((row) => [row.key, row.payload_hash]));
  }
}

const keyReused: Outcome = {
  name: 'rejected',
  reason: 'its key was committed before with another payload',
  errorClass: 'KeyReused',
};

/** What becomes of a message that fails on its own. */
function alone({ name, reason }: DatabaseFailure): Outcome {
  return name === 'data' ? { name: 'rejected', reason, errorClass: 'RefusedByDatabase' } : { name: 'retried', reason };
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    // pg takes the bound, its types do not name it.
    const rollback = { text: 'rollback', query_timeout: ROLLBACK_MS_MAX };
    await client.query(rollback);
    return true;
  } catch {
    // The connection is destroyed by the caller, which ends the transaction as well.
    return false;
  }
}
