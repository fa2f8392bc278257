/** Results for a person, in 80 columns: seen against target first, then where it comes from. */
import Table from 'cli-table3';
import { plainTableOptions } from '../local/screen.ts';
import type { Machine } from './machine.ts';
import { type CaseResult, type Detail, type Figure, isMet, number } from './result.ts';

const COLUMNS_MAX = 80;

export interface Bench {
  readonly command: string;
  readonly startedAt: string;
  readonly machine: Machine;
  readonly results: readonly CaseResult[];
}

export function print(bench: Bench, output: NodeJS.WritableStream): void {
  const { model, cores, memoryGigabytes, system, node, loadBefore } = bench.machine;
  const lines = [
    `${cores} cores of ${model}, ${memoryGigabytes} GB, ${system}, Node ${node}`,
    `${bench.startedAt}, load ${loadBefore.toFixed(1)} before; ${bench.command}`,
  ];
  output.write(`\n${lines.join('\n')}\n\n${figuresOf(bench.results)}\n`);
  for (const { name, conditions, details } of bench.results) {
    output.write(`\n${name}: ${wrapped(conditions.join(' '), name.length + 2)}\n`);
    for (const detail of details) output.write(`\n  ${detail.title}\n${tableOf(detail)}\n`);
  }
}

/** Broken before the last column, and indented by two from the second line on. */
function wrapped(text: string, columnsTaken: number): string {
  let column = columnsTaken;
  return text
    .split(' ')
    .map((word, index) => {
      const breaks = column + 1 + word.length > COLUMNS_MAX;
      column = breaks ? 2 + word.length : column + 1 + word.length;
      if (index === 0) return word;
      return breaks ? `\n  ${word}` : ` ${word}`;
    })
    .join('');
}

function figuresOf(results: readonly CaseResult[]): string {
  const figures = results.flatMap((result) => result.figures.map((figure) => ({ name: result.name, figure })));
  return tableOf({
    title: '',
    names: 2,
    head: ['', 'what', 'seen', 'target', ''],
    rows: figures.map(({ name, figure }) => [
      name,
      figure.what,
      withUnit(figure, figure.seen),
      `${figure.target.kind} ${withUnit({ ...figure, decimals: decimalsOf(figure.target.value) }, figure.target.value)}`,
      isMet(figure) ? 'met' : 'missed',
    ]),
  });
}

function withUnit({ decimals, unit }: Figure, value: number): string {
  return `${number(value, decimals)}${unit}`;
}

function decimalsOf(value: number): number {
  return String(value).split('.')[1]?.length ?? 0;
}

/** The columns that name are read as text, all others against each other. */
function tableOf({ head, rows, names = 1 }: Detail): string {
  const table = new Table(
    plainTableOptions(
      [...head],
      head.map((_, index) => (index < names ? 'left' : 'right')),
    ),
  );
  for (const row of rows) table.push([...row]);
  return table.toString();
}
