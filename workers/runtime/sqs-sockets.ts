/**
 * The SDK's client for SQS, made so that no call can hang, and replaced when one did.
 *
 * Holds always: a call ends by its deadline, whatever it waits for: an answer, a connection, a free socket, or
 * credentials, of which the SDK's own timeouts cover the first two; a call after one that met its deadline goes out on
 * sockets of its own, since a network that swallows packets leaves half-open ones behind.
 */
import { SQSClient } from '@aws-sdk/client-sqs';

const CONNECT_DEADLINE_MS = 3_000;
/** As many as there are long polls at most, twice over. */
const SOCKETS_MAX = 32;

/** The part of the SDK's client that is used here. */
export type SqsCalls = Pick<SQSClient, 'send' | 'destroy'>;

/** As the SDK names it when its own timeout passes. */
const TIMEOUT_ERROR = 'TimeoutError';

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

export function openSqsClient(region: string | undefined, deadlineMs: number): SqsCalls {
  const client = new SQSClient({
    ...(region === undefined ? {} : { region }),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_DEADLINE_MS,
      requestTimeout: deadlineMs,
      // Without this the SDK only logs that the time has passed, and goes on waiting.
      throwOnRequestTimeout: true,
      socketTimeout: deadlineMs,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS_MAX },
    },
  });
  return {
    send: ((command: Parameters<SQSClient['send']>[0], options: { abortSignal?: AbortSignal } = {}) =>
      withDeadline(deadlineMs, options.abortSignal, (abortSignal) =>
        client.send(command, { abortSignal }),
      )) as SQSClient['send'],
    destroy: () => client.destroy(),
  };
}

async function withDeadline<Output>(
  deadlineMs: number,
  signal: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<Output>,
): Promise<Output> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort);
  let timeout: NodeJS.Timeout | undefined;
  const passed = new Promise<never>((_, reject) => {
    timeout = setTimeout(() => {
      const error = new Error(`no answer from SQS within ${deadlineMs} ms`);
      error.name = TIMEOUT_ERROR;
      reject(error);
      abort();
    }, deadlineMs);
  });
  try {
    return await Promise.race([call(controller.signal), passed]);
  } finally {
    clearTimeout(timeout);
    // The signal may live as long as the process: its listeners must not pile up.
    signal?.removeEventListener('abort', abort);
  }
}
