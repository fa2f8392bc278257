/** Synthesizes the CDK app of this repository into a folder, as `cdk synth` would, in a process of the run. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILE_CACHE_FOLDER } from './compile-cache.ts';
import { startProcess } from './machine/child-process.ts';
import type { RunFolder } from './machine/run-folder.ts';

/** It takes a second or two; this only ends one that hangs. */
const SYNTHESIS_MS_MAX = 60_000;
/** The app says what is wrong in a few lines. */
const LAST_LINES_MAX = 20;

export interface SynthesizeOptions {
  /** The run whose process it is, so that it ends with the run however that ends. */
  readonly run: RunFolder;
  readonly stage: string;
  readonly folder: string;
  readonly signal?: AbortSignal;
}

/** @throws Error with what the app printed; the signal's reason when it was aborted. */
export async function synthesize({ run, stage, folder, signal }: SynthesizeOptions): Promise<void> {
  const repository = fileURLToPath(new URL('..', import.meta.url));
  const lastLines: string[] = [];
  signal?.throwIfAborted();
  const synthesis = await startProcess({
    run,
    name: 'synthesis',
    command: process.execPath,
    args: [join(repository, 'bin/app.ts')],
    cwd: repository,
    logFile: run.logPath('synthesis'),
    onLine: (line) => {
      if (!line.startsWith('Bundling asset')) lastLines.push(line);
      if (lastLines.length > LAST_LINES_MAX) lastLines.shift();
    },
    env: {
      ...process.env,
      CDK_OUTDIR: folder,
      CDK_CONTEXT_JSON: JSON.stringify({ stage }),
      // The validator's cold start is most of a synthesis and changes no byte; `cdk synth` and a test keep it on.
      CDK_VALIDATION: 'false',
      NODE_COMPILE_CACHE: COMPILE_CACHE_FOLDER,
    },
  });
  const end = () => void synthesis.stop('SIGKILL', 0);
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted) end();
  if (!(await synthesis.endsWithin(SYNTHESIS_MS_MAX))) await synthesis.stop('SIGKILL', 0);
  const { code, signal: killedBy } = await synthesis.exited;
  signal?.removeEventListener('abort', end);
  signal?.throwIfAborted();
  if (code === 0) return;
  throw new Error(
    `cannot synthesize the stage ${stage}: ${lastLines.join('\n') || `it ended with ${killedBy ?? code}`}`,
  );
}
