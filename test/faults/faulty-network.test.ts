/** The network that the proof puts between workers and servers does what it says. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { LOOPBACK, portOf } from '../../local/machine/ports.ts';
import { afterwards, eventually } from '../local/machine/machine.ts';
import { FaultyNetwork } from './faulty-network.ts';

/** A server that says everything back, by way of a faulty network. */
async function startEcho() {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, LOOPBACK);
  await once(server, 'listening');
  const network = await FaultyNetwork.before(portOf(server));
  afterwards(() => server.close());
  afterwards(() => network.stop());
  return {
    network,
    open: async () => {
      const socket = connect({ port: network.port, host: LOOPBACK }).setEncoding('utf8');
      await once(socket, 'connect');
      return new Caller(socket);
    },
  };
}

class Caller {
  heard = '';
  ended: string | undefined;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (text) => {
      this.heard += String(text);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.ended = error.code;
    });
    socket.on('close', () => {
      this.ended ??= 'closed';
    });
    afterwards(() => socket.destroy());
  }

  say(text: string): void {
    this.#socket.write(text);
  }

  async hears(text: string): Promise<void> {
    await eventually(
      () => `${text}, heard ${this.heard}`,
      () => this.heard === text,
    );
  }
}

describe('a faulty network', () => {
  test('carries what it is given, until it is told otherwise', async () => {
    const { open } = await startEcho();
    const caller = await open();
    caller.say('hello');
    await caller.hears('hello');
  });

  test('that swallows silences connections for good, takes new ones for nothing, and carries others afterwards', async () => {
    const { network, open } = await startEcho();
    const before = await open();
    before.say('hello');
    await before.hears('hello');
    expect(network.swallow()).toBe(1);
    const meanwhile = await open();
    network.pass();
    const after = await open();
    for (const caller of [before, meanwhile, after]) caller.say(' again');
    await after.hears(' again');
    expect([before.heard, meanwhile.heard]).toEqual(['hello', '']);
    expect([before.ended, meanwhile.ended]).toEqual([undefined, undefined]);
  });

  test('that silences, as a failover does, carries what is new', async () => {
    const { network, open } = await startEcho();
    const before = await open();
    expect(network.silence()).toBe(1);
    before.say('hello');
    const after = await open();
    after.say('hello');
    await after.hears('hello');
    expect([before.heard, before.ended, network.connectionsMade]).toEqual(['', undefined, 2]);
  });

  test('that loses an answer cuts off its client and nobody else, once', async () => {
    const { network, open } = await startEcho();
    const [one, other] = [await open(), await open()];
    network.loseNextAnswerTo('commit');
    for (const caller of [one, other]) caller.say('begin ');
    await one.hears('begin ');
    one.say('commit');
    await eventually('the end', () => one.ended === 'closed');
    other.say('commit');
    await other.hears('begin commit');
    expect(one.heard).toBe('begin ');
  });

  test('that goes silent after an answer carries it, and then nothing, not even its end', async () => {
    const { network, open } = await startEcho();
    const [one, other] = [await open(), await open()];
    network.silenceAfterAnswerTo('select');
    one.say('select');
    await one.hears('select');
    for (const caller of [one, other]) caller.say(' again');
    await other.hears(' again');
    expect([one.heard, one.ended]).toEqual(['select', undefined]);
  });

  test('that resets tells both ends', async () => {
    const { network, open } = await startEcho();
    const caller = await open();
    caller.say('hello');
    await caller.hears('hello');
    expect(network.reset()).toBe(1);
    await eventually('the reset', () => caller.ended === 'ECONNRESET');
  });

  test('that delays keeps the order, however long each piece takes', async () => {
    const { network, open } = await startEcho();
    const delays = [200, 0, 100, 0, 50, 0];
    network.delay(() => delays.shift() ?? 0);
    const caller = await open();
    for (const word of ['one ', 'two ', 'three ']) {
      caller.say(word);
      // Each in a piece of its own.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await caller.hears('one two three ');
  });
});
