/** A way to a TCP server that can be cut, can swallow packets, and can lose the answer to a commit, as it is told. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterwards } from '../local/machine/machine.ts';

/** Both ends of one connection. */
interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  /** Nothing passes any more, and neither end hears of it: as after a failover, or behind a firewall that forgot. */
  isHalfOpen: boolean;
}

export class TcpProxy {
  readonly port: number;
  /** Connections that were ever made. */
  connections = 0;
  /** New connections are taken and never answered. */
  swallowsNew = false;
  readonly #pairs = new Set<Pair>();
  #losesNextCommitAnswer = false;

  private constructor(port: number) {
    this.port = port;
  }

  /** @param port where it listens; any free one by default. */
  static async before(upstreamPort: number, port = 0): Promise<TcpProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const proxy = new TcpProxy((server.address() as AddressInfo).port);
    server.on('connection', (client) => proxy.#pass(client, upstreamPort));
    afterwards(() => {
      server.close();
      proxy.cut();
    });
    return proxy;
  }

  /** The same place, by way of here. */
  url(original: string): string {
    const url = new URL(original);
    url.port = String(this.port);
    return url.href;
  }

  /** From now on nothing passes on the connections that are there; new ones work. */
  halfOpen(): void {
    for (const pair of this.#pairs) pair.isHalfOpen = true;
  }

  cut(): void {
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
  }

  /** The next commit reaches the server, and its answer does not come back: the client is cut off instead. */
  loseNextCommitAnswer(): void {
    this.#losesNextCommitAnswer = true;
  }

  #pass(client: Socket, upstreamPort: number): void {
    const upstream = connect({ host: '127.0.0.1', port: upstreamPort });
    const pair: Pair = { client, upstream, isHalfOpen: this.swallowsNew };
    let isLosing = false;
    this.connections += 1;
    this.#pairs.add(pair);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.on('data', (bytes) => {
      if (pair.isHalfOpen) return;
      if (this.#losesNextCommitAnswer && bytes.includes('commit\0')) {
        this.#losesNextCommitAnswer = false;
        isLosing = true;
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (pair.isHalfOpen) return;
      if (isLosing) client.destroy();
      else client.write(bytes);
    });
    // A half-open connection tells its client nothing, not even that the server has gone.
    upstream.on('close', () => {
      if (!pair.isHalfOpen) client.destroy();
    });
    client.on('close', () => {
      upstream.destroy();
      this.#pairs.delete(pair);
    });
  }
}
