/**
 * A network between a client and a server on this machine, which swallows, delays and resets as it is told.
 *
 * Holds always: a connection that was swallowed once stays silent for good, as one whose other end has gone without a
 * word: nothing passes, not even its end. What is delayed arrives whole and in order.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOOPBACK } from '../../local/machine/ports.ts';

type Mode =
  | { readonly name: 'passing' }
  | { readonly name: 'swallowing' }
  /** Told anew for every piece that arrives. */
  | { readonly name: 'delaying'; readonly delayMs: () => number };

interface Connection {
  readonly client: Socket;
  readonly upstream: Socket;
  isSilent: boolean;
}

export class FaultyNetwork {
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** Those that were taken and lead nowhere. */
  readonly #deadEnds = new Set<Socket>();
  readonly #targetPort: number;
  #mode: Mode = { name: 'passing' };

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    // Half-open: the end of one side is passed on, or swallowed, like everything else.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  static async before(targetPort: number): Promise<FaultyNetwork> {
    const network = new FaultyNetwork(targetPort);
    await new Promise<void>((resolve) => network.#server.listen(0, LOOPBACK, resolve));
    return network;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the network does not listen any more');
    return address.port;
  }

  pass(): void {
    this.#mode = { name: 'passing' };
  }

  delay(delayMs: () => number): void {
    this.#mode = { name: 'delaying', delayMs };
  }

  /** Silences every connection, and takes new ones without ever answering. Returns how many there were. */
  swallow(): number {
    this.#mode = { name: 'swallowing' };
    let silenced = 0;
    for (const connection of this.#connections) {
      if (!connection.isSilent) silenced += 1;
      connection.isSilent = true;
    }
    return silenced;
  }

  /** Resets every connection that is not silent, at both ends. Returns how many. */
  reset(): number {
    const open = [...this.#connections].filter(({ isSilent }) => !isSilent);
    for (const { client, upstream } of open) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
    return open.length;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { client, upstream } of this.#connections) {
      client.destroy();
      upstream.destroy();
    }
    for (const socket of this.#deadEnds) socket.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#mode.name === 'swallowing') {
      this.#deadEnds.add(client);
      // Read, or the kernel would tell the client by a full window.
      client.on('error', () => undefined).on('close', () => this.#deadEnds.delete(client));
      client.resume();
      return;
    }
    const upstream = connect({ port: this.#targetPort, host: LOOPBACK, allowHalfOpen: true, noDelay: true });
    const connection: Connection = { client, upstream, isSilent: false };
    this.#connections.add(connection);
    this.#carry(connection, client, upstream);
    this.#carry(connection, upstream, client);
  }

  #carry(connection: Connection, from: Socket, to: Socket): void {
    /** One piece after the other, however long each takes. */
    let last = Promise.resolve();
    const inTurn = (deliver: () => void) => {
      const delayMs = this.#mode.name === 'delaying' ? this.#mode.delayMs() : 0;
      last = last.then(async () => {
        if (delayMs > 0) await sleep(delayMs);
        if (!connection.isSilent) deliver();
      });
    };
    from.on('data', (piece: Buffer) => {
      if (!connection.isSilent) inTurn(() => void to.write(piece));
    });
    from.on('end', () => inTurn(() => void to.end()));
    from.on('error', () => undefined);
    from.on('close', () => {
      inTurn(() => void to.destroy());
      if (connection.client.destroyed && connection.upstream.destroyed) this.#connections.delete(connection);
    });
  }
}
