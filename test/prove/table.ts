/** The balances as a table: aligned, within 80 columns, without colour. */
import { number } from '../../local/screen.ts';
import type { FaultReport } from './fault-run.ts';

interface Column {
  /** Two lines, so that names may be longer than figures. */
  readonly head: readonly [string, string];
  readonly width: number;
  readonly cell: (report: FaultReport) => string;
}

const counted = (first: string, second: string, width: number, of: (report: FaultReport) => number): Column => ({
  head: [first, second],
  width,
  cell: (report) => number(of(report)),
});

const COLUMNS: readonly Column[] = [
  counted('', 'sent', 6, ({ sent }) => sent),
  counted('', 'stored', 6, ({ stored }) => stored),
  counted('re-', 'jected', 6, ({ rejected }) => rejected),
  counted('sup-', 'pressed', 7, ({ suppressed }) => suppressed),
  counted('', 'dead', 4, ({ dead }) => dead),
  counted('', 'lost', 4, ({ lost }) => lost),
  counted('', 'twice', 5, ({ storedTwice }) => storedTwice),
  counted('out of', 'order', 6, ({ outOfOrder }) => outOfOrder),
  counted('', 's', 3, ({ seconds }) => Math.round(seconds)),
  { head: ['', 'verdict'], width: 7, cell: ({ exact }) => (exact ? 'exact' : 'NOT') },
];
const NAME_WIDTH = 16;

export function balances(reports: readonly FaultReport[]): string {
  const head = ([0, 1] as const).map((index) => [
    (index === 1 ? 'fault' : '').padEnd(NAME_WIDTH),
    ...COLUMNS.map((column) => cell(column, column.head[index])),
  ]);
  const rows = reports.map((report) => [
    report.fault.padEnd(NAME_WIDTH),
    ...COLUMNS.map((column) => cell(column, column.cell(report))),
  ]);
  return [...head, ...rows].map((cells) => `${cells.join('').trimEnd()}\n`).join('');
}

/** The verdict, what was done, what is wrong, and where to look. */
export function remarks(report: FaultReport, kept: boolean): string[] {
  const { fault, exact, seconds, complaints, folder } = report;
  const done = Object.entries(report.done).map(([what, times]) => `${number(times)} × ${what}`);
  return [
    [`  ${fault}: ${exact ? 'exact' : 'NOT exact'} after ${Math.round(seconds)} s`, ...done].join(', '),
    ...complaints.map((complaint) => `  ${fault}: ${complaint}`),
    ...(kept ? [`  ${fault}: data and logs are left in ${folder}`] : []),
  ];
}

function cell({ width }: Column, text: string): string {
  return ` ${text.padStart(width)}`;
}
