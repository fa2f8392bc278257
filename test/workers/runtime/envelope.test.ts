import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { orderSchema } from '../../../workers/messages/order.ts';
import { readMessage } from '../../../workers/runtime/envelope.ts';

const schema = { name: 'work', version: 2, payload: z.object({ id: z.int() }) };
const read = (envelope: unknown) => readMessage(JSON.stringify(envelope), schema);

describe('reading a body', () => {
  test('gives the payload of its own schema, of its own version or an older one', () => {
    for (const version of [1, 2]) {
      expect(read({ schema: 'work', version, payload: { id: 7, unknown: true } })).toEqual({
        name: 'message',
        payload: { id: 7 },
      });
    }
  });

  test('tells a newer version apart before it looks at the payload', () => {
    expect(read({ schema: 'work', version: 3, payload: 'whatever it is by then' })).toEqual({
      name: 'newer',
      version: 3,
    });
  });

  test.each([
    ['', /^body is not JSON: /],
    ['{"schema":"work"', /^body is not JSON: /],
    ['null', /^body: Invalid input: expected object/],
    ['[]', /^body: Invalid input: expected object/],
    ['{"version":1,"payload":{}}', /^schema: Invalid input/],
    ['{"schema":"other","version":9,"payload":{}}', /^schema is not work$/],
    ['{"schema":"work","version":0,"payload":{}}', /^version: Too small/],
    ['{"schema":"work","version":1.5,"payload":{}}', /^version: Invalid input/],
    ['{"schema":"work","version":"2","payload":{}}', /^version: Invalid input/],
    ['{"schema":"work","version":1}', /^payload: Invalid input/],
    ['{"schema":"work","version":1,"payload":{"id":"7"}}', /^id: Invalid input: expected number/],
  ])('finds %s invalid, and says why', (body, reason) => {
    expect(readMessage(body, schema)).toEqual({ name: 'invalid', reason: expect.stringMatching(reason) });
  });

  test('never throws, and every reason is printable ASCII of at most 200 characters', () => {
    const orders = { name: 'order', version: 1, payload: orderSchema };
    const anyBody = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 500 }),
      fc.json(),
      fc
        .record({ schema: fc.constantFrom('order', 'other'), version: fc.integer(), payload: fc.jsonValue() })
        .map((envelope) => JSON.stringify(envelope)),
      fc.jsonValue().map((value) => `{"schema":"order","version":1,"payload":{"lines":[${JSON.stringify(value)}]}}`),
    );
    fc.assert(
      fc.property(anyBody, (body) => {
        const reading = readMessage(body, orders);
        return reading.name !== 'invalid' || /^[\x20-\x7e]{1,200}$/.test(reading.reason);
      }),
      { numRuns: 2_000 },
    );
  });

  test('survives a body that is nested as deeply as a message can hold', () => {
    const deep = '['.repeat(500_000) + ']'.repeat(500_000);
    expect(readMessage(deep, schema).name).toBe('invalid');
    expect(readMessage(`{"schema":"work","version":1,"payload":${deep}}`, schema).name).toBe('invalid');
  });
});
