/** Ports of the loopback address: whether one that a person named is free, and finding one that nobody named. */
import { createServer, type Server } from 'node:net';
import { hasCode } from './system-error.ts';

/** Everything that Sluice starts listens here and nowhere else. */
export const LOOPBACK = '127.0.0.1';

/** A port that was free a moment ago; someone else may take it first. */
export async function findFreePort(): Promise<number> {
  return tryPort(0);
}

/**
 * Makes sure that a port can be listened on.
 *
 * @throws Error in one sentence, when it cannot.
 */
export async function requireFreePort(port: number, server: string): Promise<void> {
  try {
    await tryPort(port);
  } catch (error) {
    throw portError(error, port, server);
  }
}

/** The sentence for a port that a server could not listen on. */
export function portError(cause: unknown, port: number, server: string): Error {
  if (hasCode(cause, 'EADDRINUSE')) return portInUse(port, server, cause);
  if (hasCode(cause, 'EACCES')) {
    return new Error(`${server} may not listen on port ${port}: ports below 1024 belong to root. Name a higher one.`, {
      cause,
    });
  }
  return new Error(`${server} cannot listen on ${LOOPBACK}:${port}.`, { cause });
}

export function portInUse(port: number, server: string, cause?: unknown): Error {
  return new Error(
    `port ${port} is in use, so ${server} cannot listen on it. Stop what uses it, name another port, or name none to get a free one.`,
    { cause },
  );
}

/** Where a server listens that was given any free port. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port');
  return address.port;
}

function tryPort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      const taken = portOf(server);
      server.close(() => resolve(taken));
    });
  });
}
