/**
 * TLS before a PostgreSQL that has none, as the embedded one: takes the client's request for it, shows a certificate, and
 * hands on what comes through.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { LOOPBACK, portOf } from '../../local/machine/ports.ts';

/** What PostgreSQL answers to a request for TLS that it agrees to. */
const AGREED = 'S';

export class TlsFront {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** How many clients found the certificate good and went on. */
  trusted = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async before(port: number, certificate: { readonly key: string; readonly cert: string }): Promise<TlsFront> {
    const server = createServer();
    const front = new TlsFront(server);
    server.on('connection', (socket) => front.#take(socket, port, certificate));
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    return front;
  }

  get port(): number {
    return portOf(this.#server);
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #take(socket: Socket, port: number, certificate: { readonly key: string; readonly cert: string }): void {
    this.#keep(socket);
    // The first bytes are the request for TLS and nothing else: the client waits for the answer.
    socket.once('data', () => {
      socket.write(AGREED);
      const secure = new TLSSocket(socket, { isServer: true, ...certificate });
      this.#keep(secure);
      secure.once('data', (startup) => {
        this.trusted += 1;
        const behind = connect(port, LOOPBACK);
        this.#keep(behind);
        behind.write(startup);
        secure.pipe(behind).pipe(secure);
      });
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
