/** Runs the command line as a person does: a process of its own, in a temporary folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterwards, eventually } from '../local/machine/machine.ts';

const command = fileURLToPath(new URL('../../bin/sluice.ts', import.meta.url));

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Sluice {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], temporaryFolder: string, environment: NodeJS.ProcessEnv = {}) {
    const { PATH, HOME } = process.env;
    this.#child = spawn(process.execPath, [command, ...args], {
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
    afterwards(() => {
      this.#child.kill('SIGKILL');
      return this.ended;
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async prints(text: string): Promise<void> {
    await eventually(`${text} in ${this.#stdout} ${this.#stderr}`, () => {
      if (this.#child.exitCode !== null)
        throw new Error(`ended before it printed ${text}: ${this.#stdout} ${this.#stderr}`);
      return this.#stdout.includes(text);
    });
  }

  /** What it has going, by name. */
  processes(): Record<string, number> {
    const folder = /logs +(.*)\/logs\//.exec(this.#stdout)?.[1];
    if (folder === undefined) throw new Error(`no run folder in ${this.#stdout}`);
    const owner: { processes: { name: string; pid: number }[] } = JSON.parse(
      readFileSync(join(folder, 'owner.json'), 'utf8'),
    );
    return Object.fromEntries(owner.processes.map(({ name, pid }) => [name, pid]));
  }
}

/** Runs to the end. */
export function sluice(
  args: readonly string[],
  temporaryFolder: string,
  environment?: NodeJS.ProcessEnv,
): Promise<Ended> {
  return new Sluice(args, temporaryFolder, environment).ended;
}
