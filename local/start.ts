/**
 * The local run: the synthesized app on this machine, real orders through it, and the balance at the end.
 *
 *   sweep → prepare: try what a person named, then synthesize, survey the file and start the servers (at once)
 *   → queues, migrations → fleets → send → watch → drain → balance → clear away
 *
 * Holds always: whatever was started is stopped and cleared away on every way out, and the balance is taken while
 * queues and tables still stand. Only this file changes what the run has going and why it failed: the steps beside it,
 * which do the work, tell it.
 */
import { fileURLToPath } from 'node:url';
import { SendError, type SendSummary } from '../producer/send-orders.ts';
import { migrate } from '../workers/store/migrate.ts';
import { announcement, hints } from './announcement.ts';
import type { QueueBalance } from './balance.ts';
import { drain, lastBalances, noBalance } from './drain-and-balance.ts';
import { wrapped } from './eighty-columns.ts';
import { FileSending } from './file-sending.ts';
import type { LocalFleet } from './fleet.ts';
import { hireFleets } from './hiring.ts';
import { announceLiveRun } from './live-run.ts';
import { startReaper } from './machine/reaper.ts';
import { createRunFolder, type RunFolder, sweepLeftRuns } from './machine/run-folder.ts';
import { makeQueues } from './make-queues.ts';
import { isEmpty, Monitor, type WorkQueue } from './monitor.ts';
import { type Preparation, prepare } from './prepare.ts';
import { checkReportFile, costOf, type RunReport, takeReport, writeReport } from './report.ts';
import { numberOf, Screen } from './screen.ts';
import { SentJournal } from './sent-journal.ts';
import type { PostgresServer } from './servers.ts';
import { balanceQueues } from './take-balances.ts';
import { letWorkersIn } from './worker-login.ts';

export const SAMPLE_FILE = fileURLToPath(new URL('../data/orders-2011-08-12.csv', import.meta.url));
const SAMPLE_TITLE = '12 August 2011 (Online Retail, CC BY 4.0)';

export interface StartOptions {
  readonly stage: string;
  /** A folder that `cdk synth` wrote, which says the stage then. @default the stage is synthesized */
  readonly assembly: string | undefined;
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

/** What a script has to know of how it went. */
export type RunResult = Pick<RunReport, 'exact' | 'complete' | 'interrupted'>;

/** @throws Error in one sentence when the run cannot start or cannot go on. */
export async function startLocal(options: StartOptions): Promise<RunResult> {
  if (options.reportFile !== undefined) await checkReportFile(options.reportFile);
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
  readonly #journal: SentJournal;
  readonly #events = {
    onEvent: (event: string) => this.#screen.warn(event),
    onFailure: (error: Error) => this.#fail(error),
  };
  #failure: Error | undefined;
  /** As they were opened; the last is stopped first. */
  readonly #opened: { stop(): Promise<void> }[] = [];
  #fleets: readonly LocalFleet[] = [];
  #sending: FileSending | undefined;

  constructor(options: StartOptions, run: RunFolder) {
    this.#options = options;
    this.#run = run;
    this.#screen = new Screen(options.output);
    this.#journal = new SentJournal(run.path);
    options.signal.addEventListener('abort', () => this.#stop.abort(), { once: true });
    if (options.signal.aborted) this.#stop.abort();
  }

  async run(): Promise<RunResult> {
    const prepared = await this.#prepare().catch((error: unknown) => {
      // A server that ended stops the rest of it, which then only says that it was stopped.
      throw this.#failure ?? error;
    });
    const { system, servers, credentials, sqs, postgres } = prepared;
    const { environment, workers, signal } = this.#options;
    await makeQueues(system, servers, sqs.control, this.#events.onEvent);
    const migrations = await this.#using(postgres, migrate({ name: 'url', url: postgres.url }));
    const queues = hireFleets({
      ...this.#events,
      run: this.#run,
      system,
      servers,
      embeddedSqs: sqs.embedded,
      // A server of the person's own is left its roles as they are.
      databaseUrl: postgres.embedded
        ? await this.#using(postgres, letWorkersIn(postgres.pool, postgres.url))
        : postgres.url,
      credentials,
      environment,
      workers,
    });
    this.#fleets = queues.map(({ fleet }) => fleet);
    await this.#using(postgres, this.#announce(prepared, migrations));
    await Promise.all(this.#fleets.map((fleet) => fleet.start()));
    const sending = await this.#sendAndWatch(prepared, queues);
    if (signal.aborted) this.#screen.line('\nDraining; Ctrl-C again stops at once');
    if (!(await drain(this.#fleets, postgres))) throw this.#failure ?? noBalance(postgres);
    await this.#journal.close();
    const balances = await lastBalances(
      () => balanceQueues(queues, this.#journal, sqs.control, postgres.pool, this.#startedAt),
      postgres,
      () => this.#failure,
    );
    const { exact, complete } = await this.#report(prepared, sending, balances);
    if (this.#failure !== undefined) throw this.#failure;
    return { exact, complete, interrupted: signal.aborted };
  }

  #prepare(): Promise<Preparation> {
    const { stage, assembly, input } = this.#options;
    const template = assembly === undefined ? `Synthesizing the stage ${stage}` : `Taking the assembly in ${assembly}`;
    this.#screen.line(wrapped(`${template}, starting the servers, reading ${input ?? 'the sample'} …`));
    this.#screen.line();
    return prepare({
      ...this.#options,
      ...this.#events,
      run: this.#run,
      input: input ?? SAMPLE_FILE,
      signal: this.#stop.signal,
      onReading: (progress) => this.#screen.reading(progress),
      onOpened: (server) => this.#opened.push(server),
    });
  }

  /** From the start of the server to the start of the workers nobody waits for a database that is on its way back. */
  async #using<Result>({ url }: PostgresServer, step: Promise<Result>): Promise<Result> {
    try {
      return await step;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!/Connection terminated|ECONNREFUSED|ECONNRESET|terminating connection/.test(reason)) throw error;
      throw new Error(
        `PostgreSQL at ${new URL(url).host} went away before anything was sent (${reason}). Start again.`,
        { cause: error },
      );
    }
  }

  async #announce(
    { stage, system, resources, servers, postgres }: Preparation,
    migrations: readonly string[],
  ): Promise<void> {
    const { rows } = await postgres.pool.query<{ name: string }>(
      'select name from sluice_migrations order by id desc limit 1',
    );
    const { region, sqsEndpoint } = servers;
    this.#screen.line(
      announcement({
        stage,
        system,
        resources,
        sqsEndpoint,
        postgres,
        migrated: `${migrations.length === 0 ? 'already at' : 'migrated to'} ${rows[0]?.name ?? 'nothing'}`,
        workers: this.#fleets.map(({ workers }) => workers),
        logs: this.#run.logPath('*'),
      }),
    );
    announceLiveRun(this.#run.path, { stage, region, sqsEndpoint });
  }

  /** Until everything has arrived, with `--once`; until Ctrl-C or a failure otherwise. */
  async #sendAndWatch(prepared: Preparation, queues: readonly WorkQueue[]): Promise<SendSummary | undefined> {
    const { plan, sqs, postgres } = prepared;
    const { input, once } = this.#options;
    const messages = numberOf(plan.messages.orders + plan.messages.ledger, 'message');
    const title = input ?? SAMPLE_TITLE;
    this.#screen.line(wrapped(`Sending ${numberOf(plan.orders, 'order')} (${messages}) of ${title}`));
    if (!once) this.#screen.line(hints(postgres, this.#fleets));
    const { signal } = this.#stop;
    const sending = new FileSending({ ...this.#events, ...prepared, queues, journal: this.#journal, signal });
    this.#sending = sending;
    const moved = await new Monitor(queues, sqs.control, postgres.pool, this.#events.onEvent).watch(
      once ? (sample) => sending.hasEnded && isEmpty(sample) : undefined,
      (sample) => this.#screen.show(sample, sending.progress),
      signal,
    );
    if (!moved)
      this.#fail(
        new Error('nothing has moved for 20 minutes, so the run was given up; the logs say what the workers met'),
      );
    this.#screen.settle();
    return sending.ended;
  }

  async #report(
    prepared: Preparation,
    sending: SendSummary | undefined,
    balances: readonly QueueBalance[],
  ): Promise<RunReport> {
    const { signal, reportFile } = this.#options;
    const report = await takeReport({
      startedAt: this.#startedAt,
      prepared,
      sending,
      balances,
      fleets: this.#fleets,
      interrupted: signal.aborted,
    });
    this.#screen.balance(balances, costOf(report));
    if (reportFile !== undefined) {
      await writeReport(reportFile, report);
      this.#screen.line(`  report: ${reportFile}`);
    }
    return report;
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
    await this.#sending?.ended;
    await this.#journal.close().catch((error: Error) => this.#fail(error));
    for (const server of this.#opened.toReversed()) await server.stop();
  }
}
