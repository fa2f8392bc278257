/**
 * Text for a terminal of 80 columns, the least that one can count on.
 *
 * Holds always: no line is longer, unless a single word is, such as a path: that one stays whole, to be copied.
 */
import Table from 'cli-table3';
import wrapAnsi from 'wrap-ansi';

export const COLUMNS = 80;
const GAP = '  ';

/** Cut between words; what follows the first line is indented two columns more than it. */
export function wrapped(text: string): string {
  if (text.length <= COLUMNS) return text;
  const indent = text.slice(0, text.length - text.trimStart().length);
  return wrapAnsi(text.trimStart(), COLUMNS - indent.length - GAP.length)
    .split('\n')
    .map((line, index) => `${indent}${index === 0 ? '' : GAP}${line}`)
    .join('\n');
}

/** A name and what there is to say of it, beginning at the same column in every line. */
export function labelled(label: string, text: string): string {
  const indent = 14;
  const lines = text.split('\n').flatMap((line) => wrapAnsi(line, COLUMNS - indent).split('\n'));
  return lines.map((line, index) => (index === 0 ? `${GAP}${label}` : '').padEnd(indent) + line).join('\n');
}

export interface Column {
  /** May have more than one line. */
  readonly head: string;
  readonly align: 'left' | 'right';
  /** One per row. */
  readonly cells: readonly string[];
}

/** Aligned columns without lines. Those for which there is no room go below, with the first one before them again. */
export function table(columns: readonly Column[]): string {
  const [first, ...others] = columns;
  if (first === undefined) return '';
  const parts: Column[][] = [];
  for (const column of others) {
    const part = parts.at(-1);
    if (part !== undefined && widthOf([...part, column]) <= COLUMNS) part.push(column);
    else parts.push([first, column]);
  }
  return parts.map(oneTable).join('\n\n');
}

function widthOf(columns: readonly Column[]): number {
  const widths = columns.map(({ head, cells }) =>
    Math.max(...[...head.split('\n'), ...cells].map((text) => text.length)),
  );
  return widths.reduce((sum, width) => sum + GAP.length + width, 0);
}

function oneTable(columns: readonly Column[]): string {
  const headLines = Math.max(...columns.map(({ head }) => head.split('\n').length));
  const unseen = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'];
  const inside = ['left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
  const drawn = new Table({
    // The names stand on their numbers, however many lines another name takes.
    head: columns.map(({ head }) => '\n'.repeat(headLines - head.split('\n').length) + head),
    colAligns: columns.map(({ align }) => align),
    chars: { ...Object.fromEntries([...unseen, ...inside].map((name) => [name, ''])), left: GAP, middle: GAP },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of columns[0]?.cells.keys() ?? []) drawn.push(columns.map(({ cells }) => cells[row] ?? ''));
  return drawn.toString().replaceAll(/ +$/gm, '');
}
