import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { App, Stack } from 'aws-cdk-lib';
import { bundleWorker } from '../../../lib/constructs/worker-build.ts';
import { workerBundle } from '../../../lib/constructs/worker-bundle.ts';
import { workloadNames } from '../../../lib/workloads.ts';

const home = process.cwd();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

/** Bundles into a folder of its own and lists what is there, with a digest each. */
function bundled(entry: string): Map<string, string> {
  const output = mkdtempSync(join(folder, 'bundle-'));
  bundleWorker(entry, output);
  const files = readdirSync(output, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return new Map(
    files
      .map((file) => join(file.parentPath, file.name))
      .sort()
      .map((path) => [path.slice(output.length + 1), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
}

describe('the bundle of a worker', () => {
  test.each(workloadNames)(
    'of %s is its entry, what it shares with others, source maps and the migrations',
    (worker) => {
      const files = [...bundled(`workers/${worker}/main.ts`).keys()];
      const migrations = readdirSync('workers/store/migrations').map((name) => join('migrations', name));
      expect(files.filter((name) => name.startsWith('migrations'))).toEqual(migrations);
      const code = files.filter((name) => name.endsWith('.mjs'));
      expect(code.filter((name) => !name.startsWith('shared-'))).toEqual(['index.mjs']);
      expect(files.filter((name) => !code.includes(name) && !migrations.includes(name))).toEqual(
        code.map((name) => `${name}.map`),
      );
    },
  );

  test('leads back to the sources', () => {
    const output = mkdtempSync(join(folder, 'bundle-'));
    bundleWorker('test/lib/constructs/fixtures/throws.js', output);
    const { stderr } = spawnSync(process.execPath, ['--enable-source-maps', join(output, 'index.mjs')], {
      encoding: 'utf8',
    });
    expect(stderr).toMatch(/test\/lib\/constructs\/fixtures\/throws\.js:2/);
  });

  test('has the same bytes wherever it is built from and to', () => {
    const here = bundled('workers/orders/main.ts');
    process.chdir(folder);
    const elsewhere = bundled('workers/orders/main.ts');
    process.chdir(home);
    expect(elsewhere).toEqual(here);
  });

  test('is not shared by two entries of one folder', () => {
    const stack = new Stack(new App({ outdir: join(folder, 'app') }), 'bundles');
    const hashes = ['one', 'two'].map(
      (name) => workerBundle(stack, name, `test/lib/constructs/fixtures/${name}.js`).assetHash,
    );
    expect(hashes[0]).not.toBe(hashes[1]);
  });

  test('names its entry when there is no such file', () => {
    expect(() => bundleWorker('workers/nobody/main.ts', folder)).toThrow(
      'cannot bundle workers/nobody/main.ts: there is no such file',
    );
  });

  test('names the file, the line and the problem when the entry cannot be bundled', () => {
    expect(() => bundleWorker('test/lib/constructs/fixtures/broken.js', folder)).toThrow(
      /^cannot bundle test\/lib\/.*broken\.js: test\/lib\/.*broken\.js:2: Could not resolve "\.\/nothing\.js"$/,
    );
  });
});
