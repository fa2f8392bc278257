/**
 * A network between a client and a server on this machine, which swallows, delays, resets, loses an answer, and goes
 * silent after one, as it is told.
 *
 * Holds always: a connection that was swallowed once stays silent for good, as one whose other end has gone without a
 * word: nothing passes, not even its end. What is delayed arrives whole and in order.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOOPBACK, portOf } from '../../local/machine/ports.ts';

type Mode =
  | { readonly name: 'passing' }
  | { readonly name: 'swallowing' }
  /** Told anew for every piece that arrives. */
  | { readonly name: 'delaying'; readonly delayMs: () => number };

interface Connection {
  readonly client: Socket;
  readonly upstream: Socket;
  isSilent: boolean;
  /** What becomes of the next answer, and of what comes after it. */
  nextAnswer: 'passes' | 'is lost' | 'is the last';
}

export class FaultyNetwork {
  /** That clients ever made. */
  connectionsMade = 0;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** Those that were taken and lead nowhere. */
  readonly #deadEnds = new Set<Socket>();
  readonly #targetPort: number;
  #mode: Mode = { name: 'passing' };
  #awaited: { readonly text: string; readonly answer: 'is lost' | 'is the last' } | undefined;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    // Half-open: the end of one side is passed on, or swallowed, like everything else.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  /** @param port where it listens; any free one by default. */
  static async before(targetPort: number, port = 0): Promise<FaultyNetwork> {
    const network = new FaultyNetwork(targetPort);
    await new Promise<void>((resolve) => network.#server.listen(port, LOOPBACK, resolve));
    return network;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** The same place, by way of here. */
  url(original: string): string {
    const url = new URL(original);
    url.port = String(this.port);
    return url.href;
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
    return this.silence();
  }

  /** Silences every connection that is there, as a failover does; new ones work. Returns how many there were. */
  silence(): number {
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

  /** The next request with this text in it reaches the server, and in place of the answer its client is cut off. */
  loseNextAnswerTo(text: string): void {
    this.#awaited = { text, answer: 'is lost' };
  }

  /** The next request with this text in it is answered, and that is the last that passes on its connection. */
  silenceAfterAnswerTo(text: string): void {
    this.#awaited = { text, answer: 'is the last' };
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
    this.connectionsMade += 1;
    if (this.#mode.name === 'swallowing') {
      this.#deadEnds.add(client);
      // Read, or the kernel would tell the client by a full window.
      client.on('error', () => undefined).on('close', () => this.#deadEnds.delete(client));
      client.resume();
      return;
    }
    const upstream = connect({ port: this.#targetPort, host: LOOPBACK, allowHalfOpen: true, noDelay: true });
    const connection: Connection = { client, upstream, isSilent: false, nextAnswer: 'passes' };
    this.#connections.add(connection);
    client.on('data', (piece: Buffer) => this.#heard(connection, piece));
    this.#carry(connection, client, upstream);
    this.#carry(connection, upstream, client);
  }

  #heard(connection: Connection, request: Buffer): void {
    if (connection.isSilent || this.#awaited === undefined || !request.includes(this.#awaited.text)) return;
    connection.nextAnswer = this.#awaited.answer;
    this.#awaited = undefined;
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
      const answer = from === connection.upstream ? connection.nextAnswer : 'passes';
      if (answer === 'is lost') connection.client.destroy();
      else if (!connection.isSilent) {
        inTurn(() => {
          to.write(piece);
          connection.isSilent ||= answer === 'is the last';
        });
      }
    });
    from.on('end', () => inTurn(() => void to.end()));
    from.on('error', () => undefined);
    from.on('close', () => {
      inTurn(() => void to.destroy());
      if (connection.client.destroyed && connection.upstream.destroyed) this.#connections.delete(connection);
    });
  }
}
