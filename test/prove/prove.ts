/**
 * `npm run prove`: real orders through real servers and workers while everything around them is broken, one fault after
 * the other, and the balance of each. Wiring only.
 */
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_DONE, EXIT_FALLS_SHORT, interruptSignal, runCommand, wholeNumber } from '../../bin/command-line.ts';
import { readAssembly } from '../../local/assembly/assembly.ts';
import { wrapped } from '../../local/eighty-columns.ts';
import { startReaper } from '../../local/machine/reaper.ts';
import { createRunFolder, sweepLeftRuns } from '../../local/machine/run-folder.ts';
import { numberOf, Screen, type ScreenProgress } from '../../local/screen.ts';
import { synthesize } from '../../local/synthesize.ts';
import { surveyRetailFile } from '../../producer/retail-file.ts';
import { expectedTables } from '../e2e/expected-tables.ts';
import { type FaultReport, runFault, type Sent } from './fault-run.ts';
import { FAULTS, type Fault } from './faults.ts';
import { writeMadeOrders } from './made-orders.ts';
import { balances, remarks } from './table.ts';

/** Longer than a visibility timeout, so that what came back after a fault meets it again. */
const FAULT_SECONDS = 75;
const ORDERS = 20_000;
const WORKERS = 2;
const STAGE = 'dev';

interface ProveOptions {
  readonly fault: readonly Fault[];
  readonly orders: number;
  readonly input: string | undefined;
  readonly seed: number;
  readonly seconds: number;
  readonly workers: number;
  readonly impatient: boolean;
  readonly json: boolean;
  readonly keep: boolean;
  readonly verbose: boolean;
}

const program = new Command('prove')
  .description('Sends orders through real servers and workers under one fault after the other, and balances each.')
  .addOption(new Option('--fault <name...>', 'do these faults').argParser(addFault).default(FAULTS, 'all'))
  .addOption(
    new Option('--orders <number>', 'make so many of the sample day')
      .argParser(wholeNumber(1, 1_000_000))
      .default(ORDERS),
  )
  .addOption(new Option('--input <file>', 'send this file, csv or csv.gz, instead').conflicts('orders'))
  .option('--seed <number>', 'repeats the chance of another proof (default: a new one)', wholeNumber(0, 2 ** 32 - 1))
  .option('--seconds <number>', 'how long each fault goes on', wholeNumber(1, 3_600), FAULT_SECONDS)
  .option('--workers <number>', 'workers per fleet', wholeNumber(1, 16), WORKERS)
  .option('--impatient', 'show again at once what dead workers hold', false)
  .option('--json', 'print the balances as JSON', false)
  .option('--keep', 'leave data and logs of each fault behind', false)
  .option('--verbose', 'show what workers warn of, and where an error came from', false)
  .addHelpText(
    'after',
    `
Faults:
${FAULTS.map(({ name, what }) => wrapped(`  ${name}: ${what}`)).join('\n')}

Exit status:
  0    each is exact: rejected is what the file dictates, and all else is stored,
       once and in order
  1    one is not exact
  2    the command or its input file is wrong
  3    could not run, or not to the end
  130  interrupted

Examples:
  npm run prove                                     all faults, three minutes each
  npm run prove -- --fault kill-workers everything  these two
  npm run prove -- --fault none --orders 1000       a quick look
  npm run -s prove -- --input orders.csv.gz --json  a file of your own
  npm run prove -- --fault everything --seed 4711   the same chance again`,
  )
  .exitOverride()
  .action(async ({ seed = Math.floor(Math.random() * 2 ** 32), ...options }: ProveOptions) => {
    process.exitCode = (await prove({ seed, ...options }, interruptSignal())) ? EXIT_DONE : EXIT_FALLS_SHORT;
  });

async function prove(options: ProveOptions, interrupt: AbortSignal): Promise<boolean> {
  await using undo = new AsyncDisposableStack();
  const screen = new Screen(process.stderr);
  const phase = (text: string) => screen.line(wrapped(`${clock()} ${text}`));
  await sweepLeftRuns();
  const run = createRunFolder();
  const reaper = await startReaper(run);
  undo.defer(() => reaper.dismiss());
  undo.defer(() => run.close());
  phase('synthesizing the stage dev, reading the orders');
  const assembly = join(run.path, 'assembly');
  const synthesizing = synthesize({ run, stage: STAGE, folder: assembly, signal: interrupt });
  const input = options.input ?? join(run.path, 'orders.csv');
  const [plan] = await Promise.all([prepare(input, options, interrupt), synthesizing]);
  const expected = expectedTables(input);
  const messages = plan.messages.orders + plan.messages.ledger;
  const { seed, seconds, workers } = options;
  screen.line(
    `seed ${seed} · ${numberOf(plan.orders, 'order')}, ${numberOf(messages, 'message')} · ${numberOf(workers, 'worker')} a fleet · ${seconds} s a fault`,
  );
  const reports: FaultReport[] = [];
  // Also of a proof that ends before its end.
  undo.defer(() => print({ seed, orders: plan.orders, messages, faults: reports }, options.json));
  for (const fault of options.fault) {
    interrupt.throwIfAborted();
    const report = await runFault({
      fault,
      seed,
      stacks: readAssembly(assembly),
      plan,
      expected,
      faultSeconds: seconds,
      workers,
      impatient: options.impatient,
      keep: options.keep,
      onEvent: (event) => (options.verbose ? screen.warn(`  ${fault.name}: ${event}`) : undefined),
      onPhase: (text) => phase(`${fault.name}: ${text}`),
      onSample: (sample, sent) => screen.show(sample, progressOf(sent, messages)),
      interrupt,
    });
    reports.push(report);
    screen.settle();
    for (const remark of remarks(report, options.keep)) screen.line(wrapped(remark));
  }
  return reports.every(({ exact }) => exact);
}

interface Proof {
  readonly seed: number;
  readonly orders: number;
  readonly messages: number;
  readonly faults: readonly FaultReport[];
}

function print(proof: Proof, asJson: boolean): void {
  if (asJson) process.stdout.write(`${JSON.stringify(proof, null, 2)}\n`);
  else if (proof.faults.length > 0) process.stdout.write(`\n${balances(proof.faults)}`);
}

function progressOf({ messages, seconds }: Sent, total: number): ScreenProgress {
  return { verb: 'sent', done: messages, total, unit: 'messages', seconds };
}

/** Minutes and seconds since the start. */
function clock(): string {
  const seconds = Math.round(performance.now() / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, '0')}`;
}

async function prepare(input: string, options: ProveOptions, signal: AbortSignal) {
  if (options.input === undefined) await writeMadeOrders(input, options.orders);
  return surveyRetailFile(input, { signal });
}

function addFault(name: string, previous: readonly Fault[]): readonly Fault[] {
  const fault = FAULTS.find((candidate) => candidate.name === name);
  if (fault === undefined)
    throw new InvalidArgumentError(`It must be one of ${FAULTS.map((each) => each.name).join(', ')}.`);
  return previous === FAULTS ? [fault] : [...previous, fault];
}

await runCommand(program);
