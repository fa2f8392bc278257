import { describe, expect, test } from '@jest/globals';
import { ledgerOrderSchema } from '../../../workers/ledger/write-entries.ts';
import { orderSchema } from '../../../workers/messages/order.ts';
import { readMessage } from '../../../workers/runtime/envelope.ts';
import { order } from '../orders.ts';

const orders = { name: 'order', version: 1, payload: orderSchema };
const entries = { name: 'order', version: 1, payload: ledgerOrderSchema };

/** `accepted`, or the reason. */
function verdict(payload: unknown, schema: typeof orders | typeof entries = orders): string {
  const reading = readMessage(JSON.stringify({ schema: 'order', version: 1, payload }), schema);
  return reading.name === 'invalid' ? reading.reason : 'accepted';
}

const line = order().lines[0]!;
const withLine = (change: object) => order({ lines: [line, { ...line, ...change }] });

describe('an order is accepted', () => {
  test.each([
    ['as it usually is', order()],
    ['without customer, place in a file and description', order({ customerId: null, filePosition: null })],
    ['without a description', withLine({ description: null })],
    ['with an empty country and description', { ...withLine({ description: '' }), country: '' }],
    ['as a cancellation with negative quantities', { ...withLine({ quantity: -12 }), kind: 'cancellation' }],
    ['with the same line twice', withLine({})],
    ['with a price of nothing', withLine({ unitPrice: '0' })],
    ['with the longest price', withLine({ unitPrice: '999999999999.999999' })],
    ['with any text that has a UTF-8', withLine({ description: '"{NULL}\\ \u{1f381} \u0001 é' })],
    ['with a fraction of a second', order({ placedAt: '2011-08-12T14:50:00.123456789Z' })],
    ['on a leap day', order({ placedAt: '2012-02-29T00:00:00Z' })],
  ])('%s', (_, payload) => expect(verdict(payload)).toBe('accepted'));
});

describe('an order is rejected', () => {
  test.each([
    ['a negative price', withLine({ unitPrice: '-11062.06' }), /^unitPrice is negative$/],
    ['a price as a number', withLine({ unitPrice: 2.55 }), /^unitPrice: Invalid input: expected string/],
    ['a price with an exponent', withLine({ unitPrice: '1e3' }), /^unitPrice is not a decimal such as 2\.55$/],
    ['a price of 13 digits', withLine({ unitPrice: '1000000000000' }), /^unitPrice is not a decimal/],
    ['a price of 7 decimals', withLine({ unitPrice: '0.0000001' }), /^unitPrice is not a decimal/],
    ['a price that is not one', withLine({ unitPrice: 'NaN' }), /^unitPrice is not a decimal/],
    ['a price with a line break', withLine({ unitPrice: '1.00\n' }), /^unitPrice is not a decimal/],
    ['half a piece', withLine({ quantity: 0.5 }), /^quantity: Invalid input/],
    ['more pieces than an integer holds', withLine({ quantity: 2 ** 31 }), /^quantity: /],
    ['a NUL in a text', withLine({ description: 'a\0b' }), /^description contains a NUL character/],
    ['half of a surrogate pair', withLine({ description: '\ud83c' }), /^description contains half of a surrogate/],
    ['a NUL in its id', order({ orderId: 'a\0' }), /^orderId contains a NUL character/],
    ['an empty id', order({ orderId: '' }), /^orderId: Too small/],
    ['an id of 129 characters', order({ orderId: 'x'.repeat(129) }), /^orderId: Too big/],
    ['an empty customer', order({ customerId: '' }), /^customerId: Too small/],
    ['no lines', order({ lines: [] }), /^lines: Too small/],
    ['another kind', { ...order(), kind: 'gift' }, /^kind: Invalid option/],
    ['a date without a time', order({ placedAt: '2011-08-12' }), /^placedAt Invalid ISO datetime/],
    ['a time without a zone', order({ placedAt: '2011-08-12T14:50:00' }), /^placedAt Invalid ISO datetime/],
    ['a time with an offset', order({ placedAt: '2011-08-12T14:50:00+02:00' }), /^placedAt Invalid ISO datetime/],
    ['a day that there was not', order({ placedAt: '2011-02-29T00:00:00Z' }), /^placedAt Invalid ISO datetime/],
    ['the year 0', order({ placedAt: '0000-01-01T00:00:00Z' }), /^placedAt is in the year 0/],
    ['too exact a time', order({ placedAt: `2011-08-12T14:50:00.${'1'.repeat(200)}Z` }), /^placedAt: Too big/],
    ['no payload', null, /^body: Invalid input: expected object/],
  ])('for %s', (_, payload, reason) => expect(verdict(payload)).toMatch(reason));
});

describe('a ledger entry', () => {
  test.each([
    ['no customer', order({ customerId: null }), /^customerId: Invalid input: expected string/],
    ['an empty customer', order({ customerId: '' }), /^customerId: Too small/],
    ['a NUL in its customer', order({ customerId: 'a\0' }), /^customerId contains a NUL/],
    ['a customer of 129 characters', order({ customerId: 'x'.repeat(129) }), /^customerId: Too big/],
    ['no place in its file', order({ filePosition: null }), /^filePosition: Invalid input/],
    ['a place before the first', order({ filePosition: 0 }), /^filePosition: Too small/],
    ['a negative price', withLine({ unitPrice: '-0.01' }), /^unitPrice is negative$/],
  ])('is rejected for %s', (_, payload, reason) => expect(verdict(payload, entries)).toMatch(reason));

  test('is accepted with both', () => expect(verdict(order(), entries)).toBe('accepted'));
});
