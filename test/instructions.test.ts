/** What README and the commands' help tell people to type: it has to work as it stands there. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const inRepository = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const textOf = (path: string) => readFileSync(inRepository(path), 'utf8');

describe('what people are told to type', () => {
  // npm writes the name of the script to standard output first, which is no JSON.
  test('keeps npm quiet where JSON is asked for', () => {
    const told = ['README.md', 'bin/commands.ts', 'bench/bench.ts', 'test/prove/prove.ts'].flatMap((path) =>
      [...textOf(path).matchAll(/npm run [^`\n\\]*--json/g)].map(([command]) => command),
    );
    expect(told.length).toBeGreaterThan(2);
    expect(told.filter((command) => !command.startsWith('npm run -s '))).toEqual([]);
  });

  test('names the file that says which table proves what', () => {
    const told = /which table\s+proves\s+what\s+[\w\s]+\s+is in\s+`([\w/.-]+)`/.exec(textOf('README.md'));
    expect(textOf(told![1]!)).toContain('const STORED_ROWS');
  });
});
