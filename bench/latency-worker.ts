/**
 * A worker on an idle queue, and the yardstick beside it: after each message's commit and delete, the same four
 * statements by hand on a connection of their own, in the same process. Then it asks for the next message.
 *
 * A commit counts from the answer that ends its transaction, seen on the connection itself: the first time after the
 * write that the connection has nothing left to do and is in no transaction.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { report } from './reports.ts';
import { consumeAndStore, INSERT_KEY, INSERT_ROW, setting, storingWorker } from './runtime.ts';

/** After the delete was sent: the worker has nothing left to do then. */
const QUIET_AFTER_MS = 3;
/** As large as a message's own. */
const HASH = Buffer.alloc(32, 1);
const MESSAGE_ID = '00000000-0000-4000-8000-000000000000';

const databaseUrl = setting('DATABASE_URL');
const bare = new pg.Client({ connectionString: databaseUrl });
await bare.connect();

let text = '';
let handedOutAtNs: bigint | undefined;
let workerMs: number | undefined;
let bareKeys = 0;

const consuming = consumeAndStore({
  databaseUrl,
  definition: {
    ...storingWorker,
    write: async (transaction, payloads, signal) => {
      const [payload] = payloads;
      if (payload === undefined || payloads.length > 1) throw new Error('one message at a time was asked for');
      text = payload.text;
      handedOutAtNs = BigInt(payload.handedOutAtNs);
      await storingWorker.write(transaction, payloads, signal);
    },
  },
  onConnection: (client) => {
    client.on('drain', () => {
      if (handedOutAtNs === undefined || client.getTransactionStatus() !== 'I') return;
      workerMs = Number(process.hrtime.bigint() - handedOutAtNs) / 1e6;
      handedOutAtNs = undefined;
    });
  },
  onDelete: () => {
    compareThenAsk().catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  },
});
await askForNext();
await consuming;

async function compareThenAsk(): Promise<void> {
  const ofWorker = workerMs;
  if (ofWorker === undefined) throw new Error('a message was deleted, and no commit was seen');
  workerMs = undefined;
  await sleep(QUIET_AFTER_MS);
  report({ name: 'commit', workerMs: ofWorker, bareMs: await commitBare() });
  await askForNext();
}

async function commitBare(): Promise<number> {
  const key = `bare-${process.pid}-${bareKeys++}`;
  const startedNs = process.hrtime.bigint();
  await bare.query('begin');
  await bare.query({ name: 'insert-key', text: INSERT_KEY, values: ['bare', key, HASH, MESSAGE_ID] });
  await bare.query({ name: 'insert-row', text: INSERT_ROW, values: [key, text] });
  await bare.query('commit');
  return Number(process.hrtime.bigint() - startedNs) / 1e6;
}

async function askForNext(): Promise<void> {
  const answer = await fetch(new URL('/next', setting('AWS_ENDPOINT_URL_SQS')), { method: 'POST' });
  await answer.arrayBuffer();
}
