/** An HTTP server that knows nothing of SQS, until the end of the test. */
import { createServer } from 'node:http';
import { LOOPBACK, portOf } from '../../local/machine/ports.ts';
import { afterwards } from './machine/machine.ts';

/** @returns its URL. */
export async function startWebServer(status: number, body: string): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  afterwards(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://${LOOPBACK}:${portOf(server)}`;
}
