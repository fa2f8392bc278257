/** docs/traps.md names files that handle a trap and tests that prove it: both have to be there. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const inRepository = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const text = readFileSync(inRepository('docs/traps.md'), 'utf8');
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| trap'))
  .map((line) => line.slice(2, -2).split(' | '))
  .filter((cells) => cells.length === 4);
const namedTests = rows.flatMap(([trap, , , tests = '']) =>
  [...tests.matchAll(/`([\w/-]+)` \*(.+?)\*(?=; `|$)/g)].map(([, file, title]) => ({
    trap,
    file: `test/${file}.test.ts`,
    title: title!,
  })),
);
const namedFiles = rows.flatMap(([, , here = '']) =>
  [...here.matchAll(/`([\w/-]+\.(?:ts|sql))`/g)].map(([, file]) => file!),
);

describe('the list of traps', () => {
  test('has a test for every row', () => {
    expect(rows.length).toBeGreaterThan(80);
    const proved = new Set(namedTests.map(({ trap }) => trap));
    expect(rows.map(([trap]) => trap).filter((trap) => !proved.has(trap))).toEqual([]);
  });

  test('names tests that are there', () => {
    const missing = namedTests.filter(
      ({ file, title }) => !existsSync(inRepository(file)) || !readFileSync(inRepository(file), 'utf8').includes(title),
    );
    expect(missing).toEqual([]);
  });

  test('names files that are there', () => {
    const places = (file: string) => [`workers/runtime/${file}`, `workers/${file}`, file];
    expect(namedFiles.filter((file) => !places(file).some((place) => existsSync(inRepository(place))))).toEqual([]);
  });

  test('names decisions that are there', () => {
    const decisions = [...text.matchAll(/\((decisions\/[\w-]+\.md)\)/g)].map(([, path]) => `docs/${path}`);
    expect(decisions.length).toBeGreaterThan(5);
    expect(decisions.filter((path) => !existsSync(inRepository(path)))).toEqual([]);
  });
});
