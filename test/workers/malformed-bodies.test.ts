/**
 * Malformed bodies: every one is rejected with a reason, and the workers never stop.
 *
 * What is malformed is for the test's own reading to say. The bodies come from a seed that stands in the names of the
 * tests: `SLUICE_FUZZ_SEED=… npm test -- test/workers/malformed-bodies` gives the same ones again. All are read; as many
 * as SLUICE_FUZZ_BODIES says, or those that fit between other tests, also go through queues and worker processes.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { WORKER_NODE_OPTIONS } from '../../lib/constructs/worker-node-options.ts';
import { ledgerOrderSchema } from '../../workers/ledger/write-entries.ts';
import { orderSchema } from '../../workers/messages/order.ts';
import { readMessage } from '../../workers/runtime/envelope.ts';
import { takenDeadLetters } from '../dead-letters.ts';
import { eventually } from '../local/machine/machine.ts';
import { bodyOf, LARGEST_BODIES, MESSAGE_BYTES_MAX, mutant, validOrder } from './malformed/bodies.ts';
import { type Standing, standingOf, type WorkerName } from './malformed/standing.ts';
import { postgresForTests } from './postgres.ts';
import { entry, TestSqs, Worker } from './worker-process.ts';

const seed = Number(process.env.SLUICE_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const RUN_MS_MAX = 240_000;
const BODIES_READ = 10_000;
const BODIES_SENT = Number(process.env.SLUICE_FUZZ_BODIES ?? 600);
/** Of each worker. */
const MALFORMED_PER_WORKER = BODIES_SENT / 2;
const VALID_PER_WORKER = 100;
/** Valid ones whose order is in the table already, without a key in the inbox: only PostgreSQL can say so. */
const REFUSED_PER_WORKER = 10;
const GROUPS = 50;

const postgres = postgresForTests();
const sqs = new TestSqs();

const schemas = {
  orders: { name: 'order', version: 1, payload: orderSchema },
  ledger: { name: 'order', version: 1, payload: ledgerOrderSchema },
};

function standingByWorker(body: string, worker: WorkerName): Standing {
  const reading = worker === 'orders' ? readMessage(body, schemas.orders) : readMessage(body, schemas.ledger);
  if (reading.name === 'invalid' && !/^[\x20-\x7e]{1,200}$/.test(reading.reason)) {
    throw new Error(`this is no reason: ${reading.reason}`);
  }
  return reading.name === 'message' ? 'valid' : reading.name;
}

describe.each<WorkerName>(['orders', 'ledger'])(`reading for the %s worker (SLUICE_FUZZ_SEED=${seed})`, (worker) => {
  test('finds malformed exactly what is, of ten thousand mutants, and says why', () => {
    fc.assert(
      fc.property(mutant, (body) => standingByWorker(body, worker) === standingOf(body, worker)),
      { numRuns: BODIES_READ, seed },
    );
  });

  test('takes every valid order, however odd', () => {
    fc.assert(
      fc.property(validOrder, (order) => standingByWorker(bodyOf(order), worker) === 'valid'),
      { numRuns: 1_000, seed },
    );
  });

  test.each(LARGEST_BODIES.map((body) => [`${body.slice(0, 60).trim()}…`, body]))(
    'finds malformed, as large as a message can be: %s',
    (_, body) => {
      expect(standingByWorker(body, worker)).toBe('invalid');
    },
  );
});

/** What SQS takes, of which the embedded server takes no characters beyond U+FFFF. */
const SENDABLE = /^[\t\n\r\x20-\uD7FF\uE000-\uFFFD]+$/;
const isSendable = (body: string) => SENDABLE.test(body) && Buffer.byteLength(body) <= MESSAGE_BYTES_MAX;
/** The same to whoever reads JSON. */
const escaped = (body: string) =>
  body.replaceAll(/[\u{10000}-\u{10FFFF}]/gu, (pair) => [...pair.split('')].map(unicodeEscape).join(''));
const unicodeEscape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16)}`;

const orderIdOf = (index: number) => `o${index}`;
const customerIdOf = (index: number) => `c${index % GROUPS}`;
const compare = (one: string, other: string) => Number(one > other) - Number(one < other);

interface Sending {
  readonly body: string;
  readonly kind: 'malformed' | 'valid' | 'refused';
}

/** The valid ones among the malformed, spread evenly. */
function sendingsFor(worker: WorkerName): Sending[] {
  const malformed = fc.sample(
    mutant.map(escaped).filter((body) => isSendable(body) && standingOf(body, worker) === 'invalid'),
    { numRuns: MALFORMED_PER_WORKER - LARGEST_BODIES.length, seed },
  );
  const valid = fc
    .sample(validOrder, { numRuns: VALID_PER_WORKER + REFUSED_PER_WORKER, seed })
    .map((order, index) => ({ ...order, orderId: orderIdOf(index), customerId: customerIdOf(index) }))
    .map(
      (order, index): Sending => ({
        body: escaped(bodyOf(order)),
        kind: index < REFUSED_PER_WORKER ? 'refused' : 'valid',
      }),
    );
  const all = [...LARGEST_BODIES, ...malformed].map((body): Sending => ({ body, kind: 'malformed' }));
  const every = Math.floor(all.length / valid.length);
  for (const [index, sending] of valid.entries()) all.splice(index * (every + 1), 0, sending);
  return all;
}

async function makeRefusedOrdersKnown(): Promise<void> {
  const ids = Array.from({ length: REFUSED_PER_WORKER }, (_, index) => orderIdOf(index));
  await postgres.rows(
    `insert into orders (order_id, country, placed_at, kind, total) select id, '', now(), 'sale', 0 from unnest($1::text[]) as id`,
    [ids],
  );
  await postgres.rows(`insert into ledger_accounts values ('known', 0, 0)`);
  await postgres.rows(
    `insert into ledger_entries select 'known', row_number() over (), id, 1, 0, 0, now() from unnest($1::text[]) as id`,
    [ids],
  );
}

/** A group per customer; the malformed share the groups of the valid ones. */
function groupOf({ body, kind }: Sending, index: number): string {
  return kind === 'malformed' ? customerIdOf(index) : String(JSON.parse(body).payload.customerId);
}

async function run(name: WorkerName) {
  const queue = await sqs.makeQueue(name === 'ledger' ? { FifoQueue: 'true' } : {});
  const sendings = sendingsFor(name);
  const bodies = sendings.map(({ body }) => body);
  const group = (index: number) => groupOf(sendings[index]!, index);
  const messageIds = await sqs.send(queue.url, bodies, name === 'ledger' ? group : undefined);
  const worker = new Worker(entry(name), sqs.environmentFor(queue, postgres, { NODE_OPTIONS: WORKER_NODE_OPTIONS }));
  await eventually(
    'an empty queue, or a worker that stopped',
    async () => !worker.isRunning || (await sqs.isEmpty(queue.url)),
    RUN_MS_MAX,
  );
  worker.kill('SIGTERM');
  const lastWords = await worker.lastWords();
  const rejected = sendings.flatMap(({ kind, body }, index) =>
    kind === 'valid' ? [] : [{ messageId: messageIds[index]!, body }],
  );
  const letters = await Array.fromAsync(takenDeadLetters(sqs.client, queue.deadLetterUrl));
  const reasons = await postgres.rows('select message_id, reason from rejections where queue = $1', [
    new URL(queue.url).pathname.split('/').at(-1),
  ]);
  return { lastWords, rejected, letters, reasons: new Map(reasons.map(([id, why]) => [String(id), why])) };
}

describe(`${BODIES_SENT} malformed bodies among valid ones (SLUICE_FUZZ_SEED=${seed})`, () => {
  test(
    'are each in the dead-letter queue once, with a reason; all others are stored; no worker stops',
    async () => {
      await makeRefusedOrdersKnown();
      const runs = await Promise.all([run('orders'), run('ledger')]);
      for (const { lastWords, rejected, letters, reasons } of runs) {
        expect(lastWords).toEqual({ status: 0, message: expect.stringMatching(/: everything settled/) });
        expect(reasons.size).toBe(rejected.length);
        const byBody = new Map(rejected.map(({ messageId, body }) => [body, messageId]));
        // The largest have no room for attributes: their bodies say which they are.
        const byId = new Map(letters.map((letter) => [letter.rejectedMessageId ?? byBody.get(letter.body), letter]));
        expect(byId.size).toBe(rejected.length);
        for (const { messageId, body } of rejected) {
          const letter = byId.get(messageId);
          expect(letter?.body).toBe(body);
          expect(letter?.reason ?? reasons.get(messageId)).toBe(reasons.get(messageId));
          expect(reasons.get(messageId)).toMatch(/^[\x20-\x7e]{1,200}$/);
        }
      }
      const valid = Array.from({ length: VALID_PER_WORKER }, (_, index) => index + REFUSED_PER_WORKER);
      for (const consumer of ['orders', 'ledger']) {
        const keys = await postgres.rows('select key from inbox where consumer = $1', [consumer]);
        expect(keys.flat().toSorted()).toEqual(valid.map(orderIdOf).toSorted());
      }
      const entries = await postgres.rows(
        `select customer_id, order_id from ledger_entries where customer_id <> 'known' order by customer_id, entry_no`,
      );
      const inOrder = valid.toSorted((one, other) => compare(customerIdOf(one), customerIdOf(other)) || one - other);
      expect(entries).toEqual(inOrder.map((index) => [customerIdOf(index), orderIdOf(index)]));
    },
    RUN_MS_MAX,
  );
});
