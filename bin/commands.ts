/**
 * The commands: wiring only. Every one has help with examples, and an exit status that means something.
 *
 * A command's own code is loaded when the command is called: help and a slip of the keyboard are answered at once.
 */
import { Command, InvalidArgumentError, Option, type OptionValues } from 'commander';
import { DEFAULT_STAGE, stageNames } from '../lib/config.ts';
import { workloadNames, workloads } from '../lib/workloads.ts';
import packageJson from '../package.json' with { type: 'json' };
import { nameProblem } from '../scaffold/worker-names.ts';
import {
  EXIT_DONE,
  EXIT_FALLS_SHORT,
  EXIT_INTERRUPTED,
  interruptSignal,
  runCommand,
  wholeNumber,
} from './command-line.ts';

const EXIT_STATUS_HELP = `
Exit status:
  0    done; every message is stored, or rejected for a reason of its own
  1    the balance is not exact: something is lost, stored twice, out of order,
       or was received too often
  2    the command or its input file is wrong; nothing was sent
  3    could not run, or not to the end: a port, a server, the network
  130  interrupted before the end`;

const program = new Command('sluice')
  .description('Runs the synthesized app on this machine, and sends orders to it, here or on AWS.')
  .version(packageJson.version)
  .option('--verbose', 'show where an error came from', false)
  .showHelpAfterError('(add --help for how to use it)')
  .addHelpText('after', EXIT_STATUS_HELP)
  .configureHelp({ showGlobalOptions: true })
  .exitOverride();

const stageOption = () => new Option('--stage <name>', 'stage of the app').choices(stageNames).default(DEFAULT_STAGE);

program
  .command('start')
  .description('run queues, database and workers on this machine, and send a file of orders through them')
  .addOption(stageOption())
  .addOption(
    new Option('--assembly <folder>', 'run what `cdk synth` wrote there (default: synthesize)').conflicts('stage'),
  )
  .option('--input <file>', 'orders to send, csv or csv.gz (default: the sample day that comes with Sluice)')
  .option('--workers <number>', 'workers per fleet (default: what the template says)', wholeNumber(1, 64))
  .option('--once', 'end when everything has arrived', false)
  .option('--report <file>', 'write balance and timings as JSON')
  .option('--keep', 'leave data and logs behind', false)
  .option('--data <folder>', "keep the database's files there, and go on with them the next time")
  .option('--sqs-port <port>', 'port of the embedded SQS server (default: a free one)', wholeNumber(1, 65_535))
  .option('--postgres-port <port>', 'port of the embedded PostgreSQL (default: a free one)', wholeNumber(1, 65_535))
  .addHelpText(
    'after',
    `
Environment:
  DATABASE_URL      use this PostgreSQL, empty or migrated, not the embedded one
  AWS_ENDPOINT_URL  use this SQS-compatible server, not the embedded one

Examples:
  npm start                                         the sample, until Ctrl-C
  npm start -- --once --report report.json          the sample, then end
  npm start -- --once --input orders.csv.gz         your own file
  DATABASE_URL=postgres://localhost/test npm start  your own database`,
  )
  .action(async (options) => {
    const interrupt = interruptSignal();
    const { startLocal } = await import('../local/start.ts');
    const { exact, complete, interrupted } = await startLocal({
      stage: options.stage,
      assembly: options.assembly,
      input: options.input,
      workers: options.workers,
      once: options.once,
      reportFile: options.report,
      keep: options.keep,
      dataFolder: options.data,
      sqsPort: options.sqsPort,
      postgresPort: options.postgresPort,
      environment: process.env,
      output: process.stdout,
      signal: interrupt,
    });
    // Without --once, Ctrl-C is how a run ends.
    if (interrupted && exact) process.exitCode = options.once ? EXIT_INTERRUPTED : EXIT_DONE;
    else process.exitCode = exact && complete ? EXIT_DONE : EXIT_FALLS_SHORT;
  });

program
  .command('send')
  .description('send a file of orders to the queues of a stage, or one message to one of them')
  .argument('[file]', 'orders, csv or csv.gz')
  .addOption(stageOption())
  .option('--local', 'to the run that `npm start` has going on this machine', false)
  .addOption(new Option('--run <name>', 'to this one of several runs: its name or its folder').implies({ local: true }))
  .addOption(new Option('--queue <name>', 'send one message to this queue').choices(workloadNames))
  .addOption(new Option('--payload <json>', 'what the message says').argParser(parsedJson).conflicts('body'))
  .option('--body <text>', 'the whole body of the message, as it is')
  .option('--group <id>', 'message group of the message, on a FIFO queue')
  .option('--json', 'print the summary as JSON', false)
  .addHelpText(
    'after',
    `
The columns are InvoiceNo, StockCode, Description, Quantity, InvoiceDate,
UnitPrice, CustomerID and Country. The whole file is checked first: nothing of a
file that cannot be read is sent. To AWS it goes with the credentials and the
region of the AWS SDK.

A payload travels as {"schema": <the queue's name>, "version": 1, "payload": …},
which is what a worker reads that \`sluice add worker\` wrote. What another
schema or version wants is given with --body.

Examples:
  npm run sluice -- send orders.csv --local                 to the run here
  npm run sluice -- send orders.csv --run run-13c5ef392a26  to one of several
  npm run sluice -- send orders.csv.gz --stage prod         to AWS
  npm run sluice -- send --local --queue orders --body "$(cat order.json)"
  npm run sluice -- send --local --queue ledger --group 17850 --body "$(cat it)"`,
  )
  .action(async (file: string | undefined, options, command: Command) => {
    if (options.queue !== undefined) {
      if (file !== undefined) command.error('error: --queue sends one message, so there is no file to send');
      await sendOne(options, command);
      return;
    }
    if (file === undefined) command.error('error: name a file of orders, or with --queue the queue of one message');
    const alone = ['payload', 'body', 'group'].find((option) => options[option] !== undefined);
    if (alone !== undefined) command.error(`error: --${alone} is of one message; name its queue with --queue`);
    const signal = interruptSignal();
    const { send } = await import('../local/send.ts');
    const { interrupted } = await send({
      file,
      stage: options.stage,
      local: options.local,
      run: options.run,
      json: options.json,
      environment: process.env,
      output: process.stdout,
      progress: process.stderr,
      signal,
    });
    process.exitCode = interrupted ? EXIT_INTERRUPTED : EXIT_DONE;
  });

program
  .command('resources')
  .description("list the template's resource types: what each is on this machine, or why it needs AWS")
  .addOption(stageOption())
  .option('--json', 'print as JSON', false)
  .addHelpText(
    'after',
    '\nExamples:\n  npm run sluice -- resources\n  npm run -s sluice -- resources --stage prod --json',
  )
  .action(async (options) => {
    const { resources } = await import('../local/resources.ts');
    await resources({ stage: options.stage, json: options.json, output: process.stdout });
  });

program
  .command('image')
  .description('pin a stage to the newest Amazon Linux 2023 of a region, in lib/images.json')
  .addOption(stageOption())
  .option('--region <name>', 'region that the stage is deployed to (default: that of the AWS SDK)')
  .addHelpText(
    'after',
    `
What is pinned is what instances boot from until it is pinned anew: a deploy
without a change replaces nothing. A stage that is not pinned boots from the
newest image, and a deploy replaces its instances whenever there is one.
Commit lib/images.json and deploy; the group replaces its instances in turn.

Examples:
  npm run sluice -- image --stage dev --region eu-central-1`,
  )
  .action(async (options) => {
    const { pinImage } = await import('../local/pin-image.ts');
    await pinImage({ stage: options.stage, region: options.region, output: process.stdout });
  });

program
  .command('add')
  .description('add to the app')
  .command('worker')
  .description('write a new queue, fleet, worker, migration and test into this tree')
  .argument('<name>', 'of the queue, the fleet and the worker, such as return-labels', workerName)
  .option('--fifo', 'keep the messages of each group in order', false)
  .option('--dry-run', 'tell what would be written, and write nothing', false)
  .option('--allow-dirty', 'go on although there are changes that are not committed', false)
  .option('--no-snapshots', 'leave the snapshots of the templates and what they cost as they are, which fails tests')
  .option('--json', 'print what was written as JSON', false)
  .addHelpText(
    'after',
    `
It gets a queue with its dead-letter queue, a fleet, alarms and a dashboard in
every stage, with the settings that are usual there, and a worker that stores
each message as a row. All of it is written, or nothing.

Exit status: 0 written, 2 the name cannot be used, 3 could not write it.

Examples:
  npm run sluice -- add worker parcels
  npm run sluice -- add worker returns --fifo
  npm run sluice -- add worker parcels --dry-run`,
  )
  .action(async (name: string, options) => {
    const signal = interruptSignal();
    const { addWorker } = await import('../scaffold/add-worker.ts');
    const { addedText, nextSteps } = await import('../scaffold/report.ts');
    const { fifo, dryRun, allowDirty, snapshots, json } = options;
    const onStep = (step: string) => process.stderr.write(`${step} …\n`);
    const files = await addWorker({ name, fifo, dryRun, allowDirty, snapshots, signal, onStep });
    const added = { worker: name, fifo, dryRun, files, next: nextSteps(name, fifo, snapshots) };
    process.stdout.write(`${json ? JSON.stringify(added, null, 2) : addedText(added)}\n`);
  });

/** One message; the options are those of `send`. */
async function sendOne(options: OptionValues, command: Command): Promise<void> {
  const { payload, body, group, stage, local, run, json } = options;
  const queue = workloadNames.find((name) => name === options.queue)!;
  const { fifo } = workloads[queue];
  if (fifo && group === undefined) command.error(`error: ${queue} is a FIFO queue; name a group with --group`);
  if (!fifo && group !== undefined) command.error(`error: ${queue} is no FIFO queue and has no groups`);
  if (payload === undefined && body === undefined) command.error('error: say with --payload or --body what to send');
  const signal = interruptSignal();
  const { envelopeOf, sendMessage } = await import('../local/send-message.ts');
  const whole = payload === undefined ? body : envelopeOf(queue, payload);
  const to = { stage, local, run, environment: process.env };
  await sendMessage({ ...to, queue, fifo, body: whole, group, json, output: process.stdout, signal });
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`It is not JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

function workerName(name: string): string {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new InvalidArgumentError(problem);
  return name;
}

await runCommand(program, 'interrupted; nothing was sent, and nothing is left half-written');
