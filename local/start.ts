/**
 * The local run: the synthesized app on this machine, real orders through it, and the balance at the end.
 *
 *   sweep → try what a person named → synthesize, survey the file, start the servers (at once) → queues, migrations
 *   → fleets → send → watch → drain → balance → clear away
 *
 * Holds always: whatever was started is stopped and cleared away on every way out, and the balance is taken while
 * queues and tables still stand.
 */
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type FilePlan, readOrders, surveyRetailFile } from '../producer/retail-file.ts';
import {
  createProducerClient,
  SendError,
  type SendSummary,
  sendBatchWith,
  sendOrders,
} from '../producer/send-orders.ts';
import { migrate } from '../workers/store/migrate.ts';
import { announcement, hints } from './announcement.ts';
import { readAssembly } from './assembly/assembly.ts';
import { countResourceTypes, type ResourceTypeCount } from './assembly/resource-types.ts';
import { queueUrl, readSystem, type Servers, type System } from './assembly/system.ts';
import { isComplete, isExact, type QueueBalance } from './balance.ts';
import { type Credentials, credentialsFrom } from './credentials.ts';
import { wrapped } from './eighty-columns.ts';
import type { LocalFleet } from './fleet.ts';
import { hireFleets } from './hiring.ts';
import { announceLiveRun } from './live-run.ts';
import { POSTGRES_PRODUCT } from './machine/embedded-postgres.ts';
import { SQS_PRODUCT } from './machine/embedded-sqs.ts';
import { requireFreePort } from './machine/ports.ts';
import { startReaper } from './machine/reaper.ts';
import { createRunFolder, type RunFolder, sweepLeftRuns } from './machine/run-folder.ts';
import { isEmpty, Monitor, type WorkQueue } from './monitor.ts';
import { type RunReport, readTimings, reportOf } from './report.ts';
import { numberOf, Screen } from './screen.ts';
import { SentJournal } from './sent-journal.ts';
import { openPostgres, openSqs, type PostgresServer, type SqsServer } from './servers.ts';
import { synthesize } from './synthesize.ts';
import { balanceQueues } from './take-balances.ts';

/** A database that was killed is back within a second or two. */
const BALANCE_MS_MAX = 15_000;
const BALANCE_PAUSE_MS = 500;
const DEFAULT_REGION = 'us-east-1';

export const SAMPLE_FILE = fileURLToPath(new URL('../data/orders-2011-08-12.csv', import.meta.url));
const SAMPLE_TITLE = '12 August 2011 (Online Retail, CC BY 4.0)';

export interface StartOptions {
  readonly stage: string;
  /** @default the sample that comes with the repository */
  readonly input: string | undefined;
  /** Workers per fleet. @default each fleet's minimum, at least 1 */
  readonly workers: number | undefined;
  /** Ends when everything sent has arrived. */
  readonly once: boolean;
  readonly reportFile: string | undefined;
  readonly keep: boolean;
  readonly dataFolder: string | undefined;
  readonly sqsPort: number | undefined;
  readonly postgresPort: number | undefined;
  readonly environment: NodeJS.ProcessEnv;
  readonly output: NodeJS.WriteStream;
  /** Ctrl-C: drains, prints the balance, clears away. */
  readonly signal: AbortSignal;
}

export interface RunResult {
  /** Nothing is lost, stored twice, out of order, or dead without a reason of its own. */
  readonly exact: boolean;
  /** Nothing is waiting either. */
  readonly complete: boolean;
  readonly interrupted: boolean;
}

/** @throws Error in one sentence when the run cannot start or cannot go on. */
export async function startLocal(options: StartOptions): Promise<RunResult> {
  await checkReportFile(options.reportFile);
  await sweepLeftRuns();
  const run = createRunFolder({ keep: options.keep });
  const reaper = await startReaper(run);
  const local = new LocalRun(options, run);
  try {
    return await local.run();
  } finally {
    await local.close();
    await run.close();
    await reaper.dismiss();
    if (options.keep) options.output.write(`\nData and logs are left in ${run.path}\n`);
  }
}

class LocalRun {
  readonly #options: StartOptions;
  readonly #run: RunFolder;
  readonly #screen: Screen;
  readonly #startedAt = new Date(performance.timeOrigin);
  /** Aborts at Ctrl-C and when the run cannot go on. */
  readonly #stop = new AbortController();
  readonly #region: string;
  readonly #credentials: Credentials;
  readonly #journal: SentJournal;
  readonly #events = {
    onEvent: (event: string) => this.#screen.warn(event),
    onFailure: (error: Error) => this.#fail(error),
  };
  #failure: Error | undefined;
  /** Settles when nothing more is being sent, well or not. */
  #sending: Promise<void> = Promise.resolve();
  #sqs: SqsServer | undefined;
  #postgres: PostgresServer | undefined;
  #fleets: LocalFleet[] = [];

  constructor(options: StartOptions, run: RunFolder) {
    this.#options = options;
    this.#run = run;
    this.#screen = new Screen(options.output);
    this.#journal = new SentJournal(run.path);
    this.#region = options.environment.AWS_REGION || options.environment.AWS_DEFAULT_REGION || DEFAULT_REGION;
    this.#credentials = credentialsFrom(options.environment);
    options.signal.addEventListener('abort', () => this.#stop.abort(), { once: true });
    if (options.signal.aborted) this.#stop.abort();
  }

  async run(): Promise<RunResult> {
    const input = this.#options.input ?? SAMPLE_FILE;
    const { plan, system, servers, resources, sqs, postgres, synthesisSeconds } = await this.#prepare(input);
    for (const queue of system.queues) await sqs.control.createQueue(queue);
    await this.#tellLeftMessages(system, servers, sqs);
    const queues = hireFleets({
      ...this.#events,
      run: this.#run,
      system,
      servers,
      databaseUrl: postgres.url,
      credentials: this.#credentials,
      environment: this.#options.environment,
      workers: this.#options.workers,
    });
    this.#fleets = queues.map(({ fleet }) => fleet);
    await this.#migrateAndAnnounce(system, resources, sqs, postgres);
    await Promise.all(this.#fleets.map((fleet) => fleet.start()));
    const summary = await this.#sendAndWatch(
      plan,
      queues,
      new Monitor(queues, sqs.control, postgres.pool, this.#events.onEvent),
      postgres,
    );
    if (this.#options.signal.aborted) this.#screen.line('\nDraining; Ctrl-C again stops at once');
    await this.#drain(postgres);
    await this.#journal.close();
    const balances = await this.#balances(queues, sqs, postgres);
    await this.#finish(plan, balances, summary, synthesisSeconds, resources);
    if (this.#failure !== undefined) throw this.#failure;
    return {
      exact: balances.every(isExact),
      complete: isComplete(balances),
      interrupted: this.#options.signal.aborted,
    };
  }

  /** Everything that does not wait for anything else, at once; before that what a person named, so that a slip is told at once. */
  async #prepare(input: string) {
    const { environment, stage } = this.#options;
    const what = this.#options.input ?? 'the sample';
    this.#screen.line(wrapped(`Synthesizing the stage ${stage}, starting the servers, reading ${what} …`));
    this.#screen.line();
    const givenUp = new AbortController();
    const giveUp = () => givenUp.abort();
    const signal = AbortSignal.any([this.#stop.signal, givenUp.signal]);
    // Set and empty counts as unset: the SDK would take it for AWS itself.
    const endpoint = environment.AWS_ENDPOINT_URL_SQS || environment.AWS_ENDPOINT_URL || undefined;
    const url = environment.DATABASE_URL || undefined;
    const { begun, surveyed } = this.#survey(input, signal);
    const [, givenSqs, givenPostgres] = await allOf(
      [
        begun,
        endpoint === undefined ? this.#freePort(this.#options.sqsPort, SQS_PRODUCT) : this.#openSqs(endpoint),
        url === undefined ? this.#freePort(this.#options.postgresPort, POSTGRES_PRODUCT) : this.#openPostgres(url),
      ],
      giveUp,
    );
    const [plan, { assembly, seconds }, sqs, postgres] = await allOf(
      [
        surveyed,
        this.#synthesize(stage, signal),
        givenSqs ?? this.#openSqs(undefined),
        givenPostgres ?? this.#openPostgres(undefined),
      ],
      giveUp,
    );
    const database = new URL(postgres.url);
    const servers: Servers = {
      accountId: sqs.accountId,
      region: this.#region,
      sqsEndpoint: sqs.endpoint,
      databaseHost: database.hostname,
      databasePort: Number(database.port || 5432),
    };
    const stacks = readAssembly(assembly);
    return {
      plan,
      sqs,
      postgres,
      resources: countResourceTypes(stacks),
      system: readSystem(stacks, servers),
      servers,
      synthesisSeconds: seconds,
    };
  }

  async #freePort(port: number | undefined, product: string): Promise<undefined> {
    if (port !== undefined) await requireFreePort(port, product);
    return undefined;
  }

  async #openSqs(endpoint: string | undefined): Promise<SqsServer> {
    this.#sqs = await openSqs({
      ...this.#events,
      run: this.#run,
      endpoint,
      port: this.#options.sqsPort,
      region: this.#region,
      credentials: this.#credentials,
    });
    return this.#sqs;
  }

  async #openPostgres(url: string | undefined): Promise<PostgresServer> {
    const { postgresPort: port, dataFolder } = this.#options;
    this.#postgres = await openPostgres({ ...this.#events, run: this.#run, url, port, dataFolder });
    return this.#postgres;
  }

  /** `begun` when a block of its lines, or all of them, was read: most files that cannot be read show it there. */
  #survey(input: string, signal: AbortSignal): { begun: Promise<unknown>; surveyed: Promise<FilePlan> } {
    const startedMs = performance.now();
    const firstBlock = Promise.withResolvers<void>();
    const surveyed = surveyRetailFile(input, {
      signal,
      onProgress: ({ kilobytesRead: done, kilobytesTotal: total }) => {
        // At the end of the file its last lines are still to be read.
        if (done < total) firstBlock.resolve();
        const seconds = (performance.now() - startedMs) / 1000;
        this.#screen.reading({ verb: 'read', done, total, unit: 'kB', seconds });
      },
    });
    // Asked for later, and not at all when something else cannot be used.
    surveyed.catch(() => undefined);
    return { begun: Promise.race([firstBlock.promise, surveyed]), surveyed };
  }

  async #synthesize(stage: string, signal: AbortSignal): Promise<{ assembly: string; seconds: number }> {
    const assembly = join(this.#run.path, 'assembly');
    const startedMs = performance.now();
    await synthesize({ run: this.#run, stage, folder: assembly, signal });
    return { assembly, seconds: (performance.now() - startedMs) / 1000 };
  }

  /** They are worked off with this run's, and may come before them. */
  async #tellLeftMessages(system: System, servers: Servers, sqs: SqsServer): Promise<void> {
    for (const { name, deadLetterQueueName } of system.queues) {
      if (deadLetterQueueName === undefined) continue;
      const { visible, inFlight, delayed } = await sqs.control.depth(queueUrl(servers, name));
      const left = visible + inFlight + delayed;
      if (left > 0)
        this.#screen.warn(`${name} holds ${numberOf(left, 'message')} of an earlier send, to be worked off too`);
    }
  }

  async #migrateAndAnnounce(
    system: System,
    resources: readonly ResourceTypeCount[],
    sqs: SqsServer,
    postgres: PostgresServer,
  ): Promise<void> {
    const migrations = await migrate({ name: 'url', url: postgres.url }, undefined);
    const { rows } = await postgres.pool.query<{ name: string }>(
      'select name from sluice_migrations order by id desc limit 1',
    );
    const { stage } = this.#options;
    this.#screen.line(
      announcement({
        stage,
        system,
        resources,
        sqsEndpoint: sqs.endpoint,
        postgres,
        migrated: `${migrations.length === 0 ? 'already at' : 'migrated to'} ${rows[0]?.name ?? 'nothing'}`,
        workers: this.#fleets.map(({ workers }) => workers),
        logs: this.#run.logPath('*'),
      }),
    );
    announceLiveRun(this.#run.path, { stage, region: this.#region, sqsEndpoint: sqs.endpoint });
  }

  async #sendAndWatch(
    plan: FilePlan,
    queues: readonly WorkQueue[],
    monitor: Monitor,
    postgres: PostgresServer,
  ): Promise<SendSummary | undefined> {
    const total = plan.messages.orders + plan.messages.ledger;
    const title = this.#options.input === undefined ? SAMPLE_TITLE : this.#options.input;
    this.#screen.line(wrapped(`Sending ${numberOf(plan.orders, 'order')} (${numberOf(total, 'message')}) of ${title}`));
    if (!this.#options.once) this.#screen.line(hints(postgres, this.#fleets));
    const startedMs = performance.now();
    let accepted = 0;
    let seconds = 0;
    let sent = false;
    const sending = this.#send(plan, queues, (messages) => {
      accepted = messages;
      seconds = (performance.now() - startedMs) / 1000;
    }).finally(() => {
      sent = true;
    });
    // Told below; this only keeps it from being unhandled while the watch goes on.
    this.#sending = sending.then(
      () => {},
      (error: Error) => this.#fail(error),
    );
    const moved = await monitor.watch(
      (sample) => this.#options.once && sent && isEmpty(sample),
      (sample) => this.#screen.show(sample, { verb: 'sent', done: accepted, total, unit: 'messages', seconds }),
      this.#stop.signal,
    );
    if (!moved)
      this.#fail(
        new Error('nothing has moved for 20 minutes, so the run was given up; the logs say what the workers met'),
      );
    this.#screen.settle();
    return sending.catch(() => undefined);
  }

  async #send(
    plan: FilePlan,
    queues: readonly WorkQueue[],
    onProgress: (accepted: number) => void,
  ): Promise<SendSummary> {
    const urlOf = (name: string) => {
      const queue = queues.find((candidate) => candidate.name === name);
      if (queue === undefined) throw new Error(`the assembly has no fleet ${name} to send to`);
      return queue.url;
    };
    const client = createProducerClient({
      endpoint: this.#sqs!.endpoint,
      region: this.#region,
      ...(this.#credentials.provider === undefined ? {} : { credentials: this.#credentials.provider }),
    });
    try {
      return await sendOrders({
        orders: readOrders(plan),
        queueUrls: { orders: urlOf('orders'), ledger: urlOf('ledger') },
        sendBatch: sendBatchWith(client),
        messagesTotal: plan.messages.orders + plan.messages.ledger,
        signal: this.#stop.signal,
        onAccepted: (message) => this.#journal.accepted(message),
        onProgress: ({ acceptedMessages }) => onProgress(acceptedMessages),
      });
    } finally {
      client.destroy();
    }
  }

  /** @throws Error when the database is silent: then the workers have nothing to wait for, and there is no balance. */
  async #drain(postgres: PostgresServer): Promise<void> {
    const stopping = this.#fleets.map((fleet) => fleet.stop());
    const killing = postgres.isSilent().then(async (silent) => {
      if (silent) await Promise.all(this.#fleets.map((fleet) => fleet.kill()));
      return silent;
    });
    const [silent] = await Promise.all([killing, ...stopping]);
    if (silent) throw this.#failure ?? noBalance(postgres);
  }

  /** The database may be on its way back at this moment; a run that failed does not wait for it. */
  async #balances(queues: readonly WorkQueue[], sqs: SqsServer, postgres: PostgresServer): Promise<QueueBalance[]> {
    const giveUpAtMs = performance.now() + (this.#failure === undefined ? BALANCE_MS_MAX : 0);
    for (;;) {
      try {
        return await balanceQueues(queues, this.#journal, sqs.control, postgres.pool, this.#startedAt);
      } catch (error) {
        if (this.#failure !== undefined) throw this.#failure;
        if (await postgres.isSilent()) throw noBalance(postgres, error);
        if (performance.now() > giveUpAtMs)
          throw new Error(`cannot take the balance: ${String(error)}`, { cause: error });
        await sleep(BALANCE_PAUSE_MS);
      }
    }
  }

  async #finish(
    plan: FilePlan,
    balances: readonly QueueBalance[],
    summary: SendSummary | undefined,
    synthesisSeconds: number,
    resources: readonly ResourceTypeCount[],
  ): Promise<void> {
    const report: RunReport = reportOf({
      options: this.#options,
      startedAt: this.#startedAt,
      plan,
      balances,
      interrupted: this.#options.signal.aborted,
      producerRequests: summary?.requests ?? 0,
      fleets: this.#fleets,
      resources,
      timings: await readTimings(this.#postgres!.pool, this.#startedAt, synthesisSeconds, summary?.seconds),
    });
    const { storedSeconds, totalSeconds } = report.timings;
    const { perMessage } = report.requests;
    const requests = perMessage === null ? '' : ` · ${perMessage.toFixed(2)} SQS requests a message`;
    this.#screen.balance(balances, `${(storedSeconds ?? totalSeconds).toFixed(1)} s${requests}`);
    if (this.#options.reportFile !== undefined) {
      await writeFile(this.#options.reportFile, `${JSON.stringify(report, null, 2)}\n`);
      this.#screen.line(`  report: ${this.#options.reportFile}`);
    }
  }

  #fail(error: Error): void {
    // A send that Ctrl-C or an earlier failure cut short is not another failure.
    if (this.#stop.signal.aborted && error instanceof SendError) return;
    this.#failure ??= error;
    this.#stop.abort();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#fleets.map((fleet) => fleet.stop()));
    await this.#sending;
    await this.#journal.close().catch((error: Error) => this.#fail(error));
    await this.#postgres?.stop();
    await this.#sqs?.stop();
  }
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

function noBalance({ url }: PostgresServer, cause?: unknown): Error {
  return new Error(
    `cannot take the balance, because PostgreSQL at ${new URL(url).host} does not answer. Press Ctrl-C when it does to have one.`,
    { cause },
  );
}

/** Known before the run rather than after it, when the figures would be lost. */
async function checkReportFile(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  try {
    await appendFile(path, '');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `cannot write the report to ${path} (${reason}). Name a file in a folder that exists and is yours.`,
      {
        cause: error,
      },
    );
  }
}
