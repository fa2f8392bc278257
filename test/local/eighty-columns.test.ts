/** Whatever the command prints is to be read on 80 columns, with real figures and with the largest. */
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { announcement, hints } from '../../local/announcement.ts';
import { NEEDS_AWS, RUN_HERE } from '../../local/assembly/resource-types.ts';
import type { QueueBalance } from '../../local/balance.ts';
import { wrapped } from '../../local/eighty-columns.ts';
import type { QueueSample, Sample } from '../../local/monitor.ts';
import { resourceTables } from '../../local/resources.ts';
import { numberOf, Screen, type ScreenProgress } from '../../local/screen.ts';

const MILLION = 1_000_000;

const sending: ScreenProgress = { verb: 'sent', done: MILLION, total: 2 * MILLION, unit: 'messages', seconds: 90 };

const queue: QueueSample = {
  name: 'orders',
  visible: 0,
  inFlight: 2,
  delayed: 0,
  dead: 0,
  workers: 1,
  received: 61,
  stored: 59,
};

const balance: QueueBalance = {
  queue: 'orders',
  sent: 61,
  stored: 59,
  suppressed: 0,
  rejected: 2,
  dead: 0,
  waiting: 0,
  lost: 0,
  storedTwice: 0,
  outOfOrder: undefined,
  reasons: [],
  deadReasons: [],
  lostOrders: [],
  storedUnsent: 0,
};

/** What a screen writes to a terminal, or to a file. The terminal is wide, so that it cuts nothing by itself. */
function written(isTTY: boolean, write: (screen: Screen) => void): string {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 1_000, rows: 100 });
  write(new Screen(stream));
  return stripVTControlCharacters(String(stream.read() ?? ''));
}

function onTerminal(sample: Partial<Sample>): string {
  return written(true, (screen) =>
    screen.show({ queues: [queue], waits: [], databaseAwaySeconds: undefined, ...sample }, sending),
  );
}

function balanced(...balances: QueueBalance[]): string {
  return written(false, (screen) => screen.balance(balances, '4.2 s · 0.50 SQS requests a message'));
}

function tooLong(text: string): string[] {
  return text.split('\n').filter((line) => line.length > 80);
}

const everyWait = [
  { queue: 'orders', reason: 'version 2 is newer than this worker', messages: 2, nextSeconds: 299.2 },
  { queue: 'orders', reason: `refused: ${'words '.repeat(32)}`.trim(), messages: MILLION, nextSeconds: 3_600 },
];

describe('the live screen', () => {
  test('says why messages wait to come again, and for how long', () => {
    expect(onTerminal({ waits: everyWait.slice(0, 1) })).toMatch(
      /\n {2}orders: 2 messages wait to come again: version 2 is newer than this worker\n {4}\(next in 300 s\)\n/,
    );
    const [first] = everyWait;
    expect(onTerminal({ waits: [{ ...first!, reason: 'deadlock', messages: 1 }] })).toContain(
      '  orders: 1 message waits to come again: deadlock (next in 300 s)\n',
    );
  });

  test('has a column for what is delayed when something is, and never counts it as visible', () => {
    expect(onTerminal({})).not.toContain('delayed');
    const shown = onTerminal({ queues: [{ ...queue, visible: 3, delayed: 5 }] });
    expect(shown).toMatch(/queue +visible +in flight +delayed +dead/);
    expect(shown).toMatch(/orders +3 +2 +5 +0/);
  });

  test('keeps to 80 columns with a million in every column', () => {
    const numbers = { visible: MILLION, inFlight: MILLION, delayed: MILLION, dead: MILLION, received: MILLION };
    const shown = onTerminal({
      queues: [{ ...queue, ...numbers, stored: MILLION }],
      waits: everyWait,
      databaseAwaySeconds: 17,
    });
    expect(shown).toMatch(/database away since 17 s/);
    expect(tooLong(shown)).toEqual([]);
  });

  test('shows how far a file has been read once that takes its time', () => {
    const reading: ScreenProgress = { verb: 'read', done: 1_836, total: 6_001, unit: 'kB', seconds: 0.5 };
    expect(written(true, (screen) => screen.reading(reading))).toBe('');
    expect(written(true, (screen) => screen.reading({ ...reading, seconds: 2 }))).toMatch(
      /█░.* 31 % {2}1,836 of 6,001 kB {2}918\/s {2}5 s left/,
    );
  });
});

describe('the balance', () => {
  test('keeps to 80 columns as it is after the whole sample file, with messages waiting and dead', () => {
    const shown = balanced(
      { ...balance, sent: 21_423, stored: 21_400, suppressed: 12_000, waiting: 21 },
      { ...balance, queue: 'ledger', sent: 18_183, stored: 18_183, dead: 1, outOfOrder: 0 },
    );
    expect(tooLong(shown)).toEqual([]);
    expect(shown).toMatch(/ledger +18,183 +18,183/);
  });

  test('puts the columns for which there is no room below, with the queue before them again', () => {
    const millions = { sent: MILLION, stored: MILLION, rejected: MILLION, suppressed: MILLION, dead: MILLION };
    const shown = balanced({ ...balance, ...millions, waiting: MILLION, lost: MILLION, storedTwice: MILLION });
    expect(tooLong(shown)).toEqual([]);
    expect(shown.match(/^ {2}orders +[\d-]/gm)).toHaveLength(2);
    expect(shown.match(/1,000,000/g)).toHaveLength(9);
  });

  test('wraps a reason between words, and orders too', () => {
    const orderIds = ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(30));
    const reason = 'words '.repeat(33).trim();
    const shown = balanced({ ...balance, reasons: [{ reason, count: MILLION, orderIds }], lostOrders: orderIds });
    expect(tooLong(shown)).toEqual([]);
  });
});

test('the list of resources keeps to 80 columns with every type that there is', () => {
  const every = [RUN_HERE, NEEDS_AWS].flatMap((meanings) =>
    Object.entries(meanings).map(([type, meaning]) => ({ type, count: 100, runsHere: meanings === RUN_HERE, meaning })),
  );
  const shown = resourceTables(every);
  expect(every.filter(({ type }) => !shown.includes(type))).toEqual([]);
  expect(tooLong(shown)).toEqual([]);
  expect(shown.match(/^ {2}type /gm)).toHaveLength(2);
});

test('what is told when a run stands keeps to 80 columns', () => {
  const queues = ['sluice-prod-orders', 'sluice-prod-ledger.fifo', 'sluice-prod-returns'].map((name) => ({
    name,
    attributes: {},
    fifo: false,
    deadLetterQueueName: `${name}-dlq`,
  }));
  const fleets = ['orders', 'ledger', 'returns', 'invoices'].map((name) => ({
    name,
    entryPath: '/main.mjs',
    environment: {},
    minimum: 10,
    maximum: 100,
  }));
  const shown = announcement({
    stage: 'prod',
    system: { queues, fleets },
    resources: [{ type: 'AWS::SQS::Queue', count: 1_000, runsHere: true, meaning: '' }],
    sqsEndpoint: 'http://127.0.0.1:65535',
    postgres: { url: 'postgres://sluice:0123456789abcdef@127.0.0.1:65535/sluice?sslmode=disable', pid: 4_194_303 },
    migrated: 'migrated to 003_ledger',
    workers: [10, 10, 10, 10],
    logs: '/tmp/sluice-1000/run-13c5ef392a26/logs/*.log',
  });
  expect(tooLong(shown)).toEqual([]);
  expect(shown.split('\n').filter((line) => line !== line.trimEnd())).toEqual([]);
});

test('what is there to try keeps to 80 columns', () => {
  expect(tooLong(hints({ pid: 4_194_303 }, [{ name: 'returns', pids: [4_194_303] }]))).toEqual([]);
});

test('a word that is longer than a line stays whole, to be copied', () => {
  const path = `/${'folder/'.repeat(12)}orders.csv`;
  expect(wrapped(`  Sending 61 orders of ${path}`)).toBe(`  Sending 61 orders of\n    ${path}`);
});

test.each([
  [0, '0 messages'],
  [1, '1 message'],
  [1_001, '1,001 messages'],
])('of %d messages is written %s', (count, text) => {
  expect(numberOf(count, 'message')).toBe(text);
});
