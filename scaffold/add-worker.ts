/**
 * `sluice add worker`: a queue, a fleet, a worker with its message and its write, a migration and a test, in the tree.
 *
 *   is it a tree, and clean? → the files of the sample worker, renamed → one line in lib/workloads.ts
 *   → biome formats → every stage still valid? → the templates' snapshots, and what a stage costs in its document
 *
 * Holds always: all of it is written or nothing is, except when it is killed (SIGKILL), of which written-paths.ts tells
 * how to take it back; no file that was there is overwritten, and those that are edited are put back when anything
 * fails. Everything else in the tree follows from the list of workloads.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { workerEntry } from '../lib/workloads.ts';
import { lastLines, runTool, type ToolEnd } from './tools.ts';
import { TreeChange } from './tree-change.ts';
import { folderProblem, renamed } from './worker-names.ts';
import { MIGRATIONS_FOLDER, SNAPSHOT_FILE, STAGES_FILE, snakeCase, WORKLOADS_FILE } from './written-paths.ts';

/** What follows the last workload of the list. */
const LIST_END = '} as const satisfies Record<string, Workload>;';
const SNAPSHOT_TEST = 'test/lib/app.test.ts';
const SNAPSHOT_TEST_NAME = 'as it was last agreed';
const STAGES_WRITER = 'test/lib/write-stage-documents.ts';
const BIOME = 'node_modules/@biomejs/biome/bin/biome';
const JEST = 'node_modules/jest/bin/jest.js';
const MIGRATION_DIGITS = 3;

export interface AddWorkerOptions {
  /** A name that `nameProblem` has nothing against. */
  readonly name: string;
  readonly fifo: boolean;
  /** Tells what would be written, and writes nothing. */
  readonly dryRun: boolean;
  /** Goes on where there are changes that are not committed. */
  readonly allowDirty: boolean;
  /** Whether the snapshots of the templates, and what they cost, are written anew. */
  readonly snapshots: boolean;
  readonly signal: AbortSignal;
  readonly onStep: (step: string) => void;
  /** @default the tree that this file is in */
  readonly tree?: string;
}

export interface AddedFile {
  readonly path: string;
  readonly change: 'new' | 'changed';
  readonly what: string;
}

interface PlannedFile extends AddedFile {
  readonly text: string;
}

/** @throws Error in one sentence, with the tree as it was. */
export async function addWorker(options: AddWorkerOptions): Promise<AddedFile[]> {
  const { name, fifo, dryRun, snapshots } = options;
  const tree = options.tree ?? fileURLToPath(new URL('..', import.meta.url));
  const context = { tree, signal: options.signal };
  const planned = plan(tree, name, fifo);
  if (!dryRun && !options.allowDirty) await requireClean(context);
  const added: AddedFile[] = planned.map(({ text: _, ...file }) => file);
  if (snapshots) {
    added.push({ path: SNAPSHOT_FILE, change: 'changed', what: 'templates' });
    added.push({ path: STAGES_FILE, change: 'changed', what: 'costs' });
  }
  if (dryRun) return added;

  const change = new TreeChange(tree);
  try {
    for (const { path, text } of planned) change.write(path, text);
    options.onStep('formatting what was written');
    const paths = planned.map(({ path }) => path).filter((path) => path.endsWith('.ts'));
    expectDone('format it', await runTool(process.execPath, [BIOME, 'check', '--write', ...paths], context));
    options.onStep('checking every stage');
    expectDone('have it in every stage', await runTool(process.execPath, ['scaffold/check-stages.ts'], context));
    if (snapshots) {
      options.onStep("writing the templates' snapshots anew, which takes a while");
      change.willChange(SNAPSHOT_FILE);
      const args = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', JEST, SNAPSHOT_TEST];
      const renewal = await runTool(process.execPath, [...args, '-u', '-t', SNAPSHOT_TEST_NAME], context);
      expectDone('synthesize every stage with it', renewal);
      options.onStep('adding up what every stage costs');
      change.willChange(STAGES_FILE);
      expectDone('add up what a stage costs', await runTool(process.execPath, [STAGES_WRITER], context));
    }
  } catch (error) {
    change.undo();
    if (options.signal.aborted) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot add the worker ${name}, and left the tree as it was: ${reason}`, { cause: error });
  }
  return added;
}

function expectDone(what: string, { status, output }: ToolEnd): void {
  if (status !== 0) throw new Error(`cannot ${what}: ${lastLines(output)}`);
}

/** @throws Error when the tree is no Sluice or has something in the way. */
function plan(tree: string, name: string, fifo: boolean): PlannedFile[] {
  const missing = [WORKLOADS_FILE, MIGRATIONS_FOLDER, BIOME].find((path) => !existsSync(join(tree, path)));
  if (missing !== undefined) {
    throw new Error(`cannot add a worker to ${tree}: it has no ${missing}. Run npm ci in a whole tree of Sluice.`);
  }
  const problem = folderProblem(name, tree);
  if (problem !== undefined) throw new Error(problem);
  const sample = (file: string) => readFileSync(join(tree, 'scaffold/worker', file), 'utf8');
  const made = (path: string, what: string, text: string): PlannedFile => ({ path, change: 'new', what, text });
  const folder = `workers/${name}`;
  const test = sample(fifo ? 'fifo.test.ts' : 'standard.test.ts');
  const workloads = withWorkload(tree, name, fifo);
  return [
    made(workerEntry(name), 'worker', inFolder(sample('main.ts'), name)),
    made(`${folder}/message.ts`, 'message', inFolder(sample('message.ts'), name)),
    made(`${folder}/write-${name}.ts`, 'write', inFolder(sample('write.ts'), name)),
    made(migrationPath(tree, name), 'migration', renamed(sample('migration.sql'), name)),
    made(`test/workers/${name}/${name}.test.ts`, 'test', inTestFolder(test, name)),
    { path: WORKLOADS_FILE, change: 'changed', what: 'list of workloads', text: workloads },
  ];
}

/** As it reads from `workers/<name>`. */
function inFolder(text: string, name: string): string {
  return renamed(text, name).replaceAll("'../../workers/", "'../").replaceAll("'./write.ts'", `'./write-${name}.ts'`);
}

/** As it reads from `test/workers/<name>`. */
function inTestFolder(text: string, name: string): string {
  return renamed(text, name)
    .replaceAll("'../../test/workers/", "'../")
    .replaceAll("'../../test/", "'../../")
    .replaceAll("'./message.ts'", `'../../../workers/${name}/message.ts'`);
}

/** The list with one more at its end. */
function withWorkload(tree: string, name: string, fifo: boolean): string {
  const text = readFileSync(join(tree, WORKLOADS_FILE), 'utf8');
  const [before, after, ...more] = text.split(`\n${LIST_END}\n`);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(
      `cannot add the worker ${name}: ${WORKLOADS_FILE} has not exactly one line \`${LIST_END}\`, before which it would stand; put it back, or add the worker by hand as README.md says`,
    );
  }
  const comment = `  /** Stores every message${fifo ? ' of a group after those before it' : ''}. */`;
  return `${before}\n${comment}\n  '${name}': { fifo: ${fifo} },\n${LIST_END}\n${after}`;
}

function migrationPath(tree: string, name: string): string {
  const files = readdirSync(join(tree, MIGRATIONS_FOLDER)).filter((file) => file.endsWith('.sql'));
  const table = `${snakeCase(name)}_entries`;
  const making = files.find((file) =>
    readFileSync(join(tree, MIGRATIONS_FOLDER, file), 'utf8').includes(`create table ${table} `),
  );
  if (making !== undefined) {
    throw new Error(
      `cannot add the worker ${name}: ${MIGRATIONS_FOLDER}/${making} makes a table ${table} already; choose another name`,
    );
  }
  const last = Math.max(0, ...files.map((file) => Number.parseInt(file, 10)));
  return `${MIGRATIONS_FOLDER}/${String(last + 1).padStart(MIGRATION_DIGITS, '0')}_${snakeCase(name)}.sql`;
}

/** A tree that git does not know is taken as it is. */
async function requireClean(context: { readonly tree: string; readonly signal: AbortSignal }): Promise<void> {
  const status = await runTool('git', ['status', '--porcelain', '--', '.'], context).catch(() => undefined);
  context.signal.throwIfAborted();
  if (status?.status !== 0 || status.output === '') return;
  const [first, ...others] = status.output.split('\n').map((line) => line.replace(/^\s*\S+\s+/, ''));
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  throw new Error(
    `cannot add a worker: ${first}${more} ${others.length === 0 ? 'has' : 'have'} changes that are not committed, and what is added could not be told from them. Commit them, or add --allow-dirty.`,
  );
}
