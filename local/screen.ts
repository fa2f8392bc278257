/**
 * What a person sees of a run: lines that stay, and on a terminal a block below them that is drawn anew.
 *
 * Elsewhere the block becomes a plain line every few seconds. Colour only on a terminal.
 */
import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import type { ProgressStream } from '../producer/progress.ts';
import { isExact, type QueueBalance, type RejectionCount } from './balance.ts';
import { COLUMNS, type Column, table, wrapped } from './eighty-columns.ts';
import type { QueueSample, QueueWait, Sample } from './monitor.ts';

/** For logs: soon enough to see that it lives, seldom enough to read. */
const PLAIN_FIRST_MS = 2_000;
const PLAIN_EVERY_MS = 5_000;
/** Faster than the eye wants it costs more than it tells. */
const FRAME_EVERY_MS = 100;
/** What is done sooner than this needs no progress. */
const READING_SECONDS_MIN = 1;
const BAR_COLUMNS = { min: 10, max: 36 };

/** How far something has come. */
export interface ScreenProgress {
  readonly verb: 'read' | 'sent';
  readonly done: number;
  readonly total: number;
  /** What is counted, such as `messages`. */
  readonly unit: string;
  readonly seconds: number;
}

export class Screen {
  readonly #stream: ProgressStream;
  readonly #colour: ReturnType<typeof pc.createColors>;
  readonly #block: ReturnType<typeof createLogUpdate>;
  #nextFrameMs = 0;
  #nextPlainMs = performance.now() + PLAIN_FIRST_MS;

  constructor(stream: ProgressStream) {
    this.#stream = stream;
    this.#colour = pc.createColors(stream.isTTY === true && process.env.NO_COLOR === undefined);
    this.#block = createLogUpdate(stream, { showCursor: true });
  }

  line(text = ''): void {
    if (this.#stream.isTTY) this.#block.clear();
    this.#stream.write(`${text}\n`);
  }

  warn(text: string): void {
    this.line(this.#colour.yellow(wrapped(text)));
  }

  /** The file is being read; nothing is to be seen of one that is read at once. */
  reading(progress: ScreenProgress): void {
    if (progress.seconds < READING_SECONDS_MIN) return;
    this.#draw(
      () => barLine(progress),
      () => progressLine(progress),
    );
  }

  show(sample: Sample, sending: ScreenProgress): void {
    const notes = notesOf(sample);
    const coloured = notes.length === 0 ? [] : [this.#colour.yellow(notes.join('\n'))];
    this.#draw(
      () => [barLine(sending), '', depthTable(sample), ...coloured].join('\n'),
      () => [progressLine(sending), ...sample.queues.map(depthLine), ...notes].join('\n'),
    );
  }

  #draw(block: () => string, plain: () => string): void {
    const nowMs = performance.now();
    if (this.#stream.isTTY && nowMs >= this.#nextFrameMs) {
      this.#nextFrameMs = nowMs + FRAME_EVERY_MS;
      this.#block(block());
    } else if (!this.#stream.isTTY && nowMs >= this.#nextPlainMs) {
      this.#nextPlainMs = nowMs + PLAIN_EVERY_MS;
      this.line(plain());
    }
  }

  /** Keeps the block where it is and goes on below it. */
  settle(): void {
    if (this.#stream.isTTY) this.#block.done();
  }

  balance(balances: readonly QueueBalance[], summary: string): void {
    this.settle();
    this.line(`\nBalance\n${balanceTable(balances)}`);
    for (const { queue, reasons, deadReasons, lostOrders, storedUnsent } of balances) {
      for (const counted of reasons) this.line(wrapped(`  ${queue} rejected ${counts(counted)}`));
      for (const counted of deadReasons) this.line(this.#colour.red(wrapped(`  ${queue} dead ${counts(counted)}`)));
      if (lostOrders.length > 0) this.line(this.#colour.red(wrapped(`  ${queue} lost ${lostOrders.join(', ')}, …`)));
      if (storedUnsent > 0) this.line(wrapped(`  ${queue} stored ${number(storedUnsent)} more, which others sent`));
    }
    const exact = balances.every(isExact);
    const waiting = balances.reduce((sum, balance) => sum + balance.waiting, 0);
    const verdict = exact ? this.#colour.green('exact ✓') : this.#colour.red('not exact ✗');
    const left = waiting === 0 ? '' : `, with ${number(waiting)} still waiting`;
    this.line(`  ${verdict}${left}  ${summary}`);
  }
}

function counts({ reason, count, orderIds }: RejectionCount): string {
  const more = count > orderIds.length ? ', …' : '';
  return `${number(count)} × ${reason} (${orderIds.join(', ')}${more})`;
}

export function number(value: number): string {
  return value.toLocaleString('en-GB');
}

/** With the noun in its right number: 1 message, 2 messages. */
export function numberOf(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}

function balanceTable(balances: readonly QueueBalance[]): string {
  const column = (head: string, value: (balance: QueueBalance) => number | undefined): Column => ({
    head,
    align: 'right',
    cells: balances.map((balance) => {
      const cell = value(balance);
      return cell === undefined ? '-' : number(cell);
    }),
  });
  return table([
    { head: 'queue', align: 'left', cells: balances.map(({ queue }) => queue) },
    column('sent', ({ sent }) => sent),
    column('stored', ({ stored }) => stored),
    column('rejected', ({ rejected }) => rejected),
    column('suppressed', ({ suppressed }) => suppressed),
    column('dead', ({ dead }) => dead),
    // Left out where it has nothing to say.
    ...(balances.some(({ waiting }) => waiting > 0) ? [column('waiting', ({ waiting }) => waiting)] : []),
    column('lost', ({ lost }) => lost),
    column('twice', ({ storedTwice }) => storedTwice),
    column('out of\norder', ({ outOfOrder }) => outOfOrder),
  ]);
}

function depthTable({ queues }: Sample): string {
  const column = (head: string, value: (queue: QueueSample) => string): Column => ({
    head,
    align: 'right',
    cells: queues.map(value),
  });
  return table([
    { head: 'queue', align: 'left', cells: queues.map(({ name }) => name) },
    column('visible', ({ visible }) => number(visible)),
    column('in flight', ({ inFlight }) => number(inFlight)),
    // Left out where it has nothing to say: nothing here sends with a delay.
    ...(queues.some(({ delayed }) => delayed > 0) ? [column('delayed', ({ delayed }) => number(delayed))] : []),
    column('dead', ({ dead }) => number(dead)),
    column('workers', ({ workers }) => number(workers)),
    column('received', ({ received }) => number(received)),
    column('stored', storedOf),
  ]);
}

function depthLine(queue: QueueSample): string {
  const { name, visible, inFlight, delayed, dead } = queue;
  const depths = [
    `${number(visible)} visible`,
    `${number(inFlight)} in flight`,
    ...(delayed > 0 ? [`${number(delayed)} delayed`] : []),
    `${number(dead)} dead`,
    `${storedOf(queue)} stored`,
  ];
  return wrapped(`  ${name}: ${depths.join(', ')}`);
}

/** The database may be away. */
function storedOf({ stored }: QueueSample): string {
  return stored === undefined ? '?' : number(stored);
}

/** What keeps messages from being stored. */
function notesOf({ waits, databaseAwaySeconds }: Sample): string[] {
  const away =
    databaseAwaySeconds === undefined
      ? []
      : [`  database away since ${databaseAwaySeconds.toFixed(0)} s, receiving paused`];
  return [...waits.map(waitLine), ...away];
}

function waitLine({ queue, reason, messages, nextSeconds }: QueueWait): string {
  const waiting = numberOf(messages, 'message waits', 'messages wait');
  const next = `next in ${number(Math.ceil(nextSeconds))} s`;
  return wrapped(`  ${queue}: ${waiting} to come again: ${reason} (${next})`);
}

function barLine(progress: ScreenProgress): string {
  const { done, total, unit } = progress;
  const share = total === 0 ? 1 : done / total;
  const { rate, left } = pace(progress);
  const text = [`${number(done)} of ${number(total)} ${unit}`, rate, ...left].join('  ');
  const percent = ` ${(share * 100).toFixed(0).padStart(3)} %  `;
  const room = COLUMNS - '  '.length - percent.length - text.length;
  const width = Math.max(BAR_COLUMNS.min, Math.min(BAR_COLUMNS.max, room));
  const full = Math.round(share * width);
  return `  ${'█'.repeat(full)}${'░'.repeat(width - full)}${percent}${text}`;
}

function progressLine(progress: ScreenProgress): string {
  const { verb, done, total, unit } = progress;
  const { rate, left } = pace(progress);
  return `  ${[`${verb} ${number(done)} of ${number(total)} ${unit}`, rate, ...left].join(', ')}`;
}

function pace({ done, total, seconds }: ScreenProgress): { rate: string; left: string[] } {
  const rate = seconds > 0 ? done / seconds : 0;
  const left = rate > 0 && done < total ? [`${number(Math.ceil((total - done) / rate))} s left`] : [];
  return { rate: `${number(Math.round(rate))}/s`, left };
}
