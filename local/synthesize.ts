/** Synthesizes the CDK app of this repository into a folder, as `cdk synth` would, in a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

const run = promisify(execFile);
/** It takes a second or two; this only ends one that hangs. */
const SYNTHESIS_MS_MAX = 60_000;

/** @throws Error with what the app printed. */
export async function synthesize(stage: string, folder: string, signal?: AbortSignal): Promise<void> {
  const repository = fileURLToPath(new URL('..', import.meta.url));
  try {
    await run(process.execPath, [join(repository, 'bin/app.ts')], {
      cwd: repository,
      timeout: SYNTHESIS_MS_MAX,
      ...(signal === undefined ? {} : { signal }),
      env: {
        ...process.env,
        CDK_OUTDIR: folder,
        CDK_CONTEXT_JSON: JSON.stringify({ stage }),
        // The validator's cold start is most of a synthesis and changes no byte; `cdk synth` and a test keep it on.
        CDK_VALIDATION: 'false',
      },
    });
  } catch (error) {
    signal?.throwIfAborted();
    const output = z.object({ stderr: z.string() }).safeParse(error);
    const reason = output.success ? output.data.stderr.trim() : String(error);
    throw new Error(`cannot synthesize the stage ${stage}: ${reason}`, { cause: error });
  }
}
