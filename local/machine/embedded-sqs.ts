/**
 * An SQS-compatible server for one run, on this machine and reachable from this machine alone.
 *
 * It has a process of its own (sqs-server.ts), so that it and the run do not take turns on one event loop. Its messages
 * are in memory: they go when it ends.
 */
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { COMPILE_CACHE_FOLDER } from '../compile-cache.ts';
import { type ProcessExit, type RunningProcess, startProcess } from './child-process.ts';
import { LOOPBACK, portError } from './ports.ts';
import type { RunFolder } from './run-folder.ts';

const PROCESS_NAME = 'sqs';
/** As messages name it. */
export const SQS_PRODUCT = 'the SQS server';
/** Loading it takes 0.2 s, many times that on a machine that is busy. */
const READY_WAIT_MS = 20_000;
/** It has nothing to save: what takes longer hangs. */
const STOP_WAIT_MS = 2_000;

/** What sqs-server.ts says once: where it listens, or the system's error code. */
export const sqsServerReportSchema = z.union([
  z.object({ port: z.int().min(1) }),
  z.object({ code: z.string(), message: z.string() }),
]);

export type SqsServerReport = z.infer<typeof sqsServerReportSchema>;

export interface EmbeddedSqsOptions {
  readonly run: RunFolder;
  /** @default a free one */
  readonly port?: number | undefined;
}

export interface EmbeddedSqs {
  /** What AWS_ENDPOINT_URL_SQS has to be. The queue URLs that it gives out name this host, too. */
  readonly endpoint: string;
  readonly port: number;
  readonly logFile: string;
  /** Settles when the server has ended, asked to or not. */
  readonly exited: Promise<ProcessExit>;
  stop(): Promise<void>;
}

/**
 * Starts the server and waits until it listens.
 *
 * @throws Error in one sentence, when its port is in use; with its last words when it does not come up.
 */
export async function startEmbeddedSqs({ run, port = 0 }: EmbeddedSqsOptions): Promise<EmbeddedSqs> {
  const logFile = run.logPath(PROCESS_NAME);
  const report = Promise.withResolvers<SqsServerReport>();
  const lastWords: string[] = [];
  const server = await startProcess({
    run,
    name: PROCESS_NAME,
    command: process.execPath,
    args: [fileURLToPath(new URL('./sqs-server.ts', import.meta.url)), String(port)],
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE_FOLDER },
    logFile,
    onLine: (line) => {
      if (lastWords.push(line) > 8) lastWords.shift();
    },
    onMessage: (message) => report.resolve(sqsServerReportSchema.parse(message)),
  });
  const listening = await listeningPort(server, report.promise, port, lastWords);
  run.recordPort(PROCESS_NAME, listening);
  return {
    endpoint: `http://${LOOPBACK}:${listening}`,
    port: listening,
    logFile,
    exited: server.exited,
    stop: async () => {
      await server.stop('SIGTERM', STOP_WAIT_MS);
    },
  };
}

async function listeningPort(
  server: RunningProcess,
  reported: Promise<SqsServerReport>,
  port: number,
  lastWords: readonly string[],
): Promise<number> {
  const ended = server.endsWithin(READY_WAIT_MS).then(() => undefined);
  const report = await Promise.race([reported, ended]);
  if (report !== undefined && 'port' in report) return report.port;
  await server.stop('SIGKILL', STOP_WAIT_MS);
  if (report !== undefined)
    throw portError(Object.assign(new Error(report.message), { code: report.code }), port, SQS_PRODUCT);
  throw new Error(`${SQS_PRODUCT} does not come up. Its last words:\n  ${lastWords.join('\n  ')}`);
}
