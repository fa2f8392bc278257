import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { Telemetry } from '../../../workers/runtime/telemetry.ts';

/** The embedded metric format as CloudWatch reads it (CloudWatch User Guide, embedded metric format specification). */
const lineSchema = z.looseObject({
  _aws: z.strictObject({
    Timestamp: z.int(),
    CloudWatchMetrics: z
      .array(
        z.strictObject({
          Namespace: z.string().min(1),
          Dimensions: z.array(z.array(z.string()).max(30)).min(1),
          Metrics: z.array(z.strictObject({ Name: z.string().min(1).max(1_024), Unit: unitSchema() })).max(100),
        }),
      )
      .min(1),
  }),
});
const valueSchema = z.union([
  z.number(),
  z
    .strictObject({
      Values: z.array(z.number()).min(1).max(100),
      Counts: z.array(z.number().positive()).min(1).max(100),
    })
    .refine(({ Values: values, Counts: counts }) => values.length === counts.length),
]);

function unitSchema() {
  return z.enum(['Seconds', 'Milliseconds', 'Count', 'Megabytes', 'None', 'Percent']);
}

function makeTelemetry() {
  const lines: string[] = [];
  const clock = { nowMs: 0 };
  const telemetry = new Telemetry(
    'orders',
    (line) => lines.push(line),
    () => clock.nowMs,
  );
  const flushed = () => {
    lines.length = 0;
    telemetry.flush(1_700_000_000_123.4);
    return lines.map((line) => lineSchema.parse(JSON.parse(line)));
  };
  return { telemetry, clock, flushed };
}

describe('metric lines', () => {
  test('are valid: each name of the directive is in the line, with a value that CloudWatch takes', () => {
    const { telemetry, clock, flushed } = makeTelemetry();
    telemetry.count('received', 10);
    for (const seconds of Array.from({ length: 10_000 }, (_, index) => index / 7)) {
      telemetry.observe('dwellSeconds', seconds);
    }
    telemetry.observe('drainSeconds', 3);
    const ended = telemetry.request('receive');
    clock.nowMs = 250;
    ended();
    telemetry.request('delete')();
    const lines = flushed();
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const [directive] = line._aws.CloudWatchMetrics;
      for (const { Name: name } of directive!.Metrics) valueSchema.parse(line[name]);
      for (const dimension of directive!.Dimensions.flat()) expect(line[dimension]).toEqual(expect.any(String));
      expect(line._aws.Timestamp).toBe(1_700_000_000_123);
      expect(new Set(directive!.Metrics.map(({ Name: name }) => name)).size).toBe(directive!.Metrics.length);
    }
  });

  test('tell what was counted since the line before', () => {
    const { telemetry, flushed } = makeTelemetry();
    telemetry.count('received', 3);
    telemetry.count('stored', 2);
    telemetry.count('stored');
    expect(flushed()).toMatchObject([{ worker: 'orders', 'messaging.client.consumed.messages': 3, stored: 3 }]);
    telemetry.count('rejected');
    expect(flushed()).toMatchObject([{ 'messaging.client.consumed.messages': 0, stored: 0, rejected: 1 }]);
  });

  test('are not written when there was nothing', () => {
    const { telemetry, flushed } = makeTelemetry();
    expect(flushed()).toEqual([]);
    telemetry.count('stored', 0);
    expect(flushed()).toEqual([]);
    telemetry.observe('drainSeconds', 0);
    expect(flushed()).toHaveLength(1);
  });

  test('are written while nothing is received, although nothing is counted then', () => {
    const { telemetry, flushed } = makeTelemetry();
    telemetry.gauges = { breakerOpen: 1, messagesInProcess: 0, placesTaken: 0 };
    expect(flushed()).toMatchObject([{ breakerOpen: 1, stored: 0 }]);
    expect(flushed()).toMatchObject([{ breakerOpen: 1, stored: 0 }]);
    telemetry.gauges = { ...telemetry.gauges, breakerOpen: 0 };
    expect(flushed()).toEqual([]);
  });

  test('tell of an outage that began and ended since the line before, once', () => {
    const { telemetry, flushed } = makeTelemetry();
    telemetry.breakerOpened();
    expect(flushed()).toMatchObject([{ breakerOpen: 1 }]);
    telemetry.count('stored');
    expect(flushed()).toMatchObject([{ breakerOpen: 0, stored: 1 }]);
  });

  test('tell how many requests a message took, where there were messages; describing a queue is none', () => {
    const { telemetry, flushed } = makeTelemetry();
    telemetry.request('describe')();
    telemetry.request('receive')();
    telemetry.request('delete')();
    expect(flushed()[0]).not.toHaveProperty('requestsPerMessage');
    telemetry.count('received', 10);
    telemetry.request('receive')();
    telemetry.request('delete')();
    expect(flushed()[0]).toMatchObject({ requests: 2, requestsPerMessage: 0.2 });
  });

  test('tell how long each operation took, in a line of its own', () => {
    const { telemetry, clock, flushed } = makeTelemetry();
    const [slow, quick] = [telemetry.request('receive'), telemetry.request('receive')];
    clock.nowMs = 1_000;
    quick();
    clock.nowMs = 20_000;
    slow();
    expect(flushed()[1]).toMatchObject({
      'messaging.operation.name': 'receive',
      'messaging.client.operation.duration': { Counts: [1, 1] },
    });
  });

  test('are told by the stage and the worker, where the worker knows its stage', () => {
    const lines: string[] = [];
    const telemetry = new Telemetry(
      'orders',
      (line) => lines.push(line),
      () => 0,
      'prod',
    );
    telemetry.request('receive')();
    telemetry.flush(0);
    const [counts, operation] = lines.map((line) => lineSchema.parse(JSON.parse(line)));
    expect(counts).toMatchObject({ stage: 'prod', worker: 'orders' });
    expect(counts!._aws.CloudWatchMetrics[0]!.Dimensions).toEqual([['stage', 'worker']]);
    expect(operation!._aws.CloudWatchMetrics[0]!.Dimensions).toEqual([['stage', 'worker', 'messaging.operation.name']]);
    const { flushed, telemetry: alone } = makeTelemetry();
    alone.count('stored');
    expect(flushed()[0]!._aws.CloudWatchMetrics[0]!.Dimensions).toEqual([['worker']]);
  });

  test.each([
    ['KmsAccessDenied', 1],
    ['KmsDisabled', 1],
    ['KmsNotFound', 1],
    ['AccessDeniedException', 1],
    ['AccessDenied', 1],
    ['KmsThrottled', 0],
    ['TimeoutError', 0],
    ['QueueDoesNotExist', 0],
  ])('count a request that ended with %s as denied %i times', (name, accessDenied) => {
    const { telemetry, flushed } = makeTelemetry();
    telemetry.request('receive')(Object.assign(new Error('no'), { name }));
    expect(flushed()[0]).toMatchObject({ requests: 1, accessDenied });
    telemetry.request('receive')();
    expect(flushed()[0]).toMatchObject({ requests: 1, accessDenied: 0 });
  });

  test('tell what the worker is doing', () => {
    const { telemetry, flushed } = makeTelemetry();
    telemetry.gauges = { breakerOpen: 1, messagesInProcess: 42, placesTaken: 52 };
    telemetry.count('retried');
    expect(flushed()).toMatchObject([
      { breakerOpen: 1, messagesInProcess: 42, placesTaken: 52, memoryPeakMegabytes: expect.any(Number) },
    ]);
  });
});
