/**
 * All that a run needs before it has a queue or a worker: the plan of its file, the system to run, and both servers.
 *
 *   try what a person named: the file's first block, ports, servers of their own
 *   → synthesize, survey the whole file, start the other servers (at once) → resolve the assembly
 *
 * Holds always: nothing is started before what a person named was tried, so that a slip is told at once; when it ends,
 * well or not, nothing more is being started or synthesized. Of a server `onOpened` is told as soon as it is open,
 * whatever becomes of the rest: whoever prepares is the one to stop it.
 */
import { join } from 'node:path';
import { type FilePlan, surveyRetailFile } from '../producer/retail-file.ts';
import { readAssembly } from './assembly/assembly.ts';
import { countResourceTypes, type ResourceTypeCount } from './assembly/resource-types.ts';
import { readSystem, type Servers, type System } from './assembly/system.ts';
import { type Credentials, credentialsFrom } from './credentials.ts';
import { POSTGRES_PRODUCT } from './machine/embedded-postgres.ts';
import { SQS_PRODUCT } from './machine/embedded-sqs.ts';
import { requireFreePort } from './machine/ports.ts';
import type { RunFolder } from './machine/run-folder.ts';
import { namedSqs } from './named-sqs.ts';
import type { ScreenProgress } from './screen.ts';
import { openPostgres, openSqs, type PostgresServer, type ServerEvents, type SqsServer } from './servers.ts';
import { synthesize } from './synthesize.ts';

const DEFAULT_REGION = 'us-east-1';

export interface PreparationOptions extends ServerEvents {
  readonly run: RunFolder;
  readonly stage: string;
  /** Of a system that is synthesized already. */
  readonly assembly: string | undefined;
  /** The file of orders. */
  readonly input: string;
  readonly dataFolder: string | undefined;
  readonly sqsPort: number | undefined;
  readonly postgresPort: number | undefined;
  /** Of the person who started the run: it may name servers that run already. */
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly onReading: (progress: ScreenProgress) => void;
  readonly onOpened: (server: SqsServer | PostgresServer) => void;
}

export interface Preparation {
  readonly plan: FilePlan;
  readonly stage: string;
  readonly system: System;
  readonly resources: readonly ResourceTypeCount[];
  /** Null when there was nothing to synthesize. */
  readonly synthesisSeconds: number | null;
  readonly sqs: SqsServer;
  readonly postgres: PostgresServer;
  /** Where both are, in the template's terms. */
  readonly servers: Servers;
  readonly credentials: Credentials;
}

/** @throws Error in one sentence, the first that there is; RetailFileError when the file is at fault. */
export async function prepare(options: PreparationOptions): Promise<Preparation> {
  const { environment, dataFolder, sqsPort, postgresPort } = options;
  const region = environment.AWS_REGION || environment.AWS_DEFAULT_REGION || DEFAULT_REGION;
  const credentials = credentialsFrom(environment);
  const givenUp = new AbortController();
  const giveUp = () => givenUp.abort();
  const signal = AbortSignal.any([options.signal, givenUp.signal]);
  const opened = <Server extends SqsServer | PostgresServer>(server: Server): Server => {
    options.onOpened(server);
    return server;
  };
  const sqsAt = (endpoint: string | undefined) =>
    openSqs({ ...options, endpoint, port: sqsPort, region, credentials }).then(opened);
  const postgresAt = (url: string | undefined) =>
    openPostgres({ ...options, url, port: postgresPort, dataFolder }).then(opened);
  const endpoint = namedSqs(environment);
  const url = environment.DATABASE_URL || undefined;
  const given = options.assembly === undefined ? undefined : readAssembly(options.assembly);
  const { begun, surveyed } = survey({ ...options, signal });
  const [, givenSqs, givenPostgres] = await allOf(
    [
      begun,
      endpoint === undefined ? freePort(sqsPort, SQS_PRODUCT) : sqsAt(endpoint),
      url === undefined ? freePort(postgresPort, POSTGRES_PRODUCT) : postgresAt(url),
    ],
    giveUp,
  );
  const [plan, { assembly, seconds }, sqs, postgres] = await allOf(
    [
      surveyed,
      synthesized({ ...options, signal }),
      givenSqs ?? sqsAt(undefined),
      givenPostgres ?? postgresAt(undefined),
    ],
    giveUp,
  );
  const database = new URL(postgres.url);
  const servers: Servers = {
    accountId: sqs.accountId,
    region,
    sqsEndpoint: sqs.endpoint,
    databaseHost: database.hostname,
    databasePort: Number(database.port || 5432),
  };
  const stacks = given ?? readAssembly(assembly);
  const system = readSystem(stacks, servers);
  return {
    plan,
    stage: options.assembly === undefined ? options.stage : stageOf(system, options.assembly),
    system,
    resources: countResourceTypes(stacks),
    synthesisSeconds: seconds,
    sqs,
    postgres,
    servers,
    credentials,
  };
}

async function freePort(port: number | undefined, product: string): Promise<undefined> {
  if (port !== undefined) await requireFreePort(port, product);
  return undefined;
}

/** `begun` when a block of its lines, or all of them, was read: most files that cannot be read show it there. */
function survey({ input, signal, onReading }: Pick<PreparationOptions, 'input' | 'signal' | 'onReading'>): {
  begun: Promise<unknown>;
  surveyed: Promise<FilePlan>;
} {
  const startedMs = performance.now();
  const firstBlock = Promise.withResolvers<void>();
  const surveyed = surveyRetailFile(input, {
    signal,
    onProgress: ({ kilobytesRead: done, kilobytesTotal: total }) => {
      // At the end of the file its last lines are still to be read.
      if (done < total) firstBlock.resolve();
      onReading({ verb: 'read', done, total, unit: 'kB', seconds: (performance.now() - startedMs) / 1000 });
    },
  });
  // Asked for later, and not at all when something else cannot be used.
  surveyed.catch(() => undefined);
  return { begun: Promise.race([firstBlock.promise, surveyed]), surveyed };
}

async function synthesized(options: Pick<PreparationOptions, 'run' | 'stage' | 'assembly' | 'signal'>) {
  const { run, stage, signal } = options;
  if (options.assembly !== undefined) return { assembly: options.assembly, seconds: null };
  const assembly = join(run.path, 'assembly');
  const startedMs = performance.now();
  await synthesize({ run, stage, folder: assembly, signal });
  return { assembly, seconds: (performance.now() - startedMs) / 1000 };
}

/** As its workers are told. */
function stageOf({ fleets }: System, assembly: string): string {
  const stages = new Set(fleets.map(({ environment }) => environment.STAGE));
  const [stage] = stages;
  if (stages.size === 1 && stage !== undefined) return stage;
  throw new Error(`the assembly in ${assembly} is not of one stage; synthesize it again with npx cdk synth`);
}

/**
 * All of them come to an end before the first error is told, so that nothing starts after the clearing away.
 *
 * @param giveUp called at the first error: the others need not go on
 */
async function allOf<Values extends readonly unknown[] | []>(
  values: Values,
  giveUp: () => void,
): Promise<{ -readonly [Index in keyof Values]: Awaited<Values[Index]> }> {
  const all = Promise.all(values);
  all.catch(giveUp);
  await Promise.allSettled(values);
  return all;
}
