/**
 * The SQS server and the PostgreSQL server of a run: embedded, or those that the environment names.
 *
 * Holds always: an embedded PostgreSQL that ends during the run is started again on its data, as RDS would; an
 * embedded SQS server that ends takes its messages with it, so the run is told and fails.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Credentials } from './credentials.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './machine/embedded-postgres.ts';
import { startEmbeddedSqs } from './machine/embedded-sqs.ts';
import type { RunFolder } from './machine/run-folder.ts';
import { SqsControl } from './sqs-control.ts';

export const EMBEDDED_ACCOUNT_ID = '000000000000';
const CONNECT_MS_MAX = 5_000;
const RESTART_PAUSE_MS = 500;
/** With pauses that grow, some fifteen seconds: what fails for longer fails for a reason that its log names. */
const RESTART_ATTEMPTS_MAX = 7;
const QUERY_MS_MAX = 10_000;
/** On a machine that is busy a connection takes a second; what takes longer hangs. */
const ANSWER_MS_MAX = 5_000;
const MONITOR_CONNECTIONS_MAX = 2;

export interface SqsServer {
  readonly endpoint: string;
  readonly embedded: boolean;
  readonly accountId: string;
  readonly control: SqsControl;
  stop(): Promise<void>;
}

export interface PostgresServer {
  /** As the owner of the tables. */
  readonly url: string;
  readonly embedded: boolean;
  /** Of the embedded one, as it runs now: it has another when it was started again. */
  readonly pid: number | undefined;
  /** For the run's own look at the tables. */
  readonly pool: pg.Pool;
  /** Whether it takes connections and answers none. One that refuses them says so at once, and may be on its way back. */
  isSilent(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface ServerEvents {
  readonly onEvent: (event: string) => void;
  readonly onFailure: (error: Error) => void;
}

export interface SqsOptions extends ServerEvents {
  readonly run: RunFolder;
  /** Of a server that runs already; undefined for the embedded one. */
  readonly endpoint: string | undefined;
  readonly port: number | undefined;
  readonly region: string;
  readonly credentials: Credentials;
}

export async function openSqs(options: SqsOptions): Promise<SqsServer> {
  if (options.endpoint !== undefined) {
    const endpoint = options.endpoint.replace(/\/+$/, '');
    const control = new SqsControl(endpoint, options.region, options.credentials);
    await control.check();
    return {
      endpoint,
      embedded: false,
      accountId: await control.accountId(),
      control,
      stop: async () => control.close(),
    };
  }
  const server = await startEmbeddedSqs({ run: options.run, port: options.port });
  const control = new SqsControl(server.endpoint, options.region, options.credentials);
  let stopping = false;
  void server.exited.then(({ code, signal }) => {
    if (stopping) return;
    options.onFailure(
      new Error(`the SQS server ended (${signal ?? `exit status ${code}`}) and its messages with it; start again`),
    );
  });
  return {
    endpoint: server.endpoint,
    embedded: true,
    accountId: EMBEDDED_ACCOUNT_ID,
    control,
    stop: async () => {
      stopping = true;
      control.close();
      await server.stop();
    },
  };
}

export interface PostgresOptions extends ServerEvents {
  readonly run: RunFolder;
  /** Of a server that runs already; undefined for the embedded one. */
  readonly url: string | undefined;
  readonly port: number | undefined;
  readonly dataFolder: string | undefined;
}

export async function openPostgres(options: PostgresOptions): Promise<PostgresServer> {
  if (options.url !== undefined) {
    if (!/^postgres(ql)?:\/\/./.test(options.url) || !URL.canParse(options.url)) {
      throw new Error(
        'DATABASE_URL is not the URL of a PostgreSQL, such as postgres://user:password@host:5432/database',
      );
    }
    const pool = monitorPool(options.url);
    try {
      await pool.query('select 1');
    } catch (error) {
      await pool.end();
      const reason = error instanceof Error ? error.message || error.name : String(error);
      const answered = error instanceof pg.DatabaseError;
      throw new Error(
        `cannot ${answered ? 'use' : 'reach'} PostgreSQL at ${withoutPassword(options.url)} (${reason}). ${answered ? 'Correct' : 'Start it, or unset'} DATABASE_URL${answered ? ', or unset it,' : ''} to use the embedded one.`,
        { cause: error },
      );
    }
    const { url } = options;
    return { url, embedded: false, pid: undefined, pool, isSilent: () => isSilent(url), stop: () => pool.end() };
  }
  const server = new RestartingPostgres(options);
  const url = await server.start();
  const pool = monitorPool(url);
  return {
    url,
    embedded: true,
    get pid() {
      return server.pid;
    },
    pool,
    isSilent: () => isSilent(url),
    // At once: the pool waits for queries that only the end of a frozen server ends.
    stop: async () => {
      await Promise.all([pool.end(), server.stop()]);
    },
  };
}

class RestartingPostgres {
  readonly #options: PostgresOptions;
  #server: EmbeddedPostgres | undefined;
  #stopping = false;

  constructor(options: PostgresOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#server?.pid;
  }

  async start(): Promise<string> {
    const { run, dataFolder } = this.#options;
    const server = await startEmbeddedPostgres({ run, dataFolder, port: this.#server?.port ?? this.#options.port });
    this.#server = server;
    void server.exited.then(async ({ code, signal }) => {
      if (this.#stopping) return;
      this.#options.onEvent(`PostgreSQL ended (${signal ?? `exit status ${code}`}); starting it again on its data`);
      await this.#startAgain();
    });
    return server.url;
  }

  /** It may be killed again while it comes back. */
  async #startAgain(): Promise<void> {
    for (let attempt = 1; !this.#stopping; attempt += 1) {
      await sleep(RESTART_PAUSE_MS * attempt);
      if (this.#stopping) return;
      try {
        await this.start();
        this.#options.onEvent(`PostgreSQL is back, pid ${this.pid}`);
        return;
      } catch (error) {
        if (attempt < RESTART_ATTEMPTS_MAX) continue;
        this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
        return;
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#server?.stop();
  }
}

/** For a look at the tables that must not wait for ever, nor fall with the server. */
export function monitorPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'sluice-monitor',
    max: MONITOR_CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: QUERY_MS_MAX,
    // A server that is frozen does not close connections, which must not hold the end of this process.
    allowExitOnIdle: true,
  });
  // Whoever asks next hears of it.
  pool.on('error', () => {});
  return pool;
}

async function isSilent(url: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: ANSWER_MS_MAX,
    query_timeout: ANSWER_MS_MAX,
  });
  client.on('error', () => {});
  const answer = client
    .connect()
    .then(() => client.query('select 1'))
    .then(
      () => false,
      () => false,
    )
    .finally(() => client.end());
  return Promise.race([answer, sleep(ANSWER_MS_MAX, true, { ref: false })]);
}

export function withoutPassword(url: string): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.toString();
}
