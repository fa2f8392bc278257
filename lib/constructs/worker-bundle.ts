/**
 * A worker as one file: the entry and all that it imports, with its source map and the migrations beside it.
 *
 * The workers of the repository are built together, because they share nearly all that they import: the first that is
 * asked for is given out and the others are kept until they are.
 *
 * Holds always: the bytes depend on the sources alone, not on where the repository lies, where the output goes or
 * who builds it, so that the asset's hash changes exactly when the worker does.
 */
import { cpSync, existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, type BundlingOptions, BundlingOutput, DockerImage } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { Asset, type AssetProps } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import * as esbuild from 'esbuild';
import { z } from 'zod';

/** The bundled entry within the asset. */
export const BUNDLE_ENTRY = 'index.mjs';

const repositoryFolder = fileURLToPath(new URL('../../', import.meta.url));
const migrationsFolder = join(repositoryFolder, 'workers/store/migrations');
const WORKER_ENTRIES = 'workers/*/main.ts';

/** Built with another and not asked for yet; each is given out once, so that whoever builds again has the sources of then. */
const kept = new Map<string, esbuild.OutputFile[]>();

/** The S3 asset of a worker, built when the app is synthesized. `entry` is relative to the repository. */
export function workerBundle(scope: Construct, id: string, entry: string): Asset {
  return new Asset(scope, id, bundleOf(entry));
}

/** The same as the code of a Lambda function. */
export function functionBundle(entry: string): lambda.Code {
  const { path, ...options } = bundleOf(entry);
  return lambda.Code.fromAsset(path, options);
}

function bundleOf(entry: string): AssetProps {
  const bundling: BundlingOptions = {
    // Demanded by the type; never pulled, because `local` builds or throws.
    image: DockerImage.fromRegistry('docker-is-not-used'),
    // The CDK tells bundles apart by these options, and leaves `local` out: without it two entries in one folder
    // would share the first one's bundle.
    command: [entry],
    outputType: BundlingOutput.NOT_ARCHIVED,
    local: {
      tryBundle: (outputFolder) => {
        bundleWorker(entry, outputFolder);
        return true;
      },
    },
  };
  return { path: dirname(join(repositoryFolder, entry)), assetHashType: AssetHashType.OUTPUT, bundling };
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
  for (const file of builtFiles(entry)) {
    writeFileSync(join(outputFolder, basename(file.path)), file.contents);
  }
  const migrations = join(outputFolder, 'migrations');
  mkdirSync(migrations, { recursive: true });
  cpSync(migrationsFolder, migrations, { recursive: true });
}

function builtFiles(entry: string): esbuild.OutputFile[] {
  const before = kept.get(entry);
  kept.delete(entry);
  if (before !== undefined) return before;
  const workers = globSync(WORKER_ENTRIES, { cwd: repositoryFolder }).sort();
  const built = esbuilt(entry, workers.includes(entry) ? workers : [entry]);
  for (const [other, files] of built) if (other !== entry) kept.set(other, files);
  return built.get(entry)!;
}

/** The files of each of `entries`; `entry` is the one that an error names. */
function esbuilt(entry: string, entries: readonly string[]): Map<string, esbuild.OutputFile[]> {
  // The source maps name their sources relative to the output: fixed places, never written to, keep the bytes equal.
  const folderOf = (each: string) => join('bundle', each.replaceAll(/\W/g, '-'));
  const outdir = repositoryFolder;
  try {
    const { outputFiles } = esbuild.buildSync({
      entryPoints: entries.map((each) => ({ in: each, out: join(folderOf(each), basename(BUNDLE_ENTRY, '.mjs')) })),
      outdir,
      outExtension: { '.js': '.mjs' },
      write: false,
      absWorkingDir: repositoryFolder,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      // ES modules first: they can be shaken, which keeps the AWS SDK's unused half out.
      mainFields: ['module', 'main'],
      sourcemap: 'linked',
      sourcesContent: false,
      legalComments: 'none',
      logLevel: 'silent',
      // Loaded by pg only when somebody has installed it.
      external: ['pg-native'],
      // CommonJS packages call require for Node's own modules, and an ES module has none.
      banner: {
        js: "import { createRequire as createRequireForBundle } from 'node:module'; const require = createRequireForBundle(import.meta.url);",
      },
    });
    const filesOf = (each: string) => outputFiles.filter(({ path }) => dirname(path) === join(outdir, folderOf(each)));
    return new Map(entries.map((each) => [each, filesOf(each)]));
  } catch (cause) {
    throw new Error(`cannot bundle ${entry}: ${firstProblem(cause)}`, { cause });
  }
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
