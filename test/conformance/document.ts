/** The part of docs/conformance.md that is made of the suite and of the known differences. */
import { readFileSync, writeFileSync } from 'node:fs';
import { AWS_PAGES, type ConformanceCase } from './case.ts';
import { CASES } from './cases.ts';
import { EMBEDDED_SERVER_DIFFERENCES } from './known-differences.ts';

const DOCUMENT = new URL('../../docs/conformance.md', import.meta.url);
const BEGIN = '<!-- made by `npm run conformance -- --document` -->';
const END = '<!-- end -->';

export function writeDocument(): void {
  writeFileSync(DOCUMENT, documentAsItShouldBe());
}

export function documentAsItIs(): string {
  return readFileSync(DOCUMENT, 'utf8');
}

/** The text around the marks is a person's. @throws Error when a mark is missing. */
export function documentAsItShouldBe(): string {
  const text = documentAsItIs();
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) {
    throw new Error(`docs/conformance.md has lost its marks; put "${BEGIN}" and "${END}" around the table.`);
  }
  return `${text.slice(0, begin)}${BEGIN}\n\n${table()}\n\n${differences()}\n\n${pages()}\n\n${text.slice(end)}`;
}

function table(): string {
  const rows = CASES.map((each) => {
    return `| ${each.name} | ${each.behaviour} | [${each.page}] | ${modelVerdict(each)} | ${serverVerdict(each)} |`;
  });
  return ['| case | behaviour | AWS page | model | embedded server |', '| --- | --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

function differences(): string {
  const items = CASES.flatMap(({ name }) => {
    const known = EMBEDDED_SERVER_DIFFERENCES[name];
    return known === undefined
      ? []
      : [`- **${name}**: ${known.instead} ${known.reason} *Why it does not matter:* ${known.leansNot}`];
  });
  return ['## What the embedded server does otherwise, and why nothing leans on it', '', ...items].join('\n');
}

function pages(): string {
  const quoted = new Set(CASES.map(({ page }) => page));
  return [...quoted].map((page) => `[${page}]: ${AWS_PAGES[page]}`).join('\n');
}

function modelVerdict({ notInModel }: ConformanceCase): string {
  return notInModel === undefined ? 'conforms' : 'not asked';
}

function serverVerdict({ name, isLong }: ConformanceCase): string {
  const verdict = name in EMBEDDED_SERVER_DIFFERENCES ? '**differs**' : 'conforms';
  return isLong === true ? `${verdict} (long)` : verdict;
}
