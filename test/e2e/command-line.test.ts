/** What is wrong is told in one sentence, and the exit status says whose fault it was. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { workloadNames } from '../../lib/workloads.ts';
import { announceLiveRun } from '../../local/live-run.ts';
import { portOf } from '../../local/machine/ports.ts';
import { createRunFolder } from '../../local/machine/run-folder.ts';
import { afterwards, eventually, temporaryFolder } from '../local/machine/machine.ts';
import { SLUICE, Sluice, sluice } from './sluice.ts';

const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';

const badFiles: [string, string, string, RegExp][] = [
  ['a missing column', 'orders.csv', HEADER.replace('UnitPrice,', ''), /UnitPrice/],
  ['a line that cannot be read', 'orders.csv', `${HEADER}\n1,A,B,many,2011-01-01 10:00:00,1.5,,UK\n`, /line 2.*many/s],
  ['a name that says gzip', 'orders.csv.gz', `${HEADER}\n`, /the name says gzip, the content does not/],
  ['an empty file', 'orders.csv', '', /empty/],
];

describe('a file that cannot be sent ends the command with status 2 and one sentence', () => {
  test.each(badFiles)('%s, told before anything is started', async (_, name, content, sentence) => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, name), content);
    const { status, stderr, stdout } = await sluice(['start', '--keep', '--input', join(folder, name)], folder);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(sentence) });
    expect(stderr.trim().split('\n')).toHaveLength(1);
    const [, run] = /left in (\S+)/.exec(stdout) ?? [];
    // Everything that a run starts has a log.
    expect(await readdir(join(run!, 'logs'))).toEqual([]);
  });

  test('a file that is not there', async () => {
    const folder = await temporaryFolder();
    const { status, stderr } = await sluice(['send', join(folder, 'none.csv')], folder, {
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'none',
      AWS_SECRET_ACCESS_KEY: 'none',
    });
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/none\.csv/) });
  });
});

describe('what cannot run ends with status 3 and one sentence', () => {
  async function fails(args: string[], sentence: RegExp, environment: NodeJS.ProcessEnv = {}) {
    const { status, stderr } = await sluice(['start', '--once', ...args], await temporaryFolder(), environment);
    expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringMatching(sentence) });
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }

  async function takenPort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    afterwards(() => server.close());
    return portOf(server);
  }

  test('a port in use, for either server', async () => {
    const port = String(await takenPort());
    await fails(['--sqs-port', port], new RegExp(`port ${port} is in use`));
    await fails(['--postgres-port', port], new RegExp(`port ${port} is in use`));
  });

  test('a database that is away at the start', async () => {
    await fails(
      [],
      /cannot reach PostgreSQL at postgres:\/\/me:\*\*\*@127\.0\.0\.1:1\/x .*Start it, or unset DATABASE_URL/,
      {
        DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/x',
      },
    );
  });

  test('an SQS server that is away at the start', async () => {
    await fails([], /cannot reach the SQS server at http:\/\/127\.0\.0\.1:1 .*Start it, or unset AWS_ENDPOINT_URL/, {
      AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
    });
  });

  test('a report that cannot be written, told before the run', async () => {
    await fails(['--report', '/nowhere/report.json'], /cannot write the report to \/nowhere\/report\.json/);
  });

  test.each([
    ['no region', {}, /^sluice: no region is set, .+ Set AWS_REGION, .+\n$/],
    ['no credentials', { AWS_REGION: 'us-east-1' }, /^sluice: no AWS credentials were found .+ Set AWS_PROFILE, .+\n$/],
  ])('a send to AWS with %s, told before the file is read', async (_, environment, sentence) => {
    const { status, stderr } = await sluice(['send', 'none.csv'], await temporaryFolder(), {
      AWS_CONFIG_FILE: '/nowhere',
      AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
      // An instance's own credentials are asked for over the network.
      AWS_EC2_METADATA_DISABLED: 'true',
      ...environment,
    });
    expect({ status, stderr }).toEqual({ status: 3, stderr: expect.stringMatching(sentence) });
  });

  test('an assembly that is not there, told before anything is started', async () => {
    await fails(['--assembly', '/nowhere'], /cannot read \/nowhere\/manifest\.json .+ synthesize again/);
  });

  test('a data folder that holds something else', async () => {
    const data = join(await temporaryFolder(), 'data');
    await mkdir(data);
    await writeFile(join(data, 'letter.txt'), 'dear');
    await fails(['--data', data], /holds something else \(letter\.txt\)/);
  });
});

const oneMessage = ['--queue', 'orders', '--body', 'x'];

/** Answers who asks for the address of a queue, if at all; what becomes of anything else `onOther` says. */
async function makeSilentSqs(answersAddress: boolean, onOther: (response: ServerResponse) => void = () => {}) {
  const asked: string[] = [];
  const server = createHttpServer((request, response) => {
    const target = String(request.headers['x-amz-target']);
    asked.push(target.replace('AmazonSQS.', ''));
    response.setHeader('content-type', 'application/x-amz-json-1.0');
    if (!target.endsWith('GetQueueUrl')) onOther(response);
    else if (answersAddress) response.end(JSON.stringify({ QueueUrl: `http://${request.headers.host}/queue` }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, sqsEndpoint: `http://127.0.0.1:${portOf(server)}` };
}

describe('one message', () => {
  test.each([
    ['refused', 400, /^sluice: orders did not take the message \(.+\)\n$/],
    ['failed by SQS', 500, /^sluice: nobody knows whether orders took the message \(.+\); look there before .+\n$/],
  ])('that is %s says what became of it', async (_, status, sentence) => {
    const folder = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: folder });
    afterwards(() => run.close());
    const { sqsEndpoint } = await makeSilentSqs(true, (response) =>
      response.writeHead(status).end('{"__type":"com.amazonaws.sqs#Refused","message":"of the test"}'),
    );
    announceLiveRun(run.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint });
    const ended = await sluice(['send', '--local', ...oneMessage], folder);
    expect(ended).toMatchObject({ status: 3, stderr: expect.stringMatching(sentence) });
  });
});

describe('Ctrl-C while SQS is silent', () => {
  const file = fileURLToPath(new URL('../../data/orders-2011-08-12.csv', import.meta.url));
  const nothing = /^sluice: interrupted; nothing was sent/;

  test.each([
    ['after a message went out says that it may have been sent', oneMessage, true, 'SendMessage', /may have been sent/],
    ['before a message went out says that nothing was sent', oneMessage, false, 'GetQueueUrl', nothing],
    ['before a file went out says that nothing was sent', [file], false, 'GetQueueUrl', nothing],
  ])('%s', async (_, args, answersAddress, last, sentence) => {
    const folder = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: folder });
    afterwards(() => run.close());
    const { asked, sqsEndpoint } = await makeSilentSqs(answersAddress);
    announceLiveRun(run.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint });
    const sending = new Sluice(['send', '--local', ...args], folder);
    await eventually(`${last} among ${asked}`, () => asked.at(-1) === last);
    sending.signal('SIGINT');
    const { status, stderr } = await sending.ended;
    expect({ status, stderr }).toEqual({ status: 130, stderr: expect.stringMatching(sentence) });
  });

  test('a run on this machine that has gone is not advised to be sent to with --local', async () => {
    const folder = await temporaryFolder();
    const run = createRunFolder({ temporaryFolder: folder });
    afterwards(() => run.close());
    announceLiveRun(run.path, { stage: 'dev', region: 'us-east-1', sqsEndpoint: 'http://127.0.0.1:1' });
    const { status, stderr } = await sluice(['send', '--local', ...oneMessage], folder);
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringMatching(/\)\. Look at the terminal of the run/),
    });
  });
});

describe('the command line', () => {
  const commands = ['start', 'send', 'resources', 'image', 'add worker'];
  test.each(commands)('explains %s, with examples, in lines of 80 columns', async (command) => {
    const { status, stdout } = await sluice([...command.split(' '), '--help'], await temporaryFolder());
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('Examples:') });
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  test('explains itself in lines of 80 columns, and has no command but these', async () => {
    const { stdout } = await sluice(['--help'], await temporaryFolder());
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    const commands = stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)/gm);
    expect([...commands].map(([, name]) => name)).toEqual(['start', 'send', 'resources', 'image', 'add', 'help']);
  });

  test('ends without a word when its reader has gone, as with `| head`', async () => {
    // By now nobody reads what it prints.
    const line = `"${process.execPath}" "${SLUICE}" --help | true; exit "\${PIPESTATUS[0]}"`;
    const { stderr } = await promisify(execFile)('bash', ['-c', line]);
    expect(stderr).toBe('');
  });

  test('lists the resources in lines of 80 columns', async () => {
    const { status, stdout } = await sluice(['resources'], await temporaryFolder());
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(`AWS::SQS::Queue +${2 * workloadNames.length} +a queue`),
    });
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  test.each([
    [['fly']],
    [['start', '--workers', '0']],
    [['start', '--wings']],
    [['start', '--stage', 'dev', '--assembly', 'cdk.out']],
    [['start', '--stage', 'moon']],
    [['send']],
    [['send', '--queue', 'orders']],
    [['send', '--queue', 'orders', '--payload', '{']],
    [['send', '--queue', 'orders', '--body', 'x', '--group', 'a']],
    [['send', '--queue', 'ledger', '--body', 'x']],
    [['send', 'orders.csv', '--queue', 'orders', '--body', 'x']],
    [['send', 'orders.csv', '--body', 'x']],
    [['add', 'worker']],
    [['add', 'worker', 'Parcels']],
    [['add', 'worker', 'orders']],
    [['add', 'worker', 'database']],
    [['add', 'worker', 'orders-dlq']],
    [['add', 'worker', 'constructor']],
    [['add', 'worker', 'a'.repeat(41)]],
  ])('refuses %j with status 2', async (args) => {
    const { status, stderr } = await sluice(args, await temporaryFolder());
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('error:') });
  });

  test.each([
    ['what cannot run', ['start', '--report', '/nowhere/report.json']],
    ['what is wrong with the command', ['start', '--sqs-port', '65536']],
  ])('tells %s in lines of 80 columns on a terminal, and in one elsewhere', async (_, args) => {
    const folder = await temporaryFolder();
    const onTerminal = { NODE_OPTIONS: '--import=data:text/javascript,process.stderr.isTTY=true' };
    const [shown, piped] = [await sluice(args, folder, onTerminal), await sluice(args, folder)];
    const [wide, ...others] = piped.stderr.split('\n').filter((line) => line.length > 80);
    expect([typeof wide, others]).toEqual(['string', []]);
    expect(shown.stderr.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(shown.stderr.replaceAll('\n  ', ' ')).toBe(piped.stderr);
  });

  test('shows where an error came from only when asked', async () => {
    const folder = await temporaryFolder();
    const plain = await sluice(['send', 'none.csv'], folder);
    const verbose = await sluice(['--verbose', 'send', 'none.csv'], folder);
    expect(plain.stderr).not.toContain('    at ');
    expect(verbose.stderr).toContain('    at ');
  });
});
