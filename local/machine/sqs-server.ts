/**
 * The process of the embedded SQS server: `node sqs-server.ts PORT`, started with an IPC channel.
 *
 * Tells its parent once where it listens, or why it cannot, and ends when the parent goes.
 */
import { flushCompileCache } from 'node:module';
import type { SqsServerReport } from './embedded-sqs.ts';
import { buildSqsServer } from './long-polls.ts';
import { LOOPBACK } from './ports.ts';
import { codeOf } from './system-error.ts';

// Ctrl-C reaches everything in the terminal; it is for the parent to say who stops.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());

const server = await buildSqsServer();
try {
  const address = await server.listen({ port: Number(process.argv[2]), host: LOOPBACK });
  report({ port: Number(new URL(address).port) });
  // Node does so at an end in good order; this process is ended by a signal.
  flushCompileCache();
} catch (error) {
  report({ code: codeOf(error) ?? 'unknown', message: String(error) });
}

function report(message: SqsServerReport): void {
  process.send?.(message);
}
