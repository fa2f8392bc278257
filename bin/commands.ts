/**
 * The commands: wiring only. Every one has help with examples, and an exit status that means something.
 *
 * A command's own code is loaded when the command is called: help and a slip of the keyboard are answered at once.
 */
import { Command, Option } from 'commander';
import { DEFAULT_STAGE, stageNames } from '../lib/config.ts';
import packageJson from '../package.json' with { type: 'json' };
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
  130  interrupted`;

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
  .description('send a file of orders to the queues of a stage')
  .argument('<file>', 'orders, csv or csv.gz')
  .addOption(stageOption())
  .option('--local', 'to the run that `npm start` has going on this machine', false)
  .addOption(new Option('--run <name>', 'to this one of several runs: its name or its folder').implies({ local: true }))
  .option('--json', 'print the summary as JSON', false)
  .addHelpText(
    'after',
    `
The columns are InvoiceNo, StockCode, Description, Quantity, InvoiceDate,
UnitPrice, CustomerID and Country. The whole file is checked first: nothing of a
file that cannot be read is sent. To AWS it goes with the credentials and the
region of the AWS SDK.

Examples:
  npm run sluice -- send orders.csv --local                 to the run here
  npm run sluice -- send orders.csv --run run-13c5ef392a26  to one of several
  npm run sluice -- send orders.csv.gz --stage prod         to AWS`,
  )
  .action(async (file: string, options) => {
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
Commit lib/images.json and deploy; the group replaces one instance after another.

Examples:
  npm run sluice -- image --stage dev --region eu-central-1`,
  )
  .action(async (options) => {
    const { pinImage } = await import('../local/pin-image.ts');
    await pinImage({ stage: options.stage, region: options.region, output: process.stdout });
  });

await runCommand(program, 'interrupted before anything was sent');
