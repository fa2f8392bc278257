/**
 * What every command of this repository does alike: whole numbers as options, an exit status that means something,
 * Ctrl-C, and errors that are told in a sentence.
 */
import { type Command, CommanderError, InvalidArgumentError } from 'commander';
import { wrapped } from '../local/eighty-columns.ts';
import { Interrupted } from '../local/interrupted.ts';
import { RetailFileError } from '../producer/retail-file-error.ts';

export const EXIT_DONE = 0;
/** It ran to its end, and what it found is not as it must be: each command's help says what that is. */
export const EXIT_FALLS_SHORT = 1;
export const EXIT_BAD_INPUT = 2;
export const EXIT_CANNOT_RUN = 3;
/** As a shell reports a command that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;
/** npm passes Ctrl-C on to a command that the terminal has told already: two signals, one wish. */
const SECOND_SIGNAL_AFTER_MS = 500;

/** Of an option's text. */
export function wholeNumber(minimum: number, maximum?: number): (text: string) => number {
  const range = maximum === undefined ? `from ${minimum} on` : `from ${minimum} to ${maximum}`;
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= minimum && value <= (maximum ?? value)) return value;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

/** What ends the action of a command that has something to clear away; one command runs in a process. */
let interrupt: AbortController | undefined;

/** Ctrl-C and SIGTERM; a second one ends the process, and what it leaves is cleared away by its reaper. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  interrupt = controller;
  let firstAtMs = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!controller.signal.aborted) firstAtMs = performance.now();
      else if (performance.now() - firstAtMs > SECOND_SIGNAL_AFTER_MS) process.exit(EXIT_INTERRUPTED);
      controller.abort();
    });
  }
  return controller.signal;
}

/** Whoever was reading has gone, as with `| head`: nobody is left to tell, so the command ends as at Ctrl-C. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (interrupt === undefined) process.exit(EXIT_DONE);
    interrupt.abort();
  });
}

/**
 * Does what the arguments ask for, to its end, well or not. The command's actions set the exit status where it went well.
 *
 * @param whenInterrupted what is told of an action that Ctrl-C ended.
 */
export async function runCommand(command: Command, whenInterrupted = 'interrupted'): Promise<void> {
  endWithReader();
  // A command made earlier does not inherit this.
  for (const each of withSubcommands(command)) {
    each.configureOutput({ outputError: (text, write) => write(forReader(text)) });
  }
  try {
    await command.parseAsync();
  } catch (error) {
    process.exitCode = exitStatusOf(error, command, whenInterrupted);
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Tells a person what happened, once, and says what that means for a script. */
function exitStatusOf(error: unknown, command: Command, whenInterrupted: string): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_BAD_INPUT;
  if (error instanceof Error && error.name === 'AbortError') {
    const told = error instanceof Interrupted ? error.message : whenInterrupted;
    console.error(forReader(`${command.name()}: ${told}`));
    return EXIT_INTERRUPTED;
  }
  const { verbose = false } = command.opts<{ verbose?: boolean }>();
  console.error(error instanceof Error && !verbose ? forReader(`${command.name()}: ${error.message}`) : error);
  return error instanceof RetailFileError ? EXIT_BAD_INPUT : EXIT_CANNOT_RUN;
}

/** A person has a terminal, where a line is to fit; a script has the sentence in one piece. */
function forReader(text: string): string {
  return process.stderr.isTTY ? text.split('\n').map(wrapped).join('\n') : text;
}
