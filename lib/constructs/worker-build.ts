/**
 * A worker as it is deployed: its entry as one file, what it shares with other workers in a few more, their source maps, and
 * the migrations beside them.
 *
 * All that the repository deploys is built in one run, because nearly all of it is shared and most of a synthesis would be
 * spent on building that again and again. Each is given out once, so that whoever builds again has the sources of then.
 *
 * Nothing of the CDK is needed here, so that it can be loaded meanwhile.
 *
 * Holds always: the bytes depend on the sources alone, not on where the repository lies, where the output goes or
 * who builds it. The asset's hash changes when the worker does, or what it shares; and when another worker begins or ceases
 * to share a file with it, because the shared files are cut anew.
 */
import { cpSync, existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';
import { z } from 'zod';
import { NODE_MAJOR } from './fleet-programs.ts';

/** The bundled entry among its files. */
export const BUNDLE_ENTRY = 'index.mjs';

export const repositoryFolder = fileURLToPath(new URL('../../', import.meta.url));
const migrationsFolder = join(repositoryFolder, 'workers/store/migrations');
/** What the repository deploys; an entry that is not among them is built alone. */
const DEPLOYED_ENTRIES = ['workers/*/main.ts', 'workers/migration/handler.ts'];

interface BundleFile {
  readonly name: string;
  readonly contents: string;
}

/** Built and not asked for yet. */
const kept = new Map<string, readonly BundleFile[]>();

/**
 * Builds all that the repository deploys, in a process beside this one; what is bundled afterwards is there already.
 *
 * A mistake in a source is not told here but by the bundle that is asked for.
 */
export async function buildAhead(): Promise<void> {
  // esbuild's garbage collector takes a quarter of its time at Go's own 100, in a process that soon ends.
  process.env.GOGC ??= '400';
  const entries = deployedEntries();
  try {
    keep(filesByEntry(entries, await esbuild.build(optionsFor(entries))));
  } catch (error) {
    if (!buildFailureSchema.safeParse(error).success) throw error;
  }
}

/**
 * Bundles `entry` into `outputFolder`.
 *
 * @throws Error that says which entry and the first thing that is wrong with it.
 */
export function bundleWorker(entry: string, outputFolder: string): void {
  if (!existsSync(join(repositoryFolder, entry))) {
    throw new Error(`cannot bundle ${entry}: there is no such file. Name the entry relative to the repository.`);
  }
  for (const { name, contents } of builtFiles(entry)) writeFileSync(join(outputFolder, name), contents);
  const migrations = join(outputFolder, 'migrations');
  mkdirSync(migrations, { recursive: true });
  cpSync(migrationsFolder, migrations, { recursive: true });
}

function builtFiles(entry: string): readonly BundleFile[] {
  if (!kept.has(entry)) {
    const deployed = deployedEntries();
    const entries = deployed.includes(entry) ? deployed : [entry];
    try {
      keep(filesByEntry(entries, esbuild.buildSync(optionsFor(entries))));
    } catch (cause) {
      throw new Error(`cannot bundle ${entry}: ${firstProblem(cause)}`, { cause });
    }
  }
  const files = kept.get(entry)!;
  kept.delete(entry);
  return files;
}

function deployedEntries(): string[] {
  return globSync(DEPLOYED_ENTRIES, { cwd: repositoryFolder }).sort();
}

function keep(built: ReadonlyMap<string, readonly BundleFile[]>): void {
  for (const [entry, files] of built) kept.set(entry, files);
}

function optionsFor(entries: readonly string[]) {
  return {
    // Side by side, or each would name what it shares by another path.
    entryPoints: entries.map((entry) => ({ in: entry, out: outputName(entry) })),
    outdir: repositoryFolder,
    outExtension: { '.js': '.mjs' },
    write: false,
    metafile: true,
    absWorkingDir: repositoryFolder,
    bundle: true,
    splitting: true,
    chunkNames: 'shared-[hash]',
    platform: 'node',
    target: `node${NODE_MAJOR}`,
    format: 'esm',
    // ES modules first: they can be shaken, which keeps the AWS SDK's unused half out.
    mainFields: ['module', 'main'],
    // Beside the file and without a word in it: the entry gets another name.
    sourcemap: 'external',
    sourcesContent: false,
    legalComments: 'none',
    logLevel: 'silent',
    // Loaded by pg only when somebody has installed it.
    external: ['pg-native'],
    // CommonJS packages call require for Node's own modules, and an ES module has none.
    banner: {
      js: "import { createRequire as createRequireForBundle } from 'node:module'; const require = createRequireForBundle(import.meta.url);",
    },
  } satisfies esbuild.BuildOptions;
}

/** `workers-orders-main` */
function outputName(entry: string): string {
  return entry.replace(/\.\w+$/, '').replaceAll(/\W/g, '-');
}

type Built = esbuild.BuildResult<ReturnType<typeof optionsFor>>;

/** The files of each of `entries`: itself under the name that all have, and what it shares. */
function filesByEntry(entries: readonly string[], { outputFiles, metafile }: Built): Map<string, BundleFile[]> {
  const textOf = new Map(outputFiles.map((file) => [basename(file.path), file]));
  const withMap = (builtName: string, name: string): BundleFile[] => [
    { name, contents: `${textOf.get(builtName)!.text}//# sourceMappingURL=${name}.map\n` },
    { name: `${name}.map`, contents: textOf.get(`${builtName}.map`)!.text },
  ];
  return new Map(
    entries.map((entry) => {
      const builtName = `${outputName(entry)}.mjs`;
      const shared = sharedBy(builtName, metafile).flatMap((name) => withMap(name, name));
      return [entry, [...withMap(builtName, BUNDLE_ENTRY), ...shared]];
    }),
  );
}

/** The files that `name` imports, and that those import. */
function sharedBy(name: string, { outputs }: esbuild.Metafile): string[] {
  const found = new Set([name]);
  for (const each of found) {
    for (const { path, external } of outputs[each]?.imports ?? []) if (external !== true) found.add(path);
  }
  found.delete(name);
  return [...found].sort();
}

const buildFailureSchema = z.object({
  errors: z
    .array(z.object({ text: z.string(), location: z.object({ file: z.string(), line: z.int() }).nullable() }))
    .min(1),
});

function firstProblem(error: unknown): string {
  const failure = buildFailureSchema.safeParse(error);
  if (!failure.success) return String(error);
  const { text, location } = failure.data.errors[0]!;
  return location === null ? text : `${location.file}:${location.line}: ${text}`;
}
