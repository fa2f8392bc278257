/**
 * The SDK's client for SQS, made so that no call can hang, and replaced when one did.
 *
 * Holds always: a call ends by its deadline, whatever it waits for: a connection, a free socket, the beginning of an
 * answer, its rest, or credentials, of which the SDK's own timeouts cover the first three, but neither an answer that
 * trickles nor credentials; a call after one that met its deadline goes out on sockets of its own, since a network that
 * swallows packets leaves half-open ones behind.
 */
import { SQSClient } from '@aws-sdk/client-sqs';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { namesSqsEndpoint } from './named-endpoint.ts';
import { keepSigner, Sha256 } from './request-signing.ts';

const CONNECT_DEADLINE_MS = 3_000;
/** As many as there are long polls at most, twice over. */
const SOCKETS_MAX = 32;

/** They write for a log that nobody keeps, and describe the program anew for every call. */
const LAYERS_WITHOUT_USE = ['loggerMiddleware', 'getUserAgentMiddleware'];

/** The part of the SDK's client that is used here. */
export type SqsCalls = Pick<SQSClient, 'send' | 'destroy'>;

/** As the SDK names it when its own timeout passes. */
const TIMEOUT_ERROR = 'TimeoutError';
/** As the platform names it. */
const ABORT_ERROR = 'AbortError';

/** Passes calls on to a client, and opens another one after a call met its deadline. */
export class RenewedClient implements SqsCalls {
  readonly #open: () => SqsCalls;
  #current: { readonly client: SqsCalls; calls: number };

  constructor(open: () => SqsCalls) {
    this.#open = open;
    this.#current = { client: open(), calls: 0 };
  }

  // The SDK gives `send` an overload for every way of being called back; all calls here are promises.
  readonly send = (async (command: Parameters<SQSClient['send']>[0], options: { abortSignal?: AbortSignal } = {}) => {
    const own = this.#current;
    own.calls += 1;
    try {
      return await own.client.send(command, options);
    } catch (error) {
      if (error instanceof Error && error.name === TIMEOUT_ERROR && own === this.#current) {
        this.#current = { client: this.#open(), calls: 0 };
      }
      throw error;
    } finally {
      own.calls -= 1;
      // The calls that were on their way on the old sockets may still be answered.
      if (own !== this.#current && own.calls === 0) own.client.destroy();
    }
  }) as SQSClient['send'];

  destroy(): void {
    this.#current.client.destroy();
  }
}

/**
 * A client that ends each call by its deadline. An abort ends all of its calls, and those that come after it: the polls
 * of a worker end together.
 *
 * It spends as little on a call as the SDK allows: its layers are put together once and not for every call, which they
 * are only where `send` is given no options, so that abort and deadline are ours; nothing is made ready for a log that
 * nobody keeps; and a signature takes no more than it must (`request-signing.ts`).
 */
export function openSqsClient(region: string | undefined, deadlineMs: number): SqsCalls {
  const sockets = new AbortableHttpHandler({
    connectionTimeout: CONNECT_DEADLINE_MS,
    requestTimeout: deadlineMs,
    // Without this the SDK only logs that the time has passed, and goes on waiting.
    throwOnRequestTimeout: true,
    httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
    httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
  });
  const client = new SQSClient({
    ...(region === undefined ? {} : { region }),
    maxAttempts: 1,
    useQueueUrlAsEndpoint: !namesSqsEndpoint(process.env),
    // queue-client.ts looks at it.
    md5: false,
    cacheMiddleware: true,
    sha256: Sha256,
    requestHandler: sockets,
  });
  keepSigner(client);
  // Each call copies the settings three times, and V8 keeps the SDK's object of them as a dictionary, which copies slowly.
  Object.assign(client, { config: { ...client.config } });
  for (const name of LAYERS_WITHOUT_USE) client.middlewareStack.remove(name);
  // Others are put in their place by this one's name, so it stays and passes on.
  client.middlewareStack.add((next) => next, {
    name: 'retryMiddleware',
    step: 'finalizeRequest',
    priority: 'high',
    override: true,
  });
  return {
    send: ((command: Parameters<SQSClient['send']>[0], { abortSignal }: { abortSignal?: AbortSignal } = {}) => {
      const abort = () => sockets.abort();
      return answerWithin(deadlineMs, abortSignal, abort, () => client.send(command));
    }) as SQSClient['send'],
    destroy: () => client.destroy(),
  };
}

/** The SDK's own, whose requests can all be ended at once without an option to each call. */
class AbortableHttpHandler extends NodeHttpHandler {
  readonly #end = new AbortController();

  override handle(request: Parameters<NodeHttpHandler['handle']>[0]): ReturnType<NodeHttpHandler['handle']> {
    return super.handle(request, { abortSignal: this.#end.signal });
  }

  abort(): void {
    this.#end.abort();
  }
}

function answerWithin<Output>(
  deadlineMs: number,
  signal: AbortSignal | undefined,
  abort: () => void,
  call: () => Promise<Output>,
): Promise<Output> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timeout);
      // The signal may live as long as the process: its listeners must not pile up.
      signal?.removeEventListener('abort', aborted);
    };
    const fail = (error: unknown) => {
      end();
      reject(error);
    };
    const timeout = setTimeout(
      () => fail(named(TIMEOUT_ERROR, `no answer from SQS within ${deadlineMs} ms`)),
      deadlineMs,
    );
    const aborted = () => {
      abort();
      fail(named(ABORT_ERROR, 'the call to SQS was aborted before its answer'));
    };
    if (signal?.aborted === true) return aborted();
    signal?.addEventListener('abort', aborted);
    call().then((output) => {
      end();
      resolve(output);
    }, fail);
  });
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}
