/**
 * How much memory a worker takes when its hand is full of the largest messages: each takes a while to handle, so that all
 * places are taken all the time.
 */
import { type CaseResult, number } from './result.ts';
import type { Site } from './site.ts';
import { median } from './statistics.ts';
import { untilDeleted } from './until-deleted.ts';

/** Near SQS's limit of 1 MiB. */
const BODY_BYTES = 1_000_000;
/** Long enough that every place is taken before the first is free again. */
const HANDLING_MS = 1_500;
/** By then the hand has been full several times. */
const WARM_UP_MESSAGES = 500;
const LOOK_MS = 100;
const BYTES_PER_MEGABYTE = 1e6;
/** Half of the smallest instance of the template, a t4g.micro: the system has the other half. */
const RESIDENT_MEGABYTES_MAX = 512;

export interface LargeOptions {
  readonly seconds: number;
}

export async function large(site: Site, { seconds }: LargeOptions): Promise<CaseResult> {
  const sqs = await site.startFakeSqs('endless', { core: site.cores.pinned?.others, bodyBytes: BODY_BYTES });
  const worker = await site.startConsumer(sqs, {
    name: 'large',
    entry: 'sluice-loop.ts',
    args: [String(HANDLING_MS)],
    core: site.cores.pinned?.measured,
  });
  await untilDeleted(site, { sqs, consumers: [worker], what: 'large: warming up' }, WARM_UP_MESSAGES);
  site.progress.step(`large: looking at the memory for ${seconds} s`);
  const residentMegabytes: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  while (performance.now() < endMs) {
    residentMegabytes.push((await worker.usage()).residentBytes / BYTES_PER_MEGABYTE);
    await site.sleep(LOOK_MS / 1000);
  }
  const { deleted } = await sqs.counts();
  await worker.stop();
  await sqs.stop();
  return resultOf(residentMegabytes, deleted);
}

function resultOf(residentMegabytes: readonly number[], messages: number): CaseResult {
  const most = Math.max(...residentMegabytes);
  return {
    name: 'large',
    conditions: [
      `Bodies of ${number(BODY_BYTES)} bytes, each batch handled for ${HANDLING_MS / 1000} s, nothing stored;`,
      `${number(messages)} messages, the memory looked at ${number(residentMegabytes.length)} times.`,
    ],
    figures: [
      {
        what: 'most resident memory',
        seen: most,
        decimals: 0,
        unit: ' MB',
        target: { kind: 'below', value: RESIDENT_MEGABYTES_MAX },
      },
    ],
    details: [
      {
        title: 'MB of resident memory',
        head: ['', 'MB'],
        rows: [
          ['least', number(Math.min(...residentMegabytes))],
          ['median', number(median(residentMegabytes))],
          ['most', number(most)],
        ],
      },
    ],
    runs: residentMegabytes,
  };
}
