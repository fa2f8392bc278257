/**
 * One file of orders through fresh servers and real workers while one fault is done to them, and whether all of it is
 * where it must be.
 *
 *   servers → fleets → send, with the fault → the fault is over → everything settles → balance, judgement → clear away
 *
 * Holds always: the fault lies between the workers and the servers; whoever sends and whoever judges goes straight to
 * the servers. Whatever was started is stopped on every way out.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SQSClient } from '@aws-sdk/client-sqs';
import type pg from 'pg';
import type { AssemblyStack } from '../../local/assembly/assembly.ts';
import { readSystem, type Servers } from '../../local/assembly/system.ts';
import type { QueueBalance } from '../../local/balance.ts';
import { credentialsFrom } from '../../local/credentials.ts';
import type { LocalFleet } from '../../local/fleet.ts';
import { hireFleets } from '../../local/hiring.ts';
import { LOOPBACK } from '../../local/machine/ports.ts';
import { startReaper } from '../../local/machine/reaper.ts';
import { createRunFolder, type RunFolder } from '../../local/machine/run-folder.ts';
import { isEmpty, Monitor, type Sample, type WorkQueue } from '../../local/monitor.ts';
import { SentJournal } from '../../local/sent-journal.ts';
import { monitorPool, openSqs, type SqsServer } from '../../local/servers.ts';
import { balanceQueues } from '../../local/take-balances.ts';
import { letWorkersIn } from '../../local/worker-login.ts';
import { type FilePlan, type ProducedOrder, readOrders } from '../../producer/retail-file.ts';
import { createProducerClient, sendBatchWith, sendOrders } from '../../producer/send-orders.ts';
import { migrate } from '../../workers/store/migrate.ts';
import type { ExpectedTables } from '../e2e/expected-tables.ts';
import { FaultyNetwork } from '../faults/faulty-network.ts';
import { FaultyPostgres } from '../faults/faulty-postgres.ts';
import { startFaultyProxy } from '../faults/faulty-sqs.ts';
import { Receipts } from '../faults/receipts.ts';
import { Random } from '../simulation/random.ts';
import type { Fault, Way, World } from './faults.ts';
import { judge } from './judgement.ts';

const REGION = 'us-east-1';
/** Orders come in bursts, so that there is work under way at every moment of the fault, and rest as well. */
const BURST_MS = 3_000;
/**
 * A worker that is killed while it handles a message that came three times leaves the others behind for up to 25
 * visibility timeouts of a minute; the rest is for back-offs, and the backlog on a slow machine.
 */
const SETTLE_MS_MAX = 40 * 60_000;

export interface FaultRunOptions {
  readonly fault: Fault;
  readonly seed: number;
  readonly stacks: readonly AssemblyStack[];
  readonly plan: FilePlan;
  readonly expected: ExpectedTables;
  /** How long the fault goes on, and the orders are handed in. */
  readonly faultSeconds: number;
  /** Workers per fleet. */
  readonly workers: number;
  /** What dead workers hold is shown again as soon as all else is done, and not waited for. */
  readonly impatient: boolean;
  /** Leave data and logs behind. */
  readonly keep: boolean;
  readonly onEvent: (event: string) => void;
  /** Told what the run is at; stays until the next one. */
  readonly onPhase: (phase: string) => void;
  readonly onSample: (sample: Sample, sent: Sent) => void;
  readonly interrupt: AbortSignal;
}

/** How much of it the queues have accepted, and after how long. */
export interface Sent {
  readonly messages: number;
  readonly seconds: number;
}

export interface FaultReport {
  readonly fault: string;
  readonly sent: number;
  readonly stored: number;
  readonly rejected: number;
  readonly suppressed: number;
  readonly dead: number;
  readonly waiting: number;
  readonly lost: number;
  readonly storedTwice: number;
  readonly outOfOrder: number;
  readonly seconds: number;
  readonly exact: boolean;
  /** What is not as it must be, one sentence each. */
  readonly complaints: readonly string[];
  /** What was done to it, and how often. */
  readonly done: Readonly<Record<string, number>>;
  /** Where data and logs are, if they were kept. */
  readonly folder: string;
}

/** @throws Error in one sentence when the run could not be done; the signal's reason when it was interrupted. */
export async function runFault(options: FaultRunOptions): Promise<FaultReport> {
  await using undo = new AsyncDisposableStack();
  const run = createRunFolder({ keep: options.keep });
  const reaper = await startReaper(run);
  undo.defer(() => reaper.dismiss());
  undo.defer(() => run.close());
  const faultRun = new FaultRun(options, run, undo);
  // Awaited here, so that nothing is cleared away before it is done.
  return await faultRun.report();
}

interface RunServers {
  readonly sqs: SqsServer;
  /** Straight to the server, as the pool is. */
  readonly client: SQSClient;
  readonly postgres: FaultyPostgres;
  readonly pool: pg.Pool;
  readonly world: World;
}

class FaultRun {
  readonly #options: FaultRunOptions;
  readonly #run: RunFolder;
  readonly #undo: AsyncDisposableStack;
  readonly #startedAt = new Date();
  readonly #startedMs = performance.now();
  readonly #failed = new AbortController();
  /** Aborts when the run cannot go on or must not. */
  readonly #end: AbortSignal;
  readonly #credentials = credentialsFrom({});
  readonly #journal: SentJournal;
  readonly #receipts = new Receipts();
  readonly #lastDepths = new Map<string, string>();
  readonly #done: Record<string, number> = {};
  #fleets: LocalFleet[] = [];
  #sent: Sent = { messages: 0, seconds: 0 };

  constructor(options: FaultRunOptions, run: RunFolder, undo: AsyncDisposableStack) {
    this.#options = options;
    this.#run = run;
    this.#undo = undo;
    this.#end = AbortSignal.any([options.interrupt, this.#failed.signal]);
    this.#journal = new SentJournal(run.path);
  }

  async report(): Promise<FaultReport> {
    this.#options.onPhase('starting the servers');
    const servers = await this.#startServers();
    this.#end.throwIfAborted();
    const queues = await this.#hire(servers);
    this.#end.throwIfAborted();
    await this.#sendUnderFault(queues, servers);
    await Promise.all(this.#fleets.map((fleet) => fleet.stop()));
    this.#end.throwIfAborted();
    this.#options.onPhase('comparing every row with the file');
    return this.#judge(queues, servers);
  }

  async #startServers(): Promise<RunServers> {
    const { onEvent, fault } = this.#options;
    const run = this.#run;
    const onFailure = (error: Error) => this.#failed.abort(error);
    const starting = { run, onEvent, onFailure, credentials: this.#credentials, region: REGION };
    const sqs = await openSqs({ ...starting, endpoint: undefined, port: undefined });
    this.#undo.defer(() => sqs.stop());
    const postgres = await FaultyPostgres.start({ run, onFailure });
    this.#undo.defer(() => postgres.stop());
    await migrate({ name: 'url', url: postgres.url });
    const pool = monitorPool(postgres.url);
    this.#undo.defer(() => pool.end());
    const client = new SQSClient(this.#clientOptions(sqs));
    this.#undo.defer(() => client.destroy());
    const networkToPostgres = await FaultyNetwork.before(postgres.port);
    this.#undo.defer(() => networkToPostgres.stop());
    const networkToSqs = await FaultyNetwork.before(Number(new URL(sqs.endpoint).port));
    this.#undo.defer(() => networkToSqs.stop());
    const world: World = {
      workers: () => this.#fleets.flatMap(({ pids }) => pids),
      postgres,
      networkToPostgres,
      networkToSqs,
      fateOf: () => 'pass',
      patience: fault.patience,
      count: (what, times = 1) => {
        this.#done[what] = (this.#done[what] ?? 0) + times;
      },
    };
    return { sqs, client, postgres, pool, world };
  }

  /** The fleets, which reach the servers by the ways that the fault needs and no others. */
  async #hire({ sqs, postgres, pool, world }: RunServers): Promise<WorkQueue[]> {
    const { fault, stacks, workers, onEvent } = this.#options;
    const ways = new Set<Way>(fault.troubles.flatMap((trouble) => trouble.ways));
    const isByNetwork = ways.has('network to PostgreSQL');
    const workerUrl = await letWorkersIn(pool, postgres.url);
    const databaseUrl = new URL(isByNetwork ? world.networkToPostgres.url(workerUrl) : workerUrl);
    const servers: Servers = {
      accountId: sqs.accountId,
      region: REGION,
      sqsEndpoint: `http://${LOOPBACK}:${await this.#sqsPort(ways, sqs, world)}`,
      databaseHost: databaseUrl.hostname,
      databasePort: Number(databaseUrl.port),
    };
    const system = readSystem(stacks, servers);
    for (const queue of system.queues) await sqs.control.createQueue(queue);
    const queues = hireFleets({
      run: this.#run,
      system,
      servers,
      embeddedSqs: true,
      databaseUrl: databaseUrl.href,
      credentials: this.#credentials,
      environment: process.env,
      workers,
      onEvent,
      onFailure: (error) => this.#failed.abort(error),
    });
    this.#fleets = queues.map(({ fleet }) => fleet);
    for (const fleet of this.#fleets) this.#undo.defer(() => fleet.stop());
    await Promise.all(this.#fleets.map((fleet) => fleet.start()));
    return queues;
  }

  async #sqsPort(ways: ReadonlySet<Way>, sqs: SqsServer, world: World): Promise<number> {
    const port = ways.has('network to SQS') ? world.networkToSqs.port : Number(new URL(sqs.endpoint).port);
    const { impatient } = this.#options;
    if (!impatient && !ways.has('proxy before SQS')) return port;
    const watch = (request: Buffer, answer: Buffer) => this.#receipts.saw(request, answer);
    const fateOf = (_: number, operation: string) => world.fateOf(operation);
    const proxy = await startFaultyProxy(port, fateOf, impatient ? watch : undefined);
    this.#undo.defer(() => proxy.stop());
    return proxy.port;
  }

  /** Settles when nothing is left in the queues, or when they do not get empty. */
  async #sendUnderFault(queues: readonly WorkQueue[], servers: RunServers): Promise<void> {
    const { onEvent, onSample, onPhase, impatient } = this.#options;
    const monitor = new Monitor(queues, servers.sqs.control, servers.pool, onEvent);
    const giveUp = new AbortController();
    let isOver = false;
    const working = this.#work(queues, servers)
      .then(() => {
        this.#end.throwIfAborted();
        isOver = true;
        onPhase(impatient ? 'waiting for the rest' : SETTLING);
        this.#after(SETTLE_MS_MAX, giveUp);
      })
      .catch((error) => this.#failed.abort(error));
    await monitor.watch(
      (sample) => isOver && isEmpty(sample),
      (sample) => {
        onSample(sample, this.#sent);
        if (isOver && impatient) this.#showAgain(sample, queues, servers.client);
      },
      AbortSignal.any([this.#end, giveUp.signal]),
    );
    await working;
    this.#end.throwIfAborted();
  }

  /** Sends everything while the fault goes on; settles when all is sent and the fault is over. */
  async #work(queues: readonly WorkQueue[], { sqs, world }: RunServers): Promise<void> {
    const { fault, seed, faultSeconds, onPhase } = this.#options;
    const seconds = fault.troubles.length === 0 ? 0 : faultSeconds * fault.stamina;
    onPhase(seconds === 0 ? 'sending' : `sending for ${seconds} s under the fault`);
    const over = new AbortController();
    this.#after(seconds * 1000, over);
    this.#end.addEventListener('abort', () => over.abort(), { once: true });
    await Promise.all([
      this.#send(queues, sqs, seconds, over.signal),
      ...fault.troubles.map((trouble) =>
        trouble.make(world, new Random(seed, `${fault.name}/${trouble.name}`), over.signal),
      ),
    ]);
  }

  /** By a timer of its own: a timeout signal that is part of another may be collected before it aborts. */
  #after(ms: number, controller: AbortController): void {
    const timer = setTimeout(() => controller.abort(), ms);
    this.#undo.defer(() => clearTimeout(timer));
  }

  /** Where nothing moves any more: what is in flight then is in dead hands, or behind what is. */
  #showAgain({ queues: samples }: Sample, queues: readonly WorkQueue[], client: SQSClient): void {
    for (const { name, visible, inFlight } of samples) {
      const depth = `${visible} ${inFlight}`;
      const hasStopped = inFlight > 0 && this.#lastDepths.get(name) === depth;
      this.#lastDepths.set(name, depth);
      const queue = queues.find((candidate) => candidate.name === name);
      if (queue === undefined || !hasStopped) continue;
      this.#receipts.showAgain(client, queue.url).catch((error: Error) => this.#failed.abort(error));
    }
  }

  async #send(queues: readonly WorkQueue[], sqs: SqsServer, seconds: number, over: AbortSignal): Promise<void> {
    const { plan } = this.#options;
    const urlOf = (name: string) => queues.find((queue) => queue.name === name)!.url;
    const client = createProducerClient(this.#clientOptions(sqs));
    const startedMs = performance.now();
    try {
      await sendOrders({
        orders: inBursts(readOrders(plan), plan.orders, seconds, over),
        queueUrls: { orders: urlOf('orders'), ledger: urlOf('ledger') },
        sendBatch: sendBatchWith(client),
        messagesTotal: plan.messages.orders + plan.messages.ledger,
        signal: this.#end,
        onAccepted: (message) => this.#journal.accepted(message),
        onProgress: ({ acceptedMessages }) => {
          this.#sent = { messages: acceptedMessages, seconds: (performance.now() - startedMs) / 1000 };
        },
      });
    } finally {
      client.destroy();
    }
    await this.#journal.close();
  }

  #clientOptions({ endpoint }: SqsServer) {
    const { provider } = this.#credentials;
    return { endpoint, region: REGION, ...(provider === undefined ? {} : { credentials: provider }) };
  }

  async #judge(queues: readonly WorkQueue[], { sqs, client, postgres, pool }: RunServers): Promise<FaultReport> {
    const { fault, expected } = this.#options;
    const balances = await balanceQueues(queues, this.#journal, sqs.control, pool, this.#startedAt);
    const sent = await Array.fromAsync(this.#journal.entries());
    const evidence = { queues, balances, sent, databaseUrl: postgres.url, pool, sqs: client };
    const complaints = await judge(expected, evidence);
    if (fault.troubles.length > 0 && Object.values(this.#done).every((times) => times === 0)) {
      complaints.push('the fault never happened: give it more time with --seconds');
    }
    const sum = (of: (balance: QueueBalance) => number) => balances.reduce((total, balance) => total + of(balance), 0);
    return {
      fault: fault.name,
      sent: sum((balance) => balance.sent),
      stored: sum((balance) => balance.stored),
      rejected: sum((balance) => balance.rejected),
      suppressed: sum((balance) => balance.suppressed),
      dead: sum((balance) => balance.dead),
      waiting: sum((balance) => balance.waiting),
      lost: sum((balance) => balance.lost),
      storedTwice: sum((balance) => balance.storedTwice),
      outOfOrder: sum((balance) => balance.outOfOrder ?? 0),
      seconds: (performance.now() - this.#startedMs) / 1000,
      exact: complaints.length === 0,
      complaints,
      done: this.#done,
      folder: this.#run.path,
    };
  }
}

const SETTLING = 'all is sent and the fault is over; what dead workers and lost answers hold comes back within 60 s';

/** A part of the orders every few seconds, all within the given time; the rest at once when it is over. */
async function* inBursts(
  orders: AsyncIterable<ProducedOrder>,
  total: number,
  seconds: number,
  over: AbortSignal,
): AsyncGenerator<ProducedOrder> {
  const burst = Math.ceil(total / Math.max(1, (seconds * 1000) / BURST_MS));
  let given = 0;
  for await (const order of orders) {
    if (given > 0 && given % burst === 0 && !over.aborted) {
      await sleep(BURST_MS, undefined, { signal: over }).catch(() => undefined);
    }
    given += 1;
    yield order;
  }
}
