/**
 * What is sent in a schedule, and an oracle that says, without the product's help, what must become of each message.
 */
import type { Configuration } from './configuration.ts';
import type { Random } from './random.ts';

export interface Work {
  readonly id: string;
  readonly group: string;
  readonly place: number;
  readonly value: string;
}

/** What the write function of the simulated worker throws upon: a bug in the program. */
export const BUG = 'bug';
/** What the write function throws upon, so many times, before it writes it: a bug of a worker that is about to go. */
export const FLAKY = /^flaky ([12])$/;
/** What ends the process that writes it. */
export const POISON = 'poison';

export type Fate =
  /** Stored once per key; where a key was used for two payloads, one of them is, and the other is rejected. */
  | 'stored'
  | 'stored or KeyReused'
  | 'InvalidMessage'
  | 'RefusedByDatabase'
  /** Never succeeds with this worker and is not rejected: SQS moves it after as many receives as the limit. */
  | 'moved';

export interface Sent {
  readonly index: number;
  readonly fate: Fate;
  readonly work: Work;
  readonly body: string;
  readonly sendAtMs: number;
}

/** SQLSTATEs of values that can never be stored, by the value. */
export const REFUSED_STATES: readonly string[] = ['22003', '22P02', '23514', '54000'];

export function drawWorkload(configuration: Configuration, random: Random): Sent[] {
  const sent: Sent[] = [];
  const places = new Map<string, number>();
  const fresh = (value: string): Work => {
    const group = `g${random.between(1, configuration.groups)}`;
    const place = (places.get(group) ?? 0) + 1;
    places.set(group, place);
    return { id: `k${random.between(0, 999)}-${sent.length}`, group, place, value };
  };
  const times = Array.from({ length: configuration.messages }, () => random.uniform(0, configuration.sendingMs));
  times.sort((one, other) => one - other);
  for (const sendAtMs of times) {
    const add = (fate: Fate, work: Work, body = bodyOf(work)) =>
      sent.push({ index: sent.length, fate, work, body: body.padEnd(configuration.bodyBytes), sendAtMs });
    const earlier = sent.length > 0 ? random.pick(sent) : undefined;
    const draw = random.next();
    const { invalid, refused, repeated, reused, doomed, flaky, poison } = configuration;
    if (draw < invalid) add('InvalidMessage', ...invalidWork(fresh('invalid'), random));
    else if (draw < invalid + refused) add('RefusedByDatabase', fresh(random.pick(REFUSED_STATES)));
    else if (draw < invalid + refused + doomed) {
      const work = fresh(random.chance(0.5) ? BUG : 'newer');
      add('moved', work, bodyOf(work, work.value === BUG ? 1 : 2));
    } else if (draw < invalid + refused + doomed + repeated && earlier?.fate.startsWith('stored')) {
      add(earlier.fate, earlier.work);
    } else if (draw < invalid + refused + doomed + repeated + reused && earlier?.fate.startsWith('stored')) {
      const { id } = earlier.work;
      sent.forEach((each, index) => {
        if (each.work.id === id) sent[index] = { ...each, fate: 'stored or KeyReused' };
      });
      add('stored or KeyReused', { ...fresh(`other ${sent.length}`), id, group: earlier.work.group });
    } else if (draw > 1 - poison) add('moved', fresh(POISON));
    else if (draw > 1 - poison - flaky) add('stored', fresh(`flaky ${random.between(1, 2)}`));
    else add('stored', fresh(`value ${random.between(0, 99)}`));
  }
  return sent;
}

/** How often the write of it fails although nothing else is wrong. */
export function flakyFailures({ value }: Work): number {
  return Number(FLAKY.exec(value)?.[1] ?? 0);
}

function bodyOf(work: unknown, version = 1): string {
  return JSON.stringify({ schema: 'work', version, payload: work });
}

function invalidWork(work: Work, random: Random): [Work, string] {
  const bodies = [
    '{"schema":"work","ver',
    bodyOf({ ...work, place: -1 }),
    bodyOf({ ...work, id: 7 }),
    bodyOf(work).replace('work', 'play'),
  ];
  return [work, random.pick(bodies)];
}
