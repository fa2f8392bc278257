/** Results for a person, in 80 columns: seen against target first, then where it comes from. */
import { table, wrapped } from '../local/eighty-columns.ts';
import type { Machine } from './machine.ts';
import { type CaseResult, type Detail, type Figure, isMet, number } from './result.ts';

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
    output.write(`\n${wrapped(`${name}: ${conditions.join(' ')}`)}\n`);
    for (const detail of details) output.write(`\n  ${detail.title}\n${tableOf(detail)}\n`);
  }
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
  return table(
    head.map((name, index) => ({
      head: name,
      align: index < names ? 'left' : 'right',
      cells: rows.map((row) => row[index] ?? ''),
    })),
  );
}
