#!/usr/bin/env node
/** The command line of the bench: which cases, how often, how long. Never run by the tests: it is the figures that count. */
import { Command } from 'commander';
import { EXIT_DONE, EXIT_FALLS_SHORT, interruptSignal, runCommand, wholeNumber } from '../bin/command-line.ts';
import { consume } from './consume.ts';
import { large } from './large.ts';
import { latency } from './latency.ts';
import { chooseCores, thisMachine } from './machine.ts';
import { memory } from './memory.ts';
import { print } from './print.ts';
import { Progress } from './progress.ts';
import { type CaseResult, isMet } from './result.ts';
import { onSite, type Site } from './site.ts';
import { store } from './store.ts';

const RUNS = 5;
const SECONDS = 10;
const MESSAGES_LATENCY = 1_000;
const SECONDS_LARGE = 60;
const MESSAGES_MEMORY = 1_000_000;

type Case = (site: Site) => Promise<CaseResult>;

const program = new Command('bench')
  .description('Measures the workers against targets, on a fake SQS and the embedded PostgreSQL.')
  .option('--json', 'print results and every single run as JSON', false)
  .showHelpAfterError('(add --help for how to use it)')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .addHelpText(
    'after',
    `
Nothing else should run meanwhile. Results go to standard output, progress to standard error.

Examples:
  npm run bench                                    all five; about half an hour
  npm run bench -- consume                         one of them
  npm run bench -- consume --runs 1 --seconds 5    a first impression
  npm run bench -- consume --runs 1 --profile /tmp/profiles
                                                   CPU profiles for Chrome's DevTools
  npm run -s bench -- --json store > store.json

Exit status:
  0    measured, every target met
  1    measured, a target missed
  2    the command is wrong
  3    could not measure
  130  interrupted`,
  );

program
  .command('all', { isDefault: true })
  .description('all five, as they are without options')
  .action(async () => {
    const [runs, seconds] = [RUNS, SECONDS];
    await bench([
      (site) => consume(site, { runs, seconds, receivers: undefined, profile: undefined }),
      (site) => store(site, { runs, seconds }),
      (site) => latency(site, { runs, messages: MESSAGES_LATENCY }),
      (site) => memory(site, { messages: MESSAGES_MEMORY }),
      (site) => large(site, { seconds: SECONDS_LARGE }),
    ]);
  });

program
  .command('consume')
  .description("the consumer's rate, storing nothing, against a bare SDK loop's")
  .option('--runs <number>', 'runs of each, in turn', wholeNumber(1, 99), RUNS)
  .option('--seconds <number>', 'of each run, after the warm-up', wholeNumber(1, 600), SECONDS)
  .option('--receivers <number>', 'of the bare loop (default: the best of 8, 16, 32 and 64)', wholeNumber(1, 512))
  .option('--profile <folder>', 'leave a CPU profile of each run there; slows both down')
  .action(({ runs, seconds, receivers, profile }) =>
    bench([(site) => consume(site, { runs, seconds, receivers, profile })]),
  );

program
  .command('store')
  .description('messages that two worker processes commit into PostgreSQL')
  .option('--runs <number>', 'runs', wholeNumber(1, 99), RUNS)
  .option('--seconds <number>', 'of each run, after the warm-up', wholeNumber(1, 600), SECONDS)
  .action(({ runs, seconds }) => bench([(site) => store(site, { runs, seconds })]));

program
  .command('latency')
  .description('what a worker on an idle queue adds to a bare commit')
  .option('--runs <number>', 'runs', wholeNumber(1, 99), RUNS)
  .option('--messages <number>', 'of each run', wholeNumber(1, 100_000), MESSAGES_LATENCY)
  .action(({ runs, messages }) => bench([(site) => latency(site, { runs, messages })]));

program
  .command('memory')
  .description("growth of a worker's memory from message 100,000 on; minutes")
  .option('--messages <number>', 'at the last look', wholeNumber(200_000, 100_000_000), MESSAGES_MEMORY)
  .action(({ messages }) => bench([(site) => memory(site, { messages })]));

program
  .command('large')
  .description('memory of a worker that is full of the largest messages')
  .option('--seconds <number>', 'of looking, after the warm-up', wholeNumber(1, 3_600), SECONDS_LARGE)
  .action(({ seconds }) => bench([(site) => large(site, { seconds })]));

async function bench(cases: readonly Case[]): Promise<void> {
  const startedAt = new Date().toISOString();
  const [machine, cores, progress, signal] = [
    thisMachine(),
    chooseCores(),
    new Progress(process.stderr),
    interruptSignal(),
  ];
  const results: CaseResult[] = [];
  try {
    for (const measure of cases) results.push(await onSite(cores, progress, signal, measure));
  } finally {
    progress.clear();
  }
  const command = ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ');
  const found = { command, startedAt, machine, results };
  if (program.opts<{ json: boolean }>().json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else print(found, process.stdout);
  process.exitCode = results.every(({ figures }) => figures.every(isMet)) ? EXIT_DONE : EXIT_FALLS_SHORT;
}

await runCommand(program);
