/**
 * What each statement does that the store and the simulated worker run, by its name.
 *
 * Holds always: one that must wait is answered when it has all that it waits for; it writes into its own transaction,
 * and into the tables only by the server's `commit` and `reject`. A statement that is not known here is an error.
 */
import type { InboxRow } from './postgres-model.ts';
import { type Answer, failed, type Statement } from './postgres-protocol.ts';
import type { Session } from './postgres-session.ts';
import { REFUSED_STATES, type Work } from './workload.ts';

/** Keys are locked one by one, and now and then another session comes in between. */
const PAUSE_BETWEEN_KEYS = { chance: 0.15, ms: 20 };

type Done = (answer: Answer) => void;
type KeyedRow = InboxRow & { readonly key: string };

export function execute(session: Session, { name, values }: Statement, done: Done): void {
  const refusal = refusalOf(session);
  if (name === 'begin isolation level read committed') {
    session.begin();
    done({ rows: [] });
  } else if (name === 'commit') {
    const { transaction, server } = session;
    // A transaction that failed is rolled back, and the server answers without an error.
    if (transaction?.isFailed === false) server.commit(transaction);
    session.end();
    done({ rows: [], command: transaction?.isFailed === true ? 'ROLLBACK' : 'COMMIT' });
  } else if (name === 'rollback') {
    session.end();
    done({ rows: [] });
  } else if (name === 'select-inbox-keys' && session.transaction?.isFailed !== true) {
    done({ rows: knownKeys(session, values[1] as string[]) });
  } else if (refusal !== undefined) done(refusal);
  else if (name === 'move-fences') {
    moveFences(session, values[1] as string[], (values[2] as string[]).map(BigInt), [], done);
  } else if (name === 'insert-inbox-keys') {
    const [, keys, hashes, messageIds] = values as [string, string[], Buffer[], string[]];
    const rows = keys.map((key, index) => ({ key, hash: Buffer.from(hashes[index]!), messageId: messageIds[index]! }));
    insertKeys(session, rows, [], done);
  } else if (name === 'insert-effects') insertEffects(session, JSON.parse(String(values[0])) as Work[], done);
  else if (name === 'insert-rejection') reject(session, String(values[1]), values[5], done);
  else if (name === 'upsert-probe') done({ rows: [] });
  else throw new Error(`the model of PostgreSQL does not know this statement: ${name}`);
}

/** Why nothing can be written now. */
function refusalOf({ server: { health }, transaction }: Session): Answer | undefined {
  if (transaction?.isFailed === true) return failed('25P02', 'current transaction is aborted');
  if (health === 'read-only') return failed('25006', 'cannot execute INSERT in a read-only transaction');
  if (health === 'full') return failed('53100', 'could not extend file: No space left on device');
  return undefined;
}

function knownKeys({ server, transaction }: Session, keys: readonly string[]): unknown[] {
  return keys.flatMap((key) => {
    const row = transaction?.keys.get(key) ?? server.inbox.get(key);
    return row === undefined ? [] : [{ key, payload_hash: Buffer.from(row.hash), message_id: row.messageId }];
  });
}

/** Waits for the group's row, moves its fence forward, and tells where it stood. */
function moveFences(session: Session, groups: string[], sequences: bigint[], rows: unknown[], done: Done): void {
  const transaction = session.own();
  const [group, ...others] = groups;
  const [sequence, ...otherSequences] = sequences;
  if (group === undefined || sequence === undefined) {
    done({ rows });
    return;
  }
  session.server.locks.acquire(`fence ${group}`, session, done, () => {
    const before = session.server.fences.get(group);
    const furthest = before === undefined || sequence > before.sequence ? sequence : before.sequence;
    const haltedBy = before?.haltedBy ?? null;
    transaction.fences.set(group, { sequence: haltedBy === null || !before ? furthest : before.sequence, haltedBy });
    const previous = before === undefined ? null : String(before.sequence);
    const row = { message_group: group, previous_sequence: previous, halted_by: haltedBy };
    moveFences(session, others, otherSequences, [...rows, row], done);
  });
}

/** A transaction of its own; one that halts a group waits for whoever is moving its fence. */
function reject(session: Session, messageId: string, halted: unknown, done: Done): void {
  const { server } = session;
  if (halted === null) {
    server.reject(messageId);
    done({ rows: [] });
    return;
  }
  const group = String(halted);
  session.begin();
  const end = (answer: Answer) => {
    session.end();
    done(answer);
  };
  server.locks.acquire(`fence ${group}`, session, end, () => {
    server.reject(messageId, group);
    end({ rows: [] });
  });
}

function insertKeys(session: Session, keyed: readonly KeyedRow[], rows: { key: string }[], done: Done): void {
  const transaction = session.own();
  const [first, ...others] = keyed;
  if (first === undefined) {
    done({ rows });
    return;
  }
  const { key } = first;
  const next = () => {
    if (session.isOpen && session.transaction === transaction && !transaction.isFailed) {
      insertKeys(session, others, rows, done);
    }
  };
  const { scheduler, random, inbox, locks } = session.server;
  const goOn = () => {
    if (others.length > 0 && random.chance(PAUSE_BETWEEN_KEYS.chance)) {
      scheduler.after(random.uniform(0, PAUSE_BETWEEN_KEYS.ms), next);
    } else next();
  };
  const isThere = () => transaction.keys.has(key) || inbox.has(key);
  // On conflict do nothing: a row of another transaction is waited for until it is there or gone.
  if (isThere()) goOn();
  else
    locks.acquire(`key ${key}`, session, done, () => {
      if (isThere()) {
        transaction.locks.delete(`key ${key}`);
        locks.free(`key ${key}`);
      } else {
        transaction.keys.set(key, first);
        rows.push({ key });
      }
      goOn();
    });
}

/** Like the ledger's statement, it locks a row per group, in the order of their names. */
function insertEffects(session: Session, works: readonly Work[], done: Done): void {
  const refused = works.find(({ value }) => REFUSED_STATES.includes(value));
  const groups = [...new Set(works.map(({ group }) => group))].sort();
  const lockFrom = (index: number): void => {
    const group = groups[index];
    if (group !== undefined) {
      session.server.locks.acquire(`group ${group}`, session, done, () => lockFrom(index + 1));
    } else if (refused !== undefined) done(failed(refused.value, 'a value was refused'));
    else {
      session.own().effects.push(...works);
      done({ rows: [] });
    }
  };
  lockFrom(0);
}
