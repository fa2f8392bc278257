/** Runs the command line as a person does: a process of its own, in a temporary folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';
import { z } from 'zod';
import { DEFAULT_STAGE } from '../../lib/config.ts';
import { isRunning } from '../../local/machine/process-identity.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { synthesize } from '../../local/synthesize.ts';
import { afterwards, eventually } from '../local/machine/machine.ts';

/** The file that is the command. */
export const SLUICE = fileURLToPath(new URL('../../bin/sluice.ts', import.meta.url));

const ownerSchema = z.object({
  pid: z.int(),
  ports: z.record(z.string(), z.int()),
  processes: z.array(z.object({ name: z.string(), pid: z.int(), startMark: z.string() })),
});

type Owner = z.infer<typeof ownerSchema>;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Sluice {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #temporaryFolder: string;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], temporaryFolder: string, environment: NodeJS.ProcessEnv = {}) {
    this.#temporaryFolder = temporaryFolder;
    const { PATH, HOME } = process.env;
    this.#child = spawn(process.execPath, [SLUICE, ...args], {
      env: { PATH, HOME, TMPDIR: temporaryFolder, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (status) => resolve({ status, stdout: this.#stdout, stderr: this.#stderr }));
    });
    afterwards(async () => {
      this.#child.kill('SIGKILL');
      await this.ended;
      // Its reaper has to find the folder, which goes with the test.
      await eventually('what the run had going ended', () => !this.#recorded().some(isRunning));
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async prints(text: string): Promise<void> {
    const printed = () => `${text} in ${this.#stdout} ${this.#stderr}`;
    await eventually(printed, () => {
      if (this.#child.exitCode !== null) throw new Error(`ended before it printed ${printed()}`);
      return this.#stdout.includes(text);
    });
  }

  /** What it has going, by name. */
  processes(): Record<string, number> {
    return Object.fromEntries(this.#recorded().map(({ name, pid }) => [name, pid]));
  }

  /** Where its servers listen, by name. */
  ports(): Record<string, number> {
    return this.#owner()?.ports ?? {};
  }

  #recorded(): Owner['processes'] {
    return this.#owner()?.processes ?? [];
  }

  /** Undefined before its folder is there, and after it has gone. */
  #owner(): Owner | undefined {
    const files = globSync(join(this.#temporaryFolder, 'sluice-*', 'run-*', 'owner.json'));
    return files.flatMap(readOwner).find(({ pid }) => pid === this.#child.pid);
  }
}

function readOwner(file: string): Owner[] {
  try {
    return [ownerSchema.parse(JSON.parse(readFileSync(file, 'utf8')))];
  } catch {
    // Cleared away since it was listed.
    return [];
  }
}

let synthesisRun: RunFolder | undefined;
let assembly: Promise<string> | undefined;
afterAll(() => synthesisRun?.close());

/** Arguments that spare a run its synthesis: what it runs was synthesized once, for all tests of the file. */
export async function synthesizedBefore(): Promise<string[]> {
  assembly ??= synthesizeOnce();
  return ['--assembly', await assembly];
}

async function synthesizeOnce(): Promise<string> {
  synthesisRun = createRunFolder();
  const folder = join(synthesisRun.path, 'assembly');
  await synthesize({ run: synthesisRun, stage: DEFAULT_STAGE, folder });
  return folder;
}

/** Runs to the end. */
export function sluice(
  args: readonly string[],
  temporaryFolder: string,
  environment?: NodeJS.ProcessEnv,
): Promise<Ended> {
  return new Sluice(args, temporaryFolder, environment).ended;
}
