/** A proxy before an SQS server that loses answers, refuses requests, drops entries and stalls, as it is told. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ProxyFate = 'pass' | 'lose the answer' | 'answer 503' | 'answer 403' | 'refuse the last entry' | 'stall';

export interface FaultyProxy {
  readonly endpoint: string;
  stop(): void;
}

export async function startFaultyProxy(port: number, fateOf: (request: number) => ProxyFate): Promise<FaultyProxy> {
  let requests = 0;
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const fate = fateOf(requests);
    requests += 1;
    if (fate === 'stall') return;
    if (fate === 'answer 503') return refuse(response, 503, 'ServiceUnavailable');
    if (fate === 'answer 403') return refuse(response, 403, 'AccessDeniedException');
    await pass(port, request, response, body, fate);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function refuse(response: ServerResponse, status: number, type: string): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
  response.end(JSON.stringify({ __type: `com.amazonaws.sqs#${type}`, message: 'Not now.' }));
}

async function pass(
  port: number,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  fate: ProxyFate,
): Promise<void> {
  const input = JSON.parse(body.toString());
  const refused = fate === 'refuse the last entry' && input.Entries.length > 1 ? [input.Entries.pop()] : [];
  const forwarded = Buffer.from(JSON.stringify(input));
  const headers = { ...request.headers, 'content-length': forwarded.length };
  const upstream = httpRequest({ host: '127.0.0.1', port, path: request.url, method: request.method, headers });
  upstream.end(forwarded);
  const answer = await new Promise<IncomingMessage>((resolve) => upstream.once('response', resolve));
  const text = Buffer.concat(await answer.toArray()).toString();
  if (fate === 'lose the answer') {
    request.socket.destroy();
    return;
  }
  const output = JSON.parse(text);
  const failed = refused.map(({ Id }) => ({ Id, SenderFault: false, Code: 'InternalError' }));
  response.writeHead(answer.statusCode ?? 500, { 'content-type': 'application/x-amz-json-1.0' });
  response.end(JSON.stringify({ ...output, Failed: [...(output.Failed ?? []), ...failed] }));
}
