/**
 * What the fake SQS answers, as bytes that are made once and filled in.
 *
 * Holds always: every message has a number that no other has, in its id, its receipt handle and its body; a body is
 * exactly `BODY_BYTES` long, follows message.ts, and its MD5OfBody is right, since the SDK checks it.
 */
import { hash } from 'node:crypto';
import { BENCH_SCHEMA, BENCH_VERSION } from './message.ts';

export const BODY_BYTES = 1_024;
/** Real ones have some hundreds: they are signed, sent back and looked up, so their length is part of the work. */
const RECEIPT_HANDLE_CHARACTERS = 400;
const NUMBER_DIGITS = 16;
/** Nanoseconds of a machine that has been up for 300 years. */
const NANOSECONDS_DIGITS = 19;

/** What is put in place of the values, of their exact length, and appears nowhere else. */
const HOLES = {
  messageId: 'M'.repeat(12),
  receiptHandle: 'R'.repeat(NUMBER_DIGITS),
  md5: 'D'.repeat(32),
  key: 'K'.repeat(NUMBER_DIGITS),
  handedOutAtNs: 'H'.repeat(NANOSECONDS_DIGITS),
  sentTimestampMs: 'T'.repeat(13),
};

const bodyTemplate = bodyOf(HOLES.key, HOLES.handedOutAtNs);
const messageTemplate = JSON.stringify({
  MessageId: `00000000-0000-4000-8000-${HOLES.messageId}`,
  ReceiptHandle: `AQEB${HOLES.receiptHandle}${'r'.repeat(RECEIPT_HANDLE_CHARACTERS - NUMBER_DIGITS - 4)}`,
  MD5OfBody: HOLES.md5,
  Body: bodyTemplate,
  Attributes: { SentTimestamp: HOLES.sentTimestampMs, ApproximateReceiveCount: '1' },
});
const [messageHoles, bodyHoles] = [offsetsIn(messageTemplate), offsetsIn(bodyTemplate)];
const opening = '{"Messages":[';

const body = Buffer.from(bodyTemplate);
const templates = new Map<number, Buffer>();
let messagesMade = 0;

/** The answer to a receive, with this many messages that were never handed out before. */
export function receiveAnswer(messages: number): Buffer {
  const answer = Buffer.from(templateFor(messages));
  const handedOutAtNs = process.hrtime.bigint().toString().padStart(NANOSECONDS_DIGITS, '0');
  const sentTimestampMs = Date.now().toString();
  for (let index = 0; index < messages; index += 1) {
    const start = opening.length + index * (messageTemplate.length + 1);
    const number = (messagesMade++).toString().padStart(NUMBER_DIGITS, '0');
    const fill = (hole: keyof typeof HOLES, value: string) => answer.write(value, start + messageHoles[hole], 'latin1');
    body.write(number, bodyHoles.key, 'latin1');
    body.write(handedOutAtNs, bodyHoles.handedOutAtNs, 'latin1');
    fill('messageId', number.slice(-HOLES.messageId.length));
    fill('receiptHandle', number);
    fill('md5', hash('md5', body, 'hex'));
    fill('key', number);
    fill('handedOutAtNs', handedOutAtNs);
    fill('sentTimestampMs', sentTimestampMs);
  }
  return answer;
}

/** The answer to a batch that deletes or gives back: all of its entries were taken. Read without parsing the request. */
export function batchAnswer(request: string): { readonly answer: Buffer; readonly entries: number } {
  const ids = [...request.matchAll(/"Id":"([^"]+)"/g)].map(([, id]) => id);
  return { answer: Buffer.from(`{"Successful":[${ids.map((id) => `{"Id":"${id}"}`)}]}`), entries: ids.length };
}

/** As the stack sets its queues; a worker does not start on a queue without them. */
export const attributesAnswer = Buffer.from(
  JSON.stringify({
    Attributes: {
      VisibilityTimeout: '60',
      MaximumMessageSize: '1048576',
      CreatedTimestamp: '1764115200',
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: 'arn:aws:sqs:us-east-1:000000000000:bench-dlq',
        maxReceiveCount: 5,
      }),
    },
  }),
);

function bodyOf(key: string, handedOutAtNs: string): string {
  const of = (text: string) =>
    JSON.stringify({ schema: BENCH_SCHEMA, version: BENCH_VERSION, payload: { key, handedOutAtNs, text } });
  return of('x'.repeat(BODY_BYTES - of('').length));
}

function offsetsIn(text: string): Record<keyof typeof HOLES, number> {
  const at = (hole: keyof typeof HOLES) => text.indexOf(HOLES[hole]);
  return {
    messageId: at('messageId'),
    receiptHandle: at('receiptHandle'),
    md5: at('md5'),
    key: at('key'),
    handedOutAtNs: at('handedOutAtNs'),
    sentTimestampMs: at('sentTimestampMs'),
  };
}

function templateFor(messages: number): Buffer {
  const known = templates.get(messages);
  if (known !== undefined) return known;
  const template = Buffer.from(`${opening}${new Array<string>(messages).fill(messageTemplate)}]}`);
  templates.set(messages, template);
  return template;
}
