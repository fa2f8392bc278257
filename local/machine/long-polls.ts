/**
 * Long polls that behave as those of SQS, for the embedded server.
 *
 * As fauxqs comes, one message wakes every poll that waits, and all but one of them return empty at once; and a poll
 * whose client has gone goes on waiting, and then takes ten messages out of sight for a whole visibility timeout.
 * Here a poll is woken only when there is a message left for it, and one whose client has gone is forgotten.
 *
 * It replaces two methods of fauxqs's queue, in a file that the package does not export: fauxqs is named exactly in
 * package.json, and the tests of this file tell when another version no longer fits.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { ServerResponse } from 'node:http';
import { type BuildAppOptions, buildApp } from 'fauxqs';
import { z } from 'zod';

type Stores = NonNullable<BuildAppOptions['stores']>;
type Waiter = Stores['sqsStore'] extends { getQueueByName(name: string): infer Queue }
  ? NonNullable<Queue> extends { pollWaiters: (infer Each)[] }
    ? Each
    : never
  : never;

/** What the two methods use of the queue that they belong to. */
interface PolledQueue {
  readonly messages: readonly unknown[];
  pollWaiters: Waiter[];
  isFifo(): boolean;
  hasAvailableFifoMessages(): boolean;
  startPollTimerIfNeeded(): void;
  stopPollTimerIfEmpty(): void;
}

interface PollMethods {
  waitForMessages(waitTimeSeconds: number): Promise<void>;
  notifyWaiters(): void;
}

const isClass = (value: unknown) => typeof value === 'function';
const storesSchema = z.object({
  SqsStore: z.custom<new () => Stores['sqsStore']>(isClass),
  SqsQueue: z.custom<{ readonly prototype: PolledQueue & PollMethods }>(isClass),
});
const snsSchema = z.object({ SnsStore: z.custom<new () => Stores['snsStore']>(isClass) });
const s3Schema = z.object({ S3Store: z.custom<new () => Stores['s3Store']>(isClass) });

/** The answer that a waiting poll will be given, so that it can be asked whether anyone is left to take it. */
const answers = new AsyncLocalStorage<ServerResponse>();
const queuesWithWakeUnderWay = new WeakSet<PolledQueue>();

/** Builds the SQS server, not yet listening. The queue URLs that it gives out name the host that was asked. */
export async function buildSqsServer(): Promise<ReturnType<typeof buildApp>> {
  const { SqsStore, SqsQueue } = storesSchema.parse(await importInternal('./sqs/sqsStore.js'));
  const { SnsStore } = snsSchema.parse(await importInternal('./sns/snsStore.js'));
  const { S3Store } = s3Schema.parse(await importInternal('./s3/s3Store.js'));
  const missing = Object.keys(pollMethods).filter((name) => !(name in SqsQueue.prototype));
  if (missing.length > 0)
    throw new Error(`this fauxqs has no ${missing.join(', ')}: install the version of package.json.`);
  Object.assign(SqsQueue.prototype, pollMethods);

  const sqsStore = new SqsStore();
  sqsStore.host = '';
  const server = buildApp({ logger: false, stores: { sqsStore, snsStore: new SnsStore(), s3Store: new S3Store() } });
  server.addHook('preHandler', (_request, reply, done) => answers.run(reply.raw, done));
  return server;
}

const pollMethods: PollMethods & ThisType<PolledQueue> = {
  waitForMessages(waitTimeSeconds) {
    const answer = answers.getStore();
    return new Promise<void>((resolve) => {
      const leave = () => {
        clearTimeout(waiter.timer);
        answer?.off('close', leave);
        // A new list: fauxqs goes through the old one while it cancels all waits.
        this.pollWaiters = this.pollWaiters.filter((other) => other !== waiter);
        this.stopPollTimerIfEmpty();
      };
      const settle = () => {
        leave();
        resolve();
      };
      const waiter: Waiter = { resolve: settle, timer: setTimeout(settle, waitTimeSeconds * 1_000) };
      this.pollWaiters.push(waiter);
      this.startPollTimerIfNeeded();
      // The promise of a client that has gone is never kept: keeping it would take messages for nobody.
      answer?.once('close', leave);
    });
  },

  notifyWaiters() {
    if (queuesWithWakeUnderWay.has(this)) return;
    queuesWithWakeUnderWay.add(this);
    // After this turn: then a batch has been put in whole, and the poll woken before has taken its messages.
    setImmediate(() => {
      queuesWithWakeUnderWay.delete(this);
      const hasVisible = this.isFifo() ? this.hasAvailableFifoMessages() : this.messages.length > 0;
      if (!hasVisible) return;
      this.pollWaiters[0]?.resolve();
      if (this.pollWaiters.length > 0) pollMethods.notifyWaiters.call(this);
    });
  },
};

function importInternal(path: string): Promise<unknown> {
  return import(new URL(path, import.meta.resolve('fauxqs')).href);
}
