/**
 * A fake SQS in a process of its own: `node fake-sqs.ts endless|on-request BODY_BYTES`, started with an IPC channel.
 *
 * It speaks the SDK's JSON protocol and does as little as it can, so that what is measured is who calls it: nothing is
 * kept, parsed or checked, and every call takes `CALL_MS`. `endless` answers each receive with ten messages that never
 * came before. `on-request` lets receives wait, as long polls on an idle queue do, and hands out one message, at once,
 * for each POST to /next.
 *
 * Holds always: GET /counts tells what was asked of it, which is what the bench measures by; what a consumer claims
 * does not count.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { LOOPBACK, portOf } from '../local/machine/ports.ts';
import { attributesAnswer, batchAnswer, ReceiveAnswers } from './answers.ts';
import type { SqsCounts } from './fake-sqs-counts.ts';
import { report } from './reports.ts';

/** A round trip within a region, with the service's own time. */
const CALL_MS = 10;
const MESSAGES_PER_RECEIVE = 10;
const LONG_POLL_MS = 20_000;
/** Whoever asked for a message is quiet again by then; spread, so that no rhythm of a timer meets it every time. */
const NEXT_AFTER_MS = 20;
const NEXT_SPREAD_MS = 10;

const onRequest = process.argv[2] === 'on-request';
const receiveAnswers = new ReceiveAnswers(Number(process.argv[3]));
const empty = Buffer.from('{}');
const counts = { receives: 0, received: 0, deletes: 0, deleted: 0, visibilityChanges: 0, unknown: 0 };
const waitingPolls = new Set<ServerResponse>();
let wantedMessages = 0;

process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());

const server = createServer((request, response) => {
  const target = request.headers['x-amz-target'];
  if (target === 'AmazonSQS.ReceiveMessage') receive(request, response);
  else if (target === 'AmazonSQS.DeleteMessageBatch') void batch(request, response, 'deletes');
  else if (target === 'AmazonSQS.ChangeMessageVisibilityBatch') void batch(request, response, 'visibilityChanges');
  else if (target === 'AmazonSQS.GetQueueAttributes') answer(response, attributesAnswer);
  else if (request.url === '/next') next(response);
  else if (request.url === '/counts') answer(response, Buffer.from(JSON.stringify(countsNow())));
  else refuse(response);
});
// A connection that it closed while a request was on its way would look like a fault of the consumer.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(0, LOOPBACK, () => report({ name: 'listening', port: portOf(server) }));

function receive(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  counts.receives += 1;
  if (onRequest) {
    wait(response);
    return;
  }
  counts.received += MESSAGES_PER_RECEIVE;
  setTimeout(() => answer(response, receiveAnswers.of(MESSAGES_PER_RECEIVE)), CALL_MS);
}

function wait(response: ServerResponse): void {
  waitingPolls.add(response);
  const timer = setTimeout(() => {
    waitingPolls.delete(response);
    answer(response, empty);
  }, LONG_POLL_MS);
  response.once('close', () => {
    clearTimeout(timer);
    waitingPolls.delete(response);
  });
  handOut();
}

function next(response: ServerResponse): void {
  answer(response, empty);
  setTimeout(
    () => {
      wantedMessages += 1;
      handOut();
    },
    NEXT_AFTER_MS + Math.random() * NEXT_SPREAD_MS,
  );
}

function handOut(): void {
  const [poll] = waitingPolls;
  if (poll === undefined || wantedMessages === 0) return;
  wantedMessages -= 1;
  waitingPolls.delete(poll);
  counts.received += 1;
  answer(poll, receiveAnswers.of(1));
}

async function batch(
  request: IncomingMessage,
  response: ServerResponse,
  kind: 'deletes' | 'visibilityChanges',
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { answer: bytes, entries } = batchAnswer(Buffer.concat(chunks).toString('latin1'));
  counts[kind] += 1;
  if (kind === 'deletes') counts.deleted += entries;
  setTimeout(() => answer(response, bytes), CALL_MS);
}

/** Counted, so that a bench does not measure a consumer that asks in vain. */
function refuse(response: ServerResponse): void {
  counts.unknown += 1;
  response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
  response.end('{"__type":"com.amazonaws.sqs#UnsupportedOperation","message":"the fake SQS does not know this"}');
}

function answer(response: ServerResponse, bytes: Buffer): void {
  if (response.destroyed) return;
  response.writeHead(200, {
    'content-type': 'application/x-amz-json-1.0',
    'content-length': bytes.length,
    'x-amzn-requestid': '00000000-0000-4000-8000-000000000000',
  });
  response.end(bytes);
}

function countsNow(): SqsCounts {
  return { atMs: performance.now(), ...counts };
}
