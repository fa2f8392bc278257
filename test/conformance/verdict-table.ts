/** The verdicts as a table of 80 columns, and under it what is seen in place of the behaviours. */
import { NAME_LENGTH_MAX } from './case.ts';
import { CASES } from './cases.ts';
import type { Verdicts } from './run-suite.ts';

const COLUMNS_MAX = 80;
/** What a server says can have no spaces: it is cut. */
const LONG_WORD = /\S{70}/g;
const VERDICT_LENGTH_MAX = 'conforms'.length;

export interface VerdictColumn {
  readonly title: string;
  readonly verdicts: Verdicts;
}

export function verdictTable(columns: readonly VerdictColumn[]): string {
  const row = (name: string, cells: readonly string[]) =>
    `  ${name.padEnd(NAME_LENGTH_MAX)}${cells.map((cell) => `  ${cell.padEnd(VERDICT_LENGTH_MAX)}`).join('')}`.trimEnd();
  const titles = columns.map(({ title }) => title);
  const rows = CASES.map((each) =>
    row(
      each.name,
      columns.map(({ verdicts }) => verdicts.get(each)?.name ?? ''),
    ),
  );
  return ['', row('case', titles), ...rows, '', ...columns.flatMap(notes), ...columns.map(totals)].join('\n');
}

function notes({ title, verdicts }: VerdictColumn): string[] {
  return [...verdicts].flatMap(([{ name, behaviour }, verdict]) =>
    verdict.name === 'differs'
      ? [...wrapped(`${title} · ${name}`, 2), ...wrapped(behaviour, 4), ...wrapped(`Here: ${verdict.instead}.`, 4), '']
      : [],
  );
}

function totals({ title, verdicts }: VerdictColumn): string {
  const names = [...verdicts.values()].map(({ name }) => name);
  const count = (wanted: string) => names.filter((name) => name === wanted).length;
  return `  ${title}: ${count('conforms')} conform, ${count('differs')} differ, ${count('not run')} not run`;
}

function wrapped(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.replaceAll(LONG_WORD, '$& ').split(/\s+/)) {
    if (line.length > 0 && indent + line.length + 1 + word.length > COLUMNS_MAX) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line].map((each) => ' '.repeat(indent) + each);
}
