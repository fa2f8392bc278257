/**
 * Runs the suite of SQS behaviours and prints what conforms.
 *
 *   npm run conformance                                        the simulator's queue and the embedded server
 *   npm run conformance -- --endpoint http://127.0.0.1:9324    any server that speaks SQS
 *   npm run conformance -- --document                          makes the table of docs/conformance.md
 */
import { Command } from 'commander';
import { EXIT_DONE, EXIT_FALLS_SHORT, runCommand } from '../../bin/command-line.ts';
import { startEmbeddedSqs } from '../../local/machine/embedded-sqs.ts';
import { createRunFolder } from '../../local/machine/run-folder.ts';
import { AWS_PAGES } from './case.ts';
import { CASES } from './cases.ts';
import { writeDocument } from './document.ts';
import { EMBEDDED_SERVER_DIFFERENCES } from './known-differences.ts';
import { ModelTarget } from './model-target.ts';
import { runSuite, type SuiteOptions, surprises } from './run-suite.ts';
import { openClient, ServerTarget } from './server-target.ts';
import { type VerdictColumn, verdictTable } from './verdict-table.ts';

/** A server is asked by this many cases at once: they mostly wait. */
const AT_ONCE = 40;
const REGION = 'us-east-1';

interface Column extends VerdictColumn {
  /** The names of the cases in which it is known to differ. */
  readonly known: readonly string[];
}

const program = new Command('conformance')
  .description(
    "Runs the suite of SQS behaviours, against the simulator's queue and the embedded server or an endpoint.",
  )
  .option('--endpoint <url>', 'a server that speaks SQS; its queues conformance-… are made, and deleted again')
  .option('--region <name>', 'what requests are signed for', process.env.AWS_REGION ?? REGION)
  .option('--long', 'also the cases that wait for minutes or send 120,000 messages', false)
  .option('--json', 'print verdicts as JSON', false)
  .option('--document', 'write the table of docs/conformance.md, and run nothing', false)
  .showHelpAfterError('(add --help for how to use it)')
  .addHelpText(
    'after',
    `
Credentials come from the environment, as the SDK reads them; without any, made-up ones are sent.

Exit status:
  0  the endpoint conforms; without --endpoint, everything is as known-differences.ts has it
  1  something differs
  2  the command is wrong
  3  could not run: nothing answers at the endpoint, or a call failed on the way`,
  )
  .exitOverride()
  .action(conform);

interface Options {
  readonly endpoint?: string;
  readonly region: string;
  readonly long: boolean;
  readonly json: boolean;
  readonly document: boolean;
}

async function conform(options: Options): Promise<void> {
  if (options.document) return writeDocument();
  const { endpoint, region } = options;
  const suite = { withLong: options.long, atOnce: AT_ONCE, onDone: showProgress };
  const columns =
    endpoint === undefined ? await ownColumns(suite) : [await serverColumn('endpoint', endpoint, region, suite)];
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  console.log(options.json ? JSON.stringify(asJson(columns), null, 2) : verdictTable(columns));
  const complaints = columns.flatMap(({ verdicts, known }) => surprises(verdicts, known));
  if (endpoint === undefined) for (const complaint of complaints) console.error(`not as declared: ${complaint}`);
  process.exitCode = complaints.length === 0 ? EXIT_DONE : EXIT_FALLS_SHORT;
}

async function ownColumns(suite: SuiteOptions): Promise<Column[]> {
  const verdicts = await runSuite(() => new ModelTarget(), { ...suite, atOnce: 1 });
  const run = createRunFolder();
  try {
    const server = await startEmbeddedSqs({ run });
    try {
      const embedded = await serverColumn('embedded', server.endpoint, REGION, suite);
      return [
        { title: 'model', verdicts, known: [] },
        { ...embedded, known: Object.keys(EMBEDDED_SERVER_DIFFERENCES) },
      ];
    } finally {
      await server.stop();
    }
  } finally {
    await run.close();
  }
}

async function serverColumn(title: string, url: string, region: string, suite: SuiteOptions): Promise<Column> {
  const client = await openClient({ url, region });
  try {
    return { title, verdicts: await runSuite(() => new ServerTarget(client), suite), known: [] };
  } finally {
    client.destroy();
  }
}

function showProgress(done: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${CASES.length} cases`);
}

function asJson(columns: readonly Column[]) {
  return CASES.map((each) => ({
    name: each.name,
    behaviour: each.behaviour,
    page: AWS_PAGES[each.page],
    ...Object.fromEntries(columns.map(({ title, verdicts }) => [title, verdicts.get(each)])),
  }));
}

await runCommand(program);
