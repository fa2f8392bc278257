/**
 * Writes batches of messages so that each has its effect exactly once, and those of a group in their order.
 *
 *   begin → fences → keys → known keys → the worker's write → (still ours?) → commit
 *
 * One transaction holds the fences, the idempotency keys and the rows. A key that is there already is a message that was
 * committed before: its rows are not written again. A fence that has passed a message means that a later one of its
 * group was committed: storing it now would break the order. A batch that fails for its data, or in the write function,
 * is halved until the bad message stands alone; one that fails for the database's state is not, since every half would
 * fail too.
 *
 * Holds always: groups are locked in sorted order and then keys in sorted order, so that two workers with the same
 * messages wait for each other and cannot deadlock; of one group, nothing commits behind a message that did not; an
 * answer to a commit that got lost counts as not committed, and the replay finds out; what counts as committed is what
 * PostgreSQL calls so, whatever the write function swallowed; no commit starts for a message whose lease is lost.
 *
 * It knows SQL; it knows no SQS.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Claims, HandledMessage, Outcome } from '../outcome.ts';
import { type DatabaseFailure, readFailure } from './database-failure.ts';
import { LentConnection } from './lent-connection.ts';
import type { RenewedPool } from './renewed-pool.ts';

/** Deadlocks are rare with sorted keys; whoever loses three times in a row is better off coming again later. */
const CONFLICT_ATTEMPTS_MAX = 3;
/** A connection that does not answer a rollback by then is given up. */
const ROLLBACK_MS_MAX = 2_000;

/**
 * Writes the rows of a batch; called inside the transaction that also holds their keys. Throws what pg throws. Each text
 * that it sends is one statement. What it did not wait for when it ends is not sent any more, and nothing is committed
 * then; nor when it ended the transaction or the connection.
 *
 * The signal aborts when the rows will not be committed any more: whoever writes for long may look at it.
 */
export type Write<Payload> = (
  transaction: pg.ClientBase,
  payloads: readonly Payload[],
  signal: AbortSignal,
) => Promise<void>;

export interface InboxWriterOptions<Payload> {
  readonly pool: RenewedPool;
  /** Whose keys they are: the worker's name. */
  readonly consumer: string;
  /** Whose fences they are: the queue, told from an earlier one of its name. */
  readonly fence: string;
  readonly key: (payload: Payload) => string;
  /** What of a payload is the work itself; two messages with one key must agree in it. */
  readonly work: (payload: Payload) => unknown;
  readonly write: Write<Payload>;
}

type Message<Payload> = HandledMessage<Payload>;

interface Keyed<Payload> {
  readonly key: string;
  readonly hash: Buffer;
  readonly message: Message<Payload>;
}

interface KnownKey {
  readonly key: string;
  readonly payload_hash: Buffer;
  readonly message_id: string | null;
}

/** What became of an attempt: outcomes after a commit, or why there was none. */
type Attempted = Outcome[] | DatabaseFailure | { readonly name: 'lost'; readonly lost: readonly unknown[] };

export class InboxWriter<Payload> {
  readonly #options: InboxWriterOptions<Payload>;

  constructor(options: InboxWriterOptions<Payload>) {
    this.#options = options;
  }

  /** One outcome per message, in their order. Never throws for what the database says. */
  async commit(messages: readonly Message<Payload>[], claims: Claims<Payload>): Promise<Outcome[]> {
    if (messages.length === 0) return [];
    for (let attempt = 1; ; attempt += 1) {
      const result = await this.#attempt(messages, claims);
      if (Array.isArray(result)) return result;
      if (result.name === 'lost') return this.#without(new Set(result.lost), messages, claims);
      if (result.name === 'away') return messages.map(() => ({ name: 'held', reason: result.reason }));
      if (result.name !== 'conflict') return this.#halve(messages, result, claims);
      if (attempt >= CONFLICT_ATTEMPTS_MAX) return messages.map(() => ({ name: 'retried', reason: result.reason }));
    }
  }

  async #halve(
    messages: readonly Message<Payload>[],
    failure: DatabaseFailure,
    claims: Claims<Payload>,
  ): Promise<Outcome[]> {
    if (messages.length === 1) return [alone(failure)];
    const middle = Math.ceil(messages.length / 2);
    const first = messages.slice(0, middle);
    const outcomes = await this.commit(first, claims);
    const held = outcomes.find(({ name }) => name === 'held');
    // Away by now: asking for each half would only keep that from being known.
    if (held !== undefined) return messages.map((_, index) => outcomes[index] ?? held);
    const second = await this.#behind(first, outcomes, messages.slice(middle), claims);
    return [...outcomes, ...second];
  }

  /** Those whose lease is lost are someone else's; the others are tried again without them. */
  async #without(
    lost: ReadonlySet<unknown>,
    messages: readonly Message<Payload>[],
    claims: Claims<Payload>,
  ): Promise<Outcome[]> {
    const outcomes = new Map<Message<Payload>, Outcome>();
    const lostGroups = new Set<string>();
    for (const message of messages) {
      const { group } = message;
      if (lost.has(message)) outcomes.set(message, { name: 'lost' });
      else if (group !== undefined && lostGroups.has(group.id)) outcomes.set(message, behind);
      if (lost.has(message) && group !== undefined) lostGroups.add(group.id);
    }
    const left = messages.filter((message) => !outcomes.has(message));
    const leftOutcomes = await this.commit(left, claims);
    return messages.map((message) => outcomes.get(message) ?? leftOutcomes[left.indexOf(message)]!);
  }

  /** Writes the second half, but for those whose group waits for one of the first. */
  async #behind(
    first: readonly Message<Payload>[],
    outcomes: readonly Outcome[],
    second: readonly Message<Payload>[],
    claims: Claims<Payload>,
  ): Promise<Outcome[]> {
    const waiting = new Map<string, Outcome>();
    first.forEach(({ group }, index) => {
      const outcome = outcomes[index]!;
      if (group === undefined) return;
      if (outcome.name === 'held') waiting.set(group.id, outcome);
      else if (outcome.name === 'retried' || outcome.name === 'lost') waiting.set(group.id, behind);
    });
    const free = second.filter(({ group }) => group === undefined || !waiting.has(group.id));
    const freeOutcomes = await this.commit(free, claims);
    return second.map((message) => freeOutcomes[free.indexOf(message)] ?? waiting.get(message.group!.id)!);
  }

  async #attempt(messages: readonly Message<Payload>[], claims: Claims<Payload>): Promise<Attempted> {
    const { pool } = this.#options;
    const claim = claims(messages);
    let client: pg.PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      // Nothing was sent: whatever the reason, it is not the messages'.
      return { name: 'away', reason: readFailure(error, false).reason };
    }
    let isLeftBehind = false;
    claim.leftBehind.catch(() => {
      isLeftBehind = true;
    });
    try {
      // Named, because the inbox leans on it: who waited for another's key has to see that key afterwards.
      await client.query('begin isolation level read committed');
      const outcomes = await Promise.race([this.#writeAll(client, messages, claim.signal), claim.leftBehind]);
      const lost = claim.lost();
      if (outcomes === undefined || lost.length > 0) {
        await client.query('rollback');
        client.release();
        if (lost.length > 0) return { name: 'lost', lost };
        return { name: 'conflict', reason: 'a key was removed meanwhile' };
      }
      const isCommitted = await committed(client);
      client.release();
      return isCommitted ? outcomes : notCommitted;
    } catch (error) {
      if (isLeftBehind) {
        // Whoever is left behind may still use the connection: only its end ends the transaction.
        client.release(true);
        return { name: 'lost', lost: claim.lost() };
      }
      const clean = await rolledBack(client);
      const failure = readFailure(error, clean);
      client.release(!clean || failure.name === 'away');
      if (failure.name === 'away') pool.renew(client);
      // A write that was told that its lease is lost may throw what it likes: the loss is the reason.
      const lost = clean ? claim.lost() : [];
      return lost.length > 0 ? { name: 'lost', lost } : failure;
    }
  }

  /** Undefined when a key was there at the insert and gone at the read: an old one was just cleared away. */
  async #writeAll(
    client: pg.PoolClient,
    messages: readonly Message<Payload>[],
    signal: AbortSignal,
  ): Promise<Outcome[] | undefined> {
    const passed = await this.#moveFences(client, messages);
    const keyed = new Map(messages.map((message) => [message, this.#keyed(message)]));
    const firsts = new Map<string, Keyed<Payload>>();
    for (const [message, each] of keyed) {
      if (!passed.has(message) && !firsts.has(each.key)) firsts.set(each.key, each);
    }
    const inserted = await this.#insertKeys(client, [...firsts.values()]);
    const others = new Set([...keyed.values()].map(({ key }) => key).filter((key) => !inserted.has(key)));
    const known = await this.#knownKeys(client, [...others]);
    if ([...firsts.keys()].some((key) => !inserted.has(key) && !known.has(key))) return undefined;
    const fresh = [...firsts].filter(([key]) => inserted.has(key)).map(([, { message }]) => message.payload);
    if (fresh.length > 0) await this.#write(client, fresh, signal);
    return [...keyed.values()].map(({ key, hash, message }) => {
      const before = known.get(key);
      const first = firsts.get(key);
      if (before?.message_id === message.messageId) return { name: 'suppressed' };
      const committedHash = before?.payload_hash ?? first?.hash;
      // Neither before nor now: only the fence can have kept it out.
      if (committedHash === undefined) return passed.get(message)!;
      if (!committedHash.equals(hash)) return keyReused;
      return before === undefined && first?.message === message ? { name: 'stored' } : { name: 'suppressed' };
    });
  }

  async #write(client: pg.PoolClient, payloads: readonly Payload[], signal: AbortSignal): Promise<void> {
    const lent = new LentConnection(client);
    try {
      await this.#options.write(lent.client, payloads, signal);
    } catch (error) {
      await lent.takeBack();
      throw error;
    }
    const fault = await lent.takeBack();
    if (fault !== undefined) throw fault;
  }

  #keyed(message: Message<Payload>): Keyed<Payload> {
    // Of the payload as its schema read it: field order and unknown fields of the sender do not count.
    const hash = createHash('sha256')
      .update(JSON.stringify(this.#options.work(message.payload)))
      .digest();
    return { key: this.#options.key(message.payload), hash, message };
  }

  /** The messages that must not be stored for their group's sake, each with its outcome. */
  async #moveFences(
    client: pg.PoolClient,
    messages: readonly Message<Payload>[],
  ): Promise<Map<Message<Payload>, Outcome>> {
    const passed = new Map<Message<Payload>, Outcome>();
    const furthest = new Map<string, bigint>();
    for (const { group } of messages) {
      if (group?.sequenceNumber === undefined) continue;
      const sequence = BigInt(group.sequenceNumber);
      if (sequence > (furthest.get(group.id) ?? -1n)) furthest.set(group.id, sequence);
    }
    if (furthest.size === 0) return passed;
    const groups = [...furthest.keys()].sort();
    const { rows } = await client.query<{
      message_group: string;
      previous_sequence: string | null;
      halted_by: string | null;
    }>({
      name: 'move-fences',
      text: `insert into fences as fence (queue, message_group, sequence)
             select $1, message_group, sequence from unnest($2::text[], $3::numeric[]) as group_ (message_group, sequence)
             on conflict (queue, message_group) do update
               set previous_sequence = fence.sequence, moved_at = now(),
                   sequence = case when fence.halted_by is null then greatest(fence.sequence, excluded.sequence)
                                   else fence.sequence end
             returning message_group, previous_sequence::text, halted_by`,
      values: [this.#options.fence, groups, groups.map((group) => String(furthest.get(group)))],
    });
    const fences = new Map(rows.map((row) => [row.message_group, row]));
    for (const message of messages) {
      const { group } = message;
      const fence = group === undefined ? undefined : fences.get(group.id);
      if (fence === undefined || group?.sequenceNumber === undefined) continue;
      // The message that halted its group may come again before its delete has been heard: it is judged as before,
      // and stays out of order if that was why.
      const haltedBy = fence.halted_by === message.messageId ? null : fence.halted_by;
      if (haltedBy !== null) passed.set(message, halted(haltedBy));
      else if (BigInt(group.sequenceNumber) <= BigInt(fence.previous_sequence ?? -1)) passed.set(message, outOfOrder);
    }
    return passed;
  }

  async #insertKeys(client: pg.PoolClient, messages: readonly Keyed<Payload>[]): Promise<Set<string>> {
    if (messages.length === 0) return new Set();
    const sorted = messages.toSorted((one, other) => (one.key < other.key ? -1 : 1));
    const { rows } = await client.query<{ key: string }>({
      name: 'insert-inbox-keys',
      text: `insert into inbox (consumer, key, payload_hash, message_id)
             select $1, key, payload_hash, message_id
             from unnest($2::text[], $3::bytea[], $4::text[]) as message (key, payload_hash, message_id)
             on conflict do nothing
             returning key`,
      values: [
        this.#options.consumer,
        sorted.map(({ key }) => key),
        sorted.map(({ hash }) => hash),
        sorted.map(({ message }) => message.messageId),
      ],
    });
    return new Set(rows.map(({ key }) => key));
  }

  /** In a statement of its own: the one that met a conflict may not see the row that it met. */
  async #knownKeys(client: pg.PoolClient, keys: readonly string[]): Promise<Map<string, KnownKey>> {
    if (keys.length === 0) return new Map();
    const { rows } = await client.query<KnownKey>({
      name: 'select-inbox-keys',
      text: 'select key, payload_hash, message_id from inbox where consumer = $1 and key = any ($2::text[])',
      values: [this.#options.consumer, keys],
    });
    return new Map(rows.map((row) => [row.key, row]));
  }
}

const notCommitted: DatabaseFailure = {
  name: 'fault',
  reason: 'the write went on after an error or ended the transaction itself, so nothing was committed',
};

const keyReused: Outcome = {
  name: 'rejected',
  reason: 'its key was committed before with another payload',
  errorClass: 'KeyReused',
};

const outOfOrder: Outcome = {
  name: 'rejected',
  reason: 'a later message of its group was committed before it',
  errorClass: 'OutOfOrder',
};

const behind: Outcome = { name: 'retried', reason: 'an earlier message of its group comes again' };

function halted(messageId: string): Outcome {
  return { name: 'rejected', reason: `its group is halted by message ${messageId}`, errorClass: 'GroupHalted' };
}

/** What becomes of a message that fails on its own. */
function alone({ name, reason }: DatabaseFailure): Outcome {
  return name === 'data' ? { name: 'rejected', reason, errorClass: 'RefusedByDatabase' } : { name: 'retried', reason };
}

/** PostgreSQL answers the commit of a transaction that has failed with a rollback, and no error. */
async function committed(client: pg.PoolClient): Promise<boolean> {
  if (client.getTransactionStatus() !== 'T') {
    await client.query('rollback');
    return false;
  }
  const { command } = await client.query('commit');
  return command === 'COMMIT';
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
