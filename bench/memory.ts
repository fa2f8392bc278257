/** Whether a worker's memory grows with what it has done: looked at every so many messages, from the first look on. */
import { startLoop } from './consume.ts';
import type { Usage } from './reports.ts';
import { type CaseResult, number } from './result.ts';
import type { Site } from './site.ts';
import { untilDeleted } from './until-deleted.ts';

/** By then everything is loaded, compiled and connected, and every buffer has been full. */
const FIRST_LOOK_MESSAGES = 100_000;
const LOOKS = 10;
const BYTES_PER_MEGABYTE = 1e6;

export interface MemoryOptions {
  /** At the last look. */
  readonly messages: number;
}

interface Look {
  readonly messages: number;
  readonly residentMegabytes: number;
  readonly heapUsedMegabytes: number;
  readonly heapAfterCollectionMegabytes: number;
}

export async function memory(site: Site, options: MemoryOptions): Promise<CaseResult> {
  const sqs = await site.startFakeSqs('endless', { core: site.cores.pinned?.others });
  const worker = await startLoop(site, sqs, 'sluice', 0, undefined, ['--expose-gc']);
  const looks: Look[] = [];
  const step = (options.messages - FIRST_LOOK_MESSAGES) / (LOOKS - 1);
  for (let look = 0; look < LOOKS; look += 1) {
    const what = `memory: look ${look + 1} of ${LOOKS}`;
    const work = { sqs, consumers: [worker], what };
    const messages = await untilDeleted(site, work, FIRST_LOOK_MESSAGES + look * step);
    looks.push(lookAt(messages, await worker.usage()));
  }
  await worker.stop();
  await sqs.stop();
  return resultOf(looks);
}

function lookAt(messages: number, usage: Usage): Look {
  if (usage.heapUsedAfterCollectionBytes === null) throw new Error('the worker was started without --expose-gc');
  return {
    messages,
    residentMegabytes: usage.residentBytes / BYTES_PER_MEGABYTE,
    heapUsedMegabytes: usage.heapUsedBytes / BYTES_PER_MEGABYTE,
    heapAfterCollectionMegabytes: usage.heapUsedAfterCollectionBytes / BYTES_PER_MEGABYTE,
  };
}

function resultOf(looks: readonly Look[]): CaseResult {
  const [first, last] = [looks[0]!, looks.at(-1)!];
  const growth = (name: keyof Look) => last[name] - first[name];
  const target = { kind: 'below', value: 10 } as const;
  return {
    name: 'memory',
    conditions: [
      "Nothing stored; node's flags as the template writes them; resident memory before the collection of each look.",
      `From message ${number(first.messages)} to ${number(last.messages)}.`,
    ],
    figures: [
      { what: 'growth of resident memory', seen: growth('residentMegabytes'), decimals: 1, unit: ' MB', target },
      {
        what: 'growth of the collected heap',
        seen: growth('heapAfterCollectionMegabytes'),
        decimals: 1,
        unit: ' MB',
        target,
      },
    ],
    details: [
      {
        title: 'MB at each look',
        head: ['messages', 'resident', 'heap used', 'heap after a collection'],
        rows: looks.map((look) => [
          number(look.messages),
          number(look.residentMegabytes, 1),
          number(look.heapUsedMegabytes, 1),
          number(look.heapAfterCollectionMegabytes, 1),
        ]),
      },
    ],
    runs: looks,
  };
}
