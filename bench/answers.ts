/**
 * What the fake SQS answers, as bytes that are made once and filled in.
 *
 * Holds always: every message has a number that no other has, in its id, its receipt handle and its body; a body is
 * exactly as long as was asked for, follows message.ts, and its MD5OfBody is right, since the runtime checks it.
 */
import { hash } from 'node:crypto';
import { BENCH_SCHEMA, BENCH_VERSION } from './message.ts';

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

type Offsets = Readonly<Record<keyof typeof HOLES, number>>;

const opening = '{"Messages":[';

/** Answers to receives, with messages that were never handed out before. */
export class ReceiveAnswers {
  readonly #body: Buffer;
  readonly #bodyHoles: Offsets;
  readonly #message: string;
  readonly #messageHoles: Offsets;
  readonly #templates = new Map<number, Buffer>();
  #messagesMade = 0;

  constructor(bodyBytes: number) {
    const body = bodyOf(bodyBytes, HOLES.key, HOLES.handedOutAtNs);
    this.#body = Buffer.from(body);
    this.#bodyHoles = offsetsIn(body);
    this.#message = JSON.stringify({
      MessageId: `00000000-0000-4000-8000-${HOLES.messageId}`,
      ReceiptHandle: `AQEB${HOLES.receiptHandle}${'r'.repeat(RECEIPT_HANDLE_CHARACTERS - NUMBER_DIGITS - 4)}`,
      MD5OfBody: HOLES.md5,
      Body: body,
      Attributes: { SentTimestamp: HOLES.sentTimestampMs, ApproximateReceiveCount: '1' },
    });
    this.#messageHoles = offsetsIn(this.#message);
  }

  of(messages: number): Buffer {
    const answer = Buffer.from(this.#templateFor(messages));
    const handedOutAtNs = process.hrtime.bigint().toString().padStart(NANOSECONDS_DIGITS, '0');
    const sentTimestampMs = Date.now().toString();
    for (let index = 0; index < messages; index += 1) {
      const start = opening.length + index * (this.#message.length + 1);
      const number = (this.#messagesMade++).toString().padStart(NUMBER_DIGITS, '0');
      const fill = (hole: keyof Offsets, value: string) =>
        answer.write(value, start + this.#messageHoles[hole], 'latin1');
      this.#body.write(number, this.#bodyHoles.key, 'latin1');
      this.#body.write(handedOutAtNs, this.#bodyHoles.handedOutAtNs, 'latin1');
      fill('messageId', number.slice(-HOLES.messageId.length));
      fill('receiptHandle', number);
      fill('md5', hash('md5', this.#body, 'hex'));
      fill('key', number);
      fill('handedOutAtNs', handedOutAtNs);
      fill('sentTimestampMs', sentTimestampMs);
    }
    return answer;
  }

  #templateFor(messages: number): Buffer {
    const known = this.#templates.get(messages);
    if (known !== undefined) return known;
    const template = Buffer.from(`${opening}${new Array<string>(messages).fill(this.#message)}]}`);
    this.#templates.set(messages, template);
    return template;
  }
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

function bodyOf(bytes: number, key: string, handedOutAtNs: string): string {
  const of = (text: string) =>
    JSON.stringify({ schema: BENCH_SCHEMA, version: BENCH_VERSION, payload: { key, handedOutAtNs, text } });
  return of('x'.repeat(bytes - of('').length));
}

function offsetsIn(text: string): Offsets {
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
