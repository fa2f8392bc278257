/** The programs that a change of the tree needs, each run in the tree to its end. */
import { spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';

/** Enough of what a program said last to know what is wrong. */
const LAST_LINES_MAX = 30;

export interface ToolEnd {
  readonly status: number | null;
  /** What it said, without colours. */
  readonly output: string;
}

export function runTool(
  command: string,
  args: readonly string[],
  { tree, signal }: { readonly tree: string; readonly signal: AbortSignal },
): Promise<ToolEnd> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: tree, stdio: ['ignore', 'pipe', 'pipe'], signal });
    let output = '';
    const hear = (text: string) => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    child.once('error', (error) => {
      // It ends before anything is put back.
      if (signal.aborted) child.once('close', () => reject(error));
      else reject(error);
    });
    child.once('close', (status) => {
      if (!signal.aborted) resolve({ status, output: stripVTControlCharacters(output).trim() });
    });
  });
}

export function lastLines(output: string): string {
  return output.split('\n').slice(-LAST_LINES_MAX).join('\n');
}
