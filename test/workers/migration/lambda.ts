/** The migration step as Lambda runs it: its bundle in a process for each call, and CloudFormation waiting for the answer. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll } from '@jest/globals';
import { z } from 'zod';
import { bundleWorker } from '../../../lib/constructs/worker-build.ts';
import { COMPILE_CACHE_FOLDER } from '../../../local/compile-cache.ts';
import { portOf } from '../../../local/machine/ports.ts';
import { afterwards } from '../../local/machine/machine.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  bundleWorker('workers/migration/handler.ts', folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A migration after all others, for one test. */
export function addMigration(sql: string, name = '900_of_the_test'): void {
  const file = join(folder, 'migrations', `${name}.sql`);
  writeFileSync(file, `-- Up Migration\n${sql}\n-- Down Migration\n`);
  afterwards(() => rmSync(file));
}

const answerSchema = z.object({
  Status: z.enum(['SUCCESS', 'FAILED']),
  Reason: z.string().optional(),
  StackId: z.string(),
  RequestId: z.string(),
  LogicalResourceId: z.string(),
  PhysicalResourceId: z.string(),
  Data: z.object({ Migrations: z.string().optional() }).optional(),
});

type Answer = z.infer<typeof answerSchema>;

/** The bucket that CloudFormation lets a custom resource put its answer into. */
export async function cloudFormation(statusOf: (call: number) => number = () => 200) {
  const answers: Answer[] = [];
  const calls: IncomingMessage[] = [];
  const bytes: number[] = [];
  const server = createServer((request, response) => {
    calls.push(request);
    const status = statusOf(calls.length);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      bytes.push(body.length);
      if (status === 200) answers.push(answerSchema.parse(JSON.parse(body.toString())));
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  return { answers, calls, bytes, url: `http://127.0.0.1:${portOf(server)}/answer?signature=of-nobody` };
}

export interface Call {
  readonly type: 'Create' | 'Update' | 'Delete';
  readonly responseUrl: string;
  /** Nothing of this process's own is there. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly remainingMs?: number;
}

/** One invocation, in a process of its own as Lambda has one for each. */
export async function invoke({ type, responseUrl, environment = {}, remainingMs = 900_000 }: Call) {
  const event = {
    RequestType: type,
    ResponseURL: responseUrl,
    StackId: 'arn:aws:cloudformation:eu-central-1:000000000000:stack/sluice-dev-schema/1',
    RequestId: 'request-1',
    LogicalResourceId: 'MigrationResource',
    ResourceType: 'Custom::SluiceSchema',
    ResourceProperties: { migrations: 'digest' },
    ...(type === 'Create' ? {} : { PhysicalResourceId: 'made-before' }),
  };
  const script = `
    const { handler } = await import(${JSON.stringify(pathToFileURL(join(folder, 'index.mjs')).href)});
    await handler(${JSON.stringify(event)}, { getRemainingTimeInMillis: () => ${remainingMs} });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE_FOLDER, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += String(text);
  });
  child.stderr.on('data', (text) => {
    output += String(text);
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  return { status, output };
}
