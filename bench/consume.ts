/**
 * How much of the rate of a bare SDK loop is left with all that the consumer does for a message: leases, admission,
 * reading, settling, counting.
 *
 * Both take from the same fake SQS, on one core, in turn; what counts is what the fake SQS was told to delete.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { between } from './fake-sqs-counts.ts';
import { profileDetails } from './profile.ts';
import { type CaseResult, number } from './result.ts';
import type { FakeSqs, MeasuredProcess, Site } from './site.ts';
import { median } from './statistics.ts';
import { untilWarm } from './until-deleted.ts';

/** Tried first; more polls than these only queue for the core. */
const RECEIVERS_TRIED = [8, 16, 32, 64];
const TRIAL_SECONDS = 3;

export interface ConsumeOptions {
  readonly runs: number;
  readonly seconds: number;
  /** Of the bare loop; undefined for the best of those tried. */
  readonly receivers: number | undefined;
  /** Folder for a CPU profile of each run; profiling itself slows both down. */
  readonly profile: string | undefined;
}

export interface Rate {
  readonly messagesPerSecond: number;
  readonly requestsPerMessage: number;
  readonly cpuSecondsPerThousand: number;
  /** Of a core: well below 1 where something else ran on it, or where waiting and not work is the limit. */
  readonly coreShare: number;
  /** Of a core, of the fake SQS: near 1 it would be what is measured. */
  readonly fakeSqsShare: number;
}

export async function consume(site: Site, options: ConsumeOptions): Promise<CaseResult> {
  const sqs = await site.startFakeSqs('endless', { core: site.cores.pinned?.others });
  const trials = options.receivers === undefined ? await tryReceivers(site, sqs) : [];
  const best = trials.toSorted((one, other) => other.rate.messagesPerSecond - one.rate.messagesPerSecond)[0];
  const receivers = options.receivers ?? best!.receivers;
  const bare: Rate[] = [];
  const sluice: Rate[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    for (const [who, rates] of [['bare', bare] as const, ['sluice', sluice] as const]) {
      const what = `consume: run ${run} of ${options.runs}, ${who}`;
      const consumer = await startLoop(site, sqs, who, receivers, options.profile);
      rates.push(await measure(site, sqs, consumer, what, options.seconds));
      await consumer.stop();
    }
  }
  await sqs.stop();
  return resultOf(site, options, receivers, trials, bare, sluice);
}

interface Trial {
  readonly receivers: number;
  readonly rate: Rate;
}

async function tryReceivers(site: Site, sqs: FakeSqs): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (const receivers of RECEIVERS_TRIED) {
    const what = `consume: trying the bare loop with ${receivers} receivers`;
    const consumer = await startLoop(site, sqs, 'bare', receivers, undefined);
    trials.push({ receivers, rate: await measure(site, sqs, consumer, what, TRIAL_SECONDS) });
    await consumer.stop();
  }
  return trials;
}

export function startLoop(
  site: Site,
  sqs: FakeSqs,
  who: 'bare' | 'sluice',
  receivers: number,
  profile: string | undefined,
  nodeFlags: readonly string[] = [],
): Promise<MeasuredProcess> {
  const folder = profile === undefined ? undefined : resolve(profile, who);
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  return site.startConsumer(sqs, {
    name: who,
    entry: `${who}-loop.ts`,
    args: who === 'bare' ? [String(receivers)] : [],
    nodeFlags: [...nodeFlags, ...(folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${folder}`])],
    core: site.cores.pinned?.measured,
  });
}

async function measure(
  site: Site,
  sqs: FakeSqs,
  consumer: MeasuredProcess,
  what: string,
  seconds: number,
): Promise<Rate> {
  await untilWarm(site, { sqs, consumers: [consumer], what });
  site.progress.step(`${what}, measuring for ${seconds} s`);
  const look = () => Promise.all([sqs.counts(), consumer.usage(), sqs.usage()]);
  const [countsBefore, consumerBefore, sqsBefore] = await look();
  await site.sleep(seconds);
  const [countsAfter, consumerAfter, sqsAfter] = await look();
  const asked = between(countsBefore, countsAfter);
  const cpuSeconds = consumerAfter.cpuSeconds - consumerBefore.cpuSeconds;
  return {
    messagesPerSecond: asked.messagesPerSecond,
    requestsPerMessage: asked.requestsPerMessage,
    cpuSecondsPerThousand: (cpuSeconds / asked.messages) * 1000,
    coreShare: cpuSeconds / asked.seconds,
    fakeSqsShare: (sqsAfter.cpuSeconds - sqsBefore.cpuSeconds) / asked.seconds,
  };
}

function resultOf(
  site: Site,
  { seconds, profile }: ConsumeOptions,
  receivers: number,
  trials: readonly Trial[],
  bare: readonly Rate[],
  sluice: readonly Rate[],
): CaseResult {
  const middle = (rates: readonly Rate[], name: keyof Rate) => median(rates.map((rate) => rate[name]));
  const row = (who: string, rates: readonly Rate[]) => [
    who,
    number(middle(rates, 'messagesPerSecond')),
    number(Math.min(...rates.map(({ messagesPerSecond }) => messagesPerSecond))),
    number(Math.max(...rates.map(({ messagesPerSecond }) => messagesPerSecond))),
    number(middle(rates, 'requestsPerMessage'), 3),
    number(middle(rates, 'cpuSecondsPerThousand'), 3),
    number(middle(rates, 'coreShare') * 100),
  ];
  const ratio = middle(sluice, 'messagesPerSecond') / middle(bare, 'messagesPerSecond');
  const fakeSqsShare = Math.max(...[...bare, ...sluice].map((rate) => rate.fakeSqsShare));
  const cpuRatio = middle(bare, 'cpuSecondsPerThousand') / middle(sluice, 'cpuSecondsPerThousand');
  return {
    name: 'consume',
    conditions: [
      'Fake SQS of 10 ms a call, 1 KB bodies, ten a receive; metrics on; nothing stored.',
      `Medians of ${bare.length} runs in turn; ${site.cores.sentence}, which it used to ${number(fakeSqsShare * 100)} % at most.`,
    ],
    figures: [
      {
        what: 'rate beside a bare SDK loop',
        seen: ratio,
        decimals: 2,
        unit: '',
        target: { kind: 'at least', value: 0.95 },
      },
      {
        what: 'requests per message',
        seen: middle(sluice, 'requestsPerMessage'),
        decimals: 3,
        unit: '',
        target: { kind: 'at most', value: 0.21 },
      },
    ],
    details: [
      {
        title: `Bare loop with ${receivers} receivers; for the same work Sluice's CPU does ${number(cpuRatio, 2)} of its`,
        head: ['', 'messages/s', 'least', 'most', 'requests each', 'CPU s/1000', '% of core'],
        rows: [row(`bare × ${receivers}`, bare), row('sluice', sluice)],
      },
      ...(trials.length === 0 ? [] : [trialDetail(trials)]),
      ...(profile === undefined
        ? []
        : [...profiled('bare', profile, seconds, bare), ...profiled('sluice', profile, seconds, sluice)]),
    ],
    runs: [{ receivers, trials, bare, sluice, ratio, cpuRatio }],
  };
}

/** Of the last run of each. */
function profiled(who: 'bare' | 'sluice', folder: string, seconds: number, rates: readonly Rate[]) {
  return profileDetails(who, resolve(folder, who), seconds, rates.at(-1)!.cpuSecondsPerThousand);
}

function trialDetail(trials: readonly Trial[]) {
  return {
    title: 'The bare loop by receivers, one short run each',
    head: ['receivers', 'messages/s', 'CPU s/1000'],
    rows: trials.map(({ receivers, rate }) => [
      String(receivers),
      number(rate.messagesPerSecond),
      number(rate.cpuSecondsPerThousand, 3),
    ]),
  };
}
