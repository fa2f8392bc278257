import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Batchable, Batcher, type BatchLimits } from '../../../workers/runtime/batcher.ts';

interface Item extends Batchable {
  readonly name: string;
}

/** Five messages or 100 bytes make a batch full; others are waited for for 10 ms; two are written at once. */
const limits: BatchLimits = {
  messages: 5,
  bytes: 100,
  waitMs: 10,
  batches: 2,
  suspectReceives: 3,
  messagesPerGroup: 5,
};

/** `a1` is of the chain a. */
const item = (name: string, change: Partial<Item> = {}): Item => ({
  name,
  chain: name[0]!,
  bytes: 1,
  receiveCount: 1,
  arrivedAtMs: 0,
  ...change,
});

function batcherOf(names: string, change: Partial<BatchLimits> = {}): Batcher<Item> {
  const batcher = new Batcher<Item>({ ...limits, ...change });
  for (const name of names.split(' ').filter(Boolean)) batcher.add(item(name));
  return batcher;
}

const names = (batch: readonly Item[] | undefined) => batch?.map(({ name }) => name).join(' ');
const freeAll = (batcher: Batcher<Item>, batch: readonly Item[]) => {
  for (const chain of new Set(batch.map((each) => each.chain))) batcher.free(chain);
};

describe('a batch', () => {
  test('leaves at once when none is under way, however small', () => {
    expect(names(batcherOf('a1').take(0))).toBe('a1');
    expect(batcherOf('').take(0)).toBeUndefined();
  });

  test('gathers while another is under way, until its oldest message has waited 10 ms', () => {
    const batcher = batcherOf('a1');
    batcher.take(0);
    batcher.add(item('b1', { arrivedAtMs: 3 }));
    batcher.add(item('c1', { arrivedAtMs: 7 }));
    expect(batcher.dueAtMs).toBe(13);
    expect(batcher.take(12)).toBeUndefined();
    expect(names(batcher.take(13))).toBe('b1 c1');
  });

  test('that gathers leaves as soon as the other is written', () => {
    const batcher = batcherOf('a1');
    const batch = batcher.take(0)!;
    batcher.add(item('b1'));
    expect(batcher.take(1)).toBeUndefined();
    batcher.written();
    freeAll(batcher, batch);
    expect(names(batcher.take(1))).toBe('b1');
  });

  test('leaves at once when it is full of messages', () => {
    const batcher = batcherOf('a1');
    batcher.take(0);
    for (const name of ['b1', 'c1', 'd1', 'e1', 'f1', 'g1']) batcher.add(item(name));
    expect(names(batcher.take(0))).toBe('b1 c1 d1 e1 f1');
    expect(batcher.waiting).toBe(1);
  });

  test('leaves at once when it is full of bytes, before the message that would not fit', () => {
    const batcher = batcherOf('a1');
    batcher.take(0);
    batcher.add(item('b1', { bytes: 60 }));
    batcher.add(item('c1', { bytes: 41 }));
    expect(names(batcher.take(0))).toBe('b1');
  });

  test('of one message may be larger than a batch', () => {
    const batcher = batcherOf('');
    batcher.add(item('a1', { bytes: 101 }));
    batcher.add(item('b1'));
    expect(names(batcher.take(0))).toBe('a1');
  });

  test('is not the third at once, nor the second while only one is allowed', () => {
    const batcher = batcherOf('a1');
    expect(names(batcher.take(0))).toBe('a1');
    batcher.add(item('b1'));
    expect(batcher.take(1_000, 1)).toBeUndefined();
    expect(names(batcher.take(1_000, 9))).toBe('b1');
    batcher.add(item('c1'));
    expect(batcher.take(2_000, 9)).toBeUndefined();
    expect([batcher.underWay, batcher.dueAtMs]).toEqual([2, undefined]);
  });

  test('is not there at all while none is allowed', () => {
    expect(batcherOf('a1').take(0, 0)).toBeUndefined();
  });
});

describe('a group', () => {
  test('gives consecutive messages to one batch, those of others in between', () => {
    expect(names(batcherOf('a1 b1 a2 a3').take(0))).toBe('a1 a2 a3 b1');
  });

  test('is in one batch at a time, until it is free', () => {
    const batcher = batcherOf('a1');
    batcher.take(0);
    batcher.add(item('a2'));
    batcher.add(item('b1'));
    expect(names(batcher.take(1_000))).toBe('b1');
    batcher.written();
    // Its batch has its outcomes, but they are not settled yet.
    expect(batcher.take(2_000)).toBeUndefined();
    batcher.free('a');
    expect(names(batcher.take(2_000))).toBe('a2');
  });

  test('that is larger than a batch goes on in the next', () => {
    const batcher = batcherOf('a1 a2 a3 a4 a5 a6');
    expect(names(batcher.take(0))).toBe('a1 a2 a3 a4 a5');
    batcher.written();
    batcher.free('a');
    expect(names(batcher.take(0))).toBe('a6');
  });

  test('may be limited to one message of it in a batch', () => {
    expect(names(batcherOf('a1 a2 b1', { messagesPerGroup: 1 }).take(0))).toBe('a1 b1');
  });

  test('has what is written again before what waits behind it', () => {
    const batcher = batcherOf('a1 a2');
    const batch = batcher.take(0)!;
    batcher.add(item('a3'));
    batcher.written();
    batcher.free('a', batch);
    expect(batcher.waiting).toBe(3);
    expect(names(batcher.take(0))).toBe('a1 a2 a3');
  });

  test('gives up what waits in it, whether or not something of it is under way', () => {
    const batcher = batcherOf('a1 b1');
    batcher.take(0);
    batcher.add(item('a2'));
    batcher.add(item('c1'));
    expect(names(batcher.drop('a'))).toBe('a2');
    expect(names(batcher.drop('c'))).toBe('c1');
    expect(batcher.drop('nobody')).toEqual([]);
    expect(batcher.waiting).toBe(0);
    batcher.free('a');
    expect(() => batcher.free('c')).toThrow('only a chain that was taken from is freed');
  });

  test('is forgotten when nothing of it is here: there may be millions in a week', () => {
    const batcher = batcherOf('a1 b1 c1');
    const batch = batcher.take(0)!;
    batcher.written();
    freeAll(batcher, batch);
    batcher.add(item('d1'));
    batcher.drop('d');
    expect(batcher.waitingByChain).toEqual([]);
  });

  test('gives up with all others what waits behind nothing, as far as it is wanted', () => {
    const batcher = batcherOf('a1');
    batcher.take(0);
    for (const name of ['a2', 'b1', 'b2', 'c1']) batcher.add(item(name));
    expect(names(batcher.dropReady((waiting) => waiting.length === 2))).toBe('b1 b2');
    expect(names(batcher.dropReady())).toBe('c1');
    expect(names(batcher.waitingIn('a'))).toBe('a2');
    expect(batcher.waitingByChain.map(names)).toEqual(['a2']);
  });
});

describe('a suspect', () => {
  const suspect = (name: string, receiveCount = 3) => item(name, { receiveCount });

  test('goes alone, when nothing else waits and nothing is under way', () => {
    const batcher = batcherOf('a1');
    batcher.add(suspect('x1'));
    batcher.add(suspect('y1'));
    const batch = batcher.take(0)!;
    expect([names(batch), batcher.isSuspectUnderWay]).toEqual(['a1', false]);
    expect(batcher.take(1_000)).toBeUndefined();
    batcher.written();
    expect(names(batcher.take(1_000))).toBe('x1');
    expect(batcher.isSuspectUnderWay).toBe(true);
    batcher.add(item('b1'));
    expect(batcher.take(2_000)).toBeUndefined();
    batcher.written();
    expect(names(batcher.take(2_000))).toBe('b1');
  });

  test('waits until everything that was handled before it is settled', () => {
    const batcher = batcherOf('');
    batcher.add(suspect('x1'));
    expect(batcher.take(0, 2, false)).toBeUndefined();
    expect(names(batcher.take(0, 2, true))).toBe('x1');
  });

  test('is known as long as it is here: then nothing more should be received', () => {
    const batcher = batcherOf('');
    batcher.add(suspect('x1'));
    expect(batcher.hasSuspects).toBe(true);
    batcher.take(0);
    expect(batcher.hasSuspects).toBe(true);
    batcher.written();
    expect(batcher.hasSuspects).toBe(false);
    batcher.free('x', [suspect('x1')]);
    expect(batcher.hasSuspects).toBe(true);
    batcher.dropReady();
    expect(batcher.hasSuspects).toBe(false);
  });

  test('that was received less often goes before one that was received more often', () => {
    const batcher = batcherOf('');
    batcher.add(suspect('x1', 5));
    batcher.add(suspect('y1', 3));
    batcher.add(suspect('z1', 4));
    const order: (string | undefined)[] = [];
    for (let batch = batcher.take(0); batch !== undefined; batch = batcher.take(0)) {
      order.push(names(batch));
      batcher.written();
      freeAll(batcher, batch);
    }
    expect(order).toEqual(['y1', 'z1', 'x1']);
  });

  test('in the middle of a group ends the batch before it, and is not overtaken', () => {
    const batcher = batcherOf('a1');
    batcher.add(suspect('a2'));
    batcher.add(item('a3'));
    expect(names(batcher.take(0))).toBe('a1');
    batcher.written();
    batcher.free('a');
    expect(names(batcher.take(0))).toBe('a2');
    expect(names(batcher.waitingIn('a'))).toBe('a3');
    batcher.written();
    batcher.free('a');
    expect(names(batcher.take(0))).toBe('a3');
  });
});

describe('whatever comes and goes', () => {
  const event = fc.oneof(
    fc.record({
      name: fc.constant('add'),
      chain: fc.constantFrom('a', 'b', 'c'),
      receiveCount: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ name: fc.constantFrom('take', 'written', 'again', 'drop') }),
  );

  test('each message is in one batch at a time, in the order of its group, and none is lost', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const batcher = batcherOf('');
        const underWay: Item[][] = [];
        const out: Item[] = [];
        let added = 0;
        for (const each of events) {
          if (each.name === 'add' && 'chain' in each) {
            added += 1;
            batcher.add(item(`${each.chain}${added}`, { receiveCount: each.receiveCount }));
          } else if (each.name === 'take') {
            const batch = batcher.take(1_000);
            if (batch === undefined) continue;
            const busy = new Set(underWay.flat().map(({ chain }) => chain));
            if (batch.some(({ chain }) => busy.has(chain))) return false;
            underWay.push(batch);
          } else if (each.name === 'drop') {
            out.push(...batcher.dropReady());
          } else {
            const batch = underWay.shift();
            if (batch === undefined) continue;
            batcher.written();
            for (const [chain, items] of Map.groupBy(batch, (one) => one.chain)) {
              batcher.free(chain, each.name === 'again' ? items : []);
            }
            if (each.name === 'written') out.push(...batch);
          }
        }
        const inOrder = [...Map.groupBy(out, ({ chain }) => chain).values()].every((ofChain) =>
          ofChain.every(
            ({ name }, index) => index === 0 || Number(name.slice(1)) > Number(ofChain[index - 1]!.name.slice(1)),
          ),
        );
        return inOrder && out.length + underWay.flat().length + batcher.waiting === added && underWay.length <= 2;
      }),
      { numRuns: 2_000 },
    );
  });
});
