/**
 * What a person sees of a run: lines that stay, and on a terminal a block below them that is drawn anew.
 *
 * Elsewhere the block becomes a plain line every few seconds. Colour only on a terminal.
 */
import Table from 'cli-table3';
import { createLogUpdate } from 'log-update';
import pc from 'picocolors';
import { isExact, type QueueBalance } from './balance.ts';
import type { Sample } from './monitor.ts';

const PLAIN_LINE_EVERY_MS = 5_000;

export interface SendingState {
  readonly accepted: number;
  readonly total: number;
  readonly seconds: number;
}

export class Screen {
  readonly #stream: NodeJS.WriteStream;
  readonly #colour: ReturnType<typeof pc.createColors>;
  readonly #block: ReturnType<typeof createLogUpdate>;
  #plainLineAtMs = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#colour = pc.createColors(stream.isTTY === true && process.env.NO_COLOR === undefined);
    this.#block = createLogUpdate(stream, { showCursor: true });
  }

  line(text = ''): void {
    if (this.#stream.isTTY) this.#block.clear();
    this.#stream.write(`${text}\n`);
  }

  warn(text: string): void {
    this.line(this.#colour.yellow(text));
  }

  show(sample: Sample, sending: SendingState | undefined): void {
    if (this.#stream.isTTY) {
      this.#block([...(sending === undefined ? [] : [sendingLine(sending)]), this.#depths(sample)].join('\n\n'));
    } else if (performance.now() - this.#plainLineAtMs >= PLAIN_LINE_EVERY_MS) {
      this.#plainLineAtMs = performance.now();
      this.line(plainLine(sample, sending));
    }
  }

  /** Keeps the block where it is and goes on below it. */
  settle(): void {
    if (this.#stream.isTTY) this.#block.done();
  }

  balance(balances: readonly QueueBalance[], summary: string): void {
    this.settle();
    // Left out where it has nothing to say, which keeps the table within 80 columns.
    const waits = balances.some(({ waiting }) => waiting > 0) ? ['waiting'] : [];
    const table = plainTable([
      'queue',
      'sent',
      'stored',
      'rejected',
      'suppressed',
      'dead',
      ...waits,
      'lost',
      'twice',
      'out of order',
    ]);
    for (const balance of balances) {
      const { queue, sent, stored, rejected, suppressed, dead, waiting, lost, storedTwice, outOfOrder } = balance;
      const numbers = [sent, stored, rejected, suppressed, dead, ...waits.map(() => waiting), lost, storedTwice];
      table.push([queue, ...numbers.map(number), outOfOrder === undefined ? '-' : number(outOfOrder)]);
    }
    this.line(`\nBalance\n${table.toString()}`);
    for (const { queue, reasons, lostOrders } of balances) {
      for (const { reason, count, orderIds } of reasons) {
        const more = count > orderIds.length ? ', …' : '';
        this.line(`  ${queue} rejected ${number(count)} × ${reason} (${orderIds.join(', ')}${more})`);
      }
      if (lostOrders.length > 0) this.line(this.#colour.red(`  ${queue} lost ${lostOrders.join(', ')}, …`));
    }
    const exact = balances.every(isExact);
    const waiting = balances.reduce((sum, balance) => sum + balance.waiting, 0);
    const verdict = exact ? this.#colour.green('exact ✓') : this.#colour.red('not exact ✗');
    const left = waiting === 0 ? '' : `, with ${number(waiting)} still waiting`;
    this.line(`  ${verdict}${left}  ${summary}`);
  }

  #depths({ queues, databaseAwaySeconds }: Sample): string {
    const table = plainTable(['queue', 'visible', 'in flight', 'dead', 'workers', 'received', 'stored']);
    for (const { name, visible, inFlight, delayed, dead, workers, received, stored } of queues) {
      const counts = [visible + delayed, inFlight, dead, workers, received].map(number);
      table.push([name, ...counts, stored === undefined ? '?' : number(stored)]);
    }
    const away =
      databaseAwaySeconds === undefined
        ? ''
        : this.#colour.yellow(`\n  database away since ${databaseAwaySeconds.toFixed(0)} s, receiving paused`);
    return `${table.toString()}${away}`;
  }
}

export function number(value: number): string {
  return value.toLocaleString('en-GB');
}

function sendingLine({ accepted, total, seconds }: SendingState): string {
  const share = total === 0 ? 1 : accepted / total;
  const rate = seconds > 0 ? accepted / seconds : 0;
  const left = rate > 0 && accepted < total ? `  ${Math.ceil((total - accepted) / rate)} s left` : '';
  const width = 36;
  const full = Math.round(share * width);
  const bar = '█'.repeat(full) + '░'.repeat(width - full);
  return `  ${bar} ${(share * 100).toFixed(0).padStart(3)} %  ${number(accepted)} of ${number(total)} messages  ${number(Math.round(rate))}/s${left}`;
}

function plainLine({ queues, databaseAwaySeconds }: Sample, sending: SendingState | undefined): string {
  const sent = sending === undefined ? '' : `sent ${number(sending.accepted)} of ${number(sending.total)}; `;
  const depths = queues.map(
    ({ name, visible, inFlight, delayed, dead, stored }) =>
      `${name} ${number(visible + delayed)} visible, ${number(inFlight)} in flight, ${number(dead)} dead, ${stored === undefined ? '?' : number(stored)} stored`,
  );
  const away = databaseAwaySeconds === undefined ? '' : `; database away since ${databaseAwaySeconds.toFixed(0)} s`;
  return `  ${sent}${depths.join('; ')}${away}`;
}

/** Aligned columns without lines; numbers to the right. */
export function plainTableOptions(head: string[], colAligns: ('left' | 'right')[]): Table.TableConstructorOptions {
  const unseen = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'];
  const inside = ['left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
  return {
    head,
    colAligns,
    chars: { ...Object.fromEntries([...unseen, ...inside].map((name) => [name, ''])), left: '  ', middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  };
}

function plainTable(head: string[]): Table.Table {
  return new Table(
    plainTableOptions(
      head,
      head.map((_, index) => (index === 0 ? 'left' : 'right')),
    ),
  );
}
