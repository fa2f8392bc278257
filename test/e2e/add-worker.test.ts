/** `sluice add worker`, for real: in a copy of this tree, which is then what the README promises. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, globSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { stageNames } from '../../lib/config.ts';
import { workloadNames } from '../../lib/workloads.ts';
import { temporaryFolder } from '../local/machine/machine.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['bin', 'docs', 'lib', 'local', 'producer', 'scaffold', 'workers', 'test', 'data'];
const FILES = [
  '.gitignore',
  'biome.json',
  'cdk.json',
  'jest.config.mjs',
  'package-lock.json',
  'package.json',
  'tsconfig.json',
];
/** Two syntheses, a type check and two workers with their servers, on a machine that is busy. */
const TIMEOUT_MS = 600_000;

let tree: string;
beforeEach(async () => {
  tree = realpathSync(await temporaryFolder());
  for (const name of [...COPIED, ...FILES]) cpSync(join(repository, name), join(tree, name), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(tree, 'node_modules'));
});

async function run(args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, args, { cwd: tree, env: { PATH, HOME }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.once('close', (status) => resolve({ status, output }));
  });
}

const addWorker = (...args: string[]) => run(['bin/sluice.ts', 'add', 'worker', ...args]);
const jest = (...args: string[]) =>
  run(['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js', ...args]);
const textOf = (path: string) => readFileSync(join(tree, path), 'utf8');
const snapshots = () => textOf('test/lib/__snapshots__/app.test.ts.snap');
const pathsIn = () => globSync('{lib,workers,test}/**', { cwd: tree }).sort();

describe('a worker that was added', () => {
  test(
    'passes types, lint and its test and is in the snapshots, beside another of the other kind',
    async () => {
      const numbers = globSync('workers/store/migrations/*.sql', { cwd: tree }).map((path) =>
        Number.parseInt(path.split('/').at(-1)!, 10),
      );
      const next = String(Math.max(...numbers) + 1).padStart(3, '0');
      const first = await addWorker('return-labels', '--fifo', '--no-snapshots');
      expect(first).toEqual({ status: 0, output: expect.stringContaining('Added the worker return-labels') });
      expect(first.output.split('\n').filter((line) => line.length > 80 && !line.includes('npm run'))).toEqual([]);
      expect(existsSync(join(tree, `workers/store/migrations/${next}_return_labels.sql`))).toBe(true);
      expect(await addWorker('parcels')).toMatchObject({ status: 0 });

      // All that was written and all that it uses; the CDK's types, which are most of a type check, are not among it.
      const include = ['lib/config.ts', 'workers/**/*', 'test/workers/return-labels/*', 'test/workers/parcels/*'];
      writeFileSync(join(tree, 'tsconfig.added.json'), JSON.stringify({ extends: './tsconfig.json', include }));
      expect(await run(['node_modules/.bin/tsc', '-p', 'tsconfig.added.json'])).toEqual({ status: 0, output: '' });
      const linted = await run(['node_modules/@biomejs/biome/bin/biome', 'check', 'lib', 'workers', 'test/workers']);
      expect(linted).toMatchObject({ status: 0 });
      expect(textOf('docs/stages.md')).toContain(`| dashboard | ${workloadNames.length + 2}: `);
      for (const name of ['return-labels', 'parcels']) {
        for (const stage of stageNames) expect(snapshots()).toContain(`"sluice-${stage}-${name}`);
      }
      const tested = await jest('--ci', '-i', 'test/workers/return-labels', 'test/workers/parcels', 'test/lib/config');
      expect(tested).toEqual({ status: 0, output: expect.stringContaining('Test Suites: 3 passed') });
    },
    TIMEOUT_MS,
  );
});

describe('nothing is written of a worker', () => {
  test('that is only looked at, whose folder is there, or whose place in the list is not found', async () => {
    const [before, list] = [pathsIn(), textOf('lib/workloads.ts')];
    expect(await addWorker('parcels', '--dry-run')).toMatchObject({ status: 0 });
    expect(await addWorker('runtime')).toEqual({
      status: 3,
      output: expect.stringContaining('workers/runtime is there already; choose another name'),
    });
    writeFileSync(join(tree, 'lib/workloads.ts'), list.replace('} as const satisfies', '} satisfies'));
    expect(await addWorker('parcels')).toEqual({
      status: 3,
      output: expect.stringContaining('lib/workloads.ts has not exactly one line'),
    });
    writeFileSync(join(tree, 'lib/workloads.ts'), list);
    expect(pathsIn()).toEqual(before);
  });

  test('that a stage has no room for, and the sentence says what is short', async () => {
    const small = textOf('lib/config.ts').replace(/(smallDevFleet[^}]*maximum: )1,/s, '$180,');
    writeFileSync(join(tree, 'lib/config.ts'), small);
    const [before, list] = [pathsIn(), textOf('lib/workloads.ts')];
    expect(await addWorker('parcels')).toEqual({
      status: 3,
      output: expect.stringMatching(
        /left the tree as it was: .*stage dev: database\.instanceClass is "db\.t4g\.micro"/s,
      ),
    });
    expect(pathsIn()).toEqual(before);
    expect(textOf('lib/workloads.ts')).toBe(list);
  });
});
