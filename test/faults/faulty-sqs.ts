/**
 * A proxy before an SQS server that refuses requests, loses or replaces answers, drops entries and stalls, as it is told.
 *
 * Holds always: a request whose client has gone is taken back from the server, unless someone is shown the answers, who
 * then sees what was given to nobody; a server that is away is an answer that is lost.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { portOf } from '../../local/machine/ports.ts';

/** What becomes of a request: refused before it reached the server, or spoiled after it took effect there. */
export type ProxyFate =
  | 'pass'
  | 'answer 500'
  | 'answer 503'
  | 'answer 403'
  | 'throttle'
  | 'stall'
  | 'lose the answer'
  | 'answer 500 after it took effect'
  | 'refuse the last entry';

export interface FaultyProxy {
  readonly endpoint: string;
  readonly port: number;
  stop(): void;
}

interface Refusal {
  readonly status: number;
  readonly type: string;
}

/** As SQS words them in its JSON protocol. */
const REFUSALS: Partial<Record<ProxyFate, Refusal>> = {
  'answer 500': { status: 500, type: 'InternalFailure' },
  'answer 503': { status: 503, type: 'ServiceUnavailable' },
  'answer 403': { status: 403, type: 'AccessDeniedException' },
  throttle: { status: 400, type: 'ThrottlingException' },
};

type OnAnswer = (request: Buffer, answer: Buffer) => void;

/**
 * @param fateOf told the number of the request, from 0, and its operation, such as ReceiveMessage.
 * @param onAnswer shown every answer of the server, whatever becomes of it then.
 */
export async function startFaultyProxy(
  port: number,
  fateOf: (request: number, operation: string) => ProxyFate,
  onAnswer?: OnAnswer,
): Promise<FaultyProxy> {
  let requests = 0;
  const server = createServer((request, response) => {
    const number = requests;
    requests += 1;
    // A client that goes away in the middle of its request has nobody to be answered.
    const way = { port, onAnswer, fateOf: (operation: string) => fateOf(number, operation) };
    handle(way, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const own = portOf(server);
  return {
    endpoint: `http://127.0.0.1:${own}`,
    port: own,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Way {
  readonly port: number;
  readonly fateOf: (operation: string) => ProxyFate;
  readonly onAnswer: OnAnswer | undefined;
}

async function handle(way: Way, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = Buffer.concat(await request.toArray());
  const fate = way.fateOf(String(request.headers['x-amz-target']).replace('AmazonSQS.', ''));
  if (fate === 'stall') return;
  const refusal = REFUSALS[fate];
  if (refusal !== undefined) refuse(response, refusal);
  else await pass(way, request, response, body, fate);
}

function refuse(response: ServerResponse, { status, type }: Refusal): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
  response.end(JSON.stringify({ __type: `com.amazonaws.sqs#${type}`, message: 'Not now.' }));
}

async function pass(
  { port, onAnswer }: Way,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  fate: ProxyFate,
): Promise<void> {
  const { forwarded, refused } = fate === 'refuse the last entry' ? withoutLastEntry(body) : whole(body);
  const headers = { ...request.headers, 'content-length': forwarded.length };
  const upstream = httpRequest({ host: '127.0.0.1', port, path: request.url, method: request.method, headers });
  if (onAnswer === undefined) response.once('close', () => upstream.destroy());
  upstream.end(forwarded);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    upstream.once('response', resolve).once('error', reject);
  });
  const text = Buffer.concat(await answer.toArray());
  onAnswer?.(body, text);
  if (fate === 'lose the answer') {
    request.socket.destroy();
  } else if (fate === 'answer 500 after it took effect') {
    refuse(response, REFUSALS['answer 500']!);
  } else {
    response.writeHead(answer.statusCode ?? 500, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(refused.length === 0 ? text : withFailures(text, refused));
  }
}

interface Entry {
  readonly Id: string;
}

const whole = (body: Buffer) => ({ forwarded: body, refused: [] as Entry[] });

function withoutLastEntry(body: Buffer) {
  const input: { Entries: Entry[] } = JSON.parse(body.toString());
  const refused = input.Entries.length > 1 ? input.Entries.splice(-1) : [];
  return { forwarded: Buffer.from(JSON.stringify(input)), refused };
}

function withFailures(answer: Buffer, refused: readonly Entry[]): string {
  const output: { Failed?: unknown[] } = JSON.parse(answer.toString());
  const failed = refused.map(({ Id }) => ({ Id, SenderFault: false, Code: 'InternalError' }));
  return JSON.stringify({ ...output, Failed: [...(output.Failed ?? []), ...failed] });
}
