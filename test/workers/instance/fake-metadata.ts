/**
 * The metadata service of an instance, on loopback: gives out tokens for PUT, answers whoever brings one, and 404 where
 * nothing is. It fails in every way that it is told to.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { portOf } from '../../../local/machine/ports.ts';
import { afterwards } from '../../local/machine/machine.ts';

/** What becomes of every request. */
export type MetadataFate = 'well' | 'hang' | 'trickle' | 'answer 500' | 'rubbish' | 'too long' | 'no HTTP';

const INSTANCE_ID = 'i-0123456789abcdef0';
const RUBBISH = '<html>\u0000 not what you asked for';

export class FakeMetadata {
  fate: MetadataFate = 'well';
  /** By path below /latest/meta-data/. */
  readonly values = new Map([
    ['instance-id', INSTANCE_ID],
    ['autoscaling/target-lifecycle-state', 'InService'],
  ]);
  /** Method and path of every request. */
  readonly requests: string[] = [];
  readonly #tokens = new Set<string>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** Goes with the test. */
  static async start(): Promise<FakeMetadata> {
    const fake = new FakeMetadata();
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    afterwards(() => fake.stop());
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  get instanceId(): string {
    return INSTANCE_ID;
  }

  /** The group wants this instance gone. */
  terminate(): void {
    this.values.set('autoscaling/target-lifecycle-state', 'Terminated');
  }

  /** EC2 wants this instance back in `seconds`. */
  takeBack(seconds: number): void {
    const time = new Date(Date.now() + seconds * 1000).toISOString();
    this.values.set('spot/instance-action', JSON.stringify({ action: 'terminate', time }));
  }

  /** As after a restart of the service. */
  forgetTokens(): void {
    this.#tokens.clear();
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    switch (this.fate) {
      case 'well':
        this.#answerWell(request, response);
        return;
      case 'hang':
        return;
      case 'trickle':
        response.writeHead(200);
        response.write('I');
        return;
      case 'answer 500':
        response.writeHead(500).end();
        return;
      case 'rubbish':
        response.end(RUBBISH);
        return;
      case 'too long':
        response.end('x'.repeat(1_000_000));
        return;
      case 'no HTTP':
        request.socket.end(RUBBISH);
    }
  }

  #answerWell(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? '';
    if (request.method === 'PUT' && url === '/latest/api/token') {
      const seconds = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds']);
      if (!(seconds >= 1 && seconds <= 21_600)) {
        response.writeHead(400).end();
        return;
      }
      const token = `token-${this.requests.length}==`;
      this.#tokens.add(token);
      response.end(token);
      return;
    }
    if (!this.#tokens.has(String(request.headers['x-aws-ec2-metadata-token']))) {
      response.writeHead(401).end(RUBBISH);
      return;
    }
    const value = this.values.get(url.replace('/latest/meta-data/', ''));
    if (value === undefined) response.writeHead(404).end(RUBBISH);
    else response.end(value);
  }
}
