/**
 * Bodies of orders: valid ones at the edges of what is allowed, and mutants of them. Most mutants are invalid; which are
 * is for `standingOf` to say.
 */
import fc from 'fast-check';

const TEXTS_AT_THE_EDGE = [
  'x',
  ' ',
  '"',
  '\\',
  "'",
  '{NULL}',
  'NULL',
  '\\N',
  '\t\r\n',
  '\u0001',
  '\uFFFD',
  '🎁',
  'é',
  '‮',
];

const text = (least: number, most: number) =>
  fc
    .oneof(
      { weight: 3, arbitrary: fc.string({ unit: 'grapheme', minLength: least, maxLength: 20 }) },
      { weight: 1, arbitrary: fc.constantFrom(...TEXTS_AT_THE_EDGE) },
      { weight: 1, arbitrary: fc.constantFrom('x', 'é', '雪').map((character) => character.repeat(most)) },
    )
    .map((value) => value.replaceAll('\u0000', '0').toWellFormed().slice(0, most))
    .filter((value) => value.length >= least && value.isWellFormed());

const WHOLE_NUMBERS = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)];
const PRICES = ['0', '-0', '-0.00', '2.55', '0.000001', '999999999999.999999', '000000000007.50'];
const TIMES = [
  '2011-08-12T14:50:00Z',
  '2012-02-29T23:59:59Z',
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999999999Z',
  '1969-12-31T23:59:59.5Z',
];

const line = fc.record({
  stockCode: text(1, 128),
  description: fc.option(text(0, 4_096)),
  quantity: fc.oneof(fc.constantFrom(...WHOLE_NUMBERS), fc.integer({ min: -99, max: 99 })),
  unitPrice: fc.constantFrom(...PRICES),
});

/** All but its id and its place in a group, which whoever sends it gives it. */
export const validOrder = fc.record({
  orderId: text(1, 128),
  customerId: text(1, 128),
  country: text(0, 128),
  placedAt: fc.constantFrom(...TIMES),
  kind: fc.constantFrom('sale', 'cancellation'),
  filePosition: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  lines: fc.array(line, { minLength: 1, maxLength: 4 }),
});

export const bodyOf = (payload: unknown): string => JSON.stringify({ schema: 'order', version: 1, payload });

/** A value that JSON can say and JavaScript cannot: written as text, and put in its place after the rest was written. */
const literally = (json: string) => `\u{10FFFF}${json}\u{10FFFF}`;

function written(value: unknown): string {
  return JSON.stringify(value).replaceAll(/"\u{10FFFF}(.*?)\u{10FFFF}"/gu, (_, json: string) =>
    JSON.parse(`"${json}"`),
  );
}

const WRONG_VALUES: readonly unknown[] = [
  ...[null, true, false, [], {}, [[]], [null], '', ' ', '\u0000', 'a\u0000b', '\ud83c', 'x\udf81', '\ufeff'],
  ...['x'.repeat(129), 'x'.repeat(4_097), '雪'.repeat(129)],
  ...[0.5, -1, 0, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 1e300, 5e-324, 2.55, -11_062.06],
  ...['1e400', '-1e400', '-0', '1E2', '123456789012345678901234567890', '1.0000000000000000000001'].map(literally),
  ...['-0.01', '-11062.06', '-0.0000001', '+2.55', '2,55', '.5', '5.', '1.2.3', '--1', '1e3', '0x10', 'NaN', '-'],
  ...[
    'Infinity',
    '1000000000000',
    '0.0000001',
    ' 2.55',
    '2.55 ',
    '2.55\n',
    '２.５５',
    '٢٫٥٥',
    '2.55€',
    '1_000',
    '1 000',
  ],
  ...['2011-08-12', '2011-08-12 14:50:00', '2011-08-12T14:50:00', '2011-08-12T14:50:00+02:00', '2011-02-29T00:00:00Z'],
  ...[
    '2011-13-01T00:00:00Z',
    '2011-00-10T00:00:00Z',
    '2011-08-12T24:00:00Z',
    '2011-08-12T23:59:60Z',
    '2011-08-12T14:50Z',
  ],
  ...['0000-01-01T00:00:00Z', '10000-01-01T00:00:00Z', '-0001-01-01T00:00:00Z', '2011-8-1T1:2:3Z', 'now', 'infinity'],
  ...[`2011-08-12T14:50:00.${'1'.repeat(10)}Z`, '2011-08-12t14:50:00z', '1313160600', 1_313_160_600, '2011-W32-5'],
  ...['Sale', 'gift', 'order', 'orders', 'Order', 'order ', 'ＯＲＤＥＲ', '1', 'null', 'undefined', '[object Object]'],
  ...[{ toString: 'x' }, { length: 1 }, { 0: 'x' }, { $numberDecimal: '2.55' }, { valueOf: 1 }],
  ...['['.repeat(1_000) + ']'.repeat(1_000), `${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}`].map(literally),
];

const PROTOTYPE_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  'toJSON',
  'length',
];

type Path = readonly (string | number)[];

/** The way to every value in a value, the whole of it first. */
function pathsIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, inner]) => pathsIn(inner, [...path, key]))];
}

/** The value with what is at the end of the path replaced; `change` gives the entries that stand in its place. */
function changedAt(value: unknown, path: Path, change: (key: string, old: unknown) => [string, unknown][]): unknown {
  const [head, ...rest] = path;
  const isList = Array.isArray(value);
  const entries = Object.entries(value as object).flatMap(([key, inner]): [string, unknown][] => {
    if (key !== String(head)) return [[key, inner]];
    return rest.length === 0 ? change(key, inner) : [[key, changedAt(inner, rest, change)]];
  });
  return isList ? entries.map(([, inner]) => inner) : asObject(entries);
}

/** Own properties all of them, also the one that is called __proto__. */
function asObject(entries: readonly [string, unknown][]): object {
  const object = {};
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}

const envelope = validOrder.map((payload) => ({ schema: 'order', version: 1, payload }));

/** One value, wherever it is, changed into something else, taken away, renamed, or wrapped. */
const changedInside = fc
  .record({
    message: envelope,
    pick: fc.nat(),
    wrong: fc.oneof(fc.constantFrom(...WRONG_VALUES), fc.jsonValue({ maxDepth: 2 })),
    key: fc.constantFrom(...PROTOTYPE_KEYS, '', 'Schema', 'SCHEMA', 'schema ', 'order_id'),
    how: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'rename', 'wrap', 'unwrap', 'quote'),
  })
  .map(({ message, pick, wrong, key: newKey, how }) => {
    const paths = pathsIn(message).slice(1);
    const path = paths[pick % paths.length]!;
    return written(
      changedAt(message, path, (key, old) => {
        if (how === 'remove') return [];
        if (how === 'rename') return [[newKey, old]];
        if (how === 'wrap') return [[key, [old]]];
        if (how === 'unwrap') return Array.isArray(old) ? [[key, old[0]]] : [[key, { [newKey]: old }]];
        if (how === 'quote') return [[key, typeof old === 'string' ? Number(old) : JSON.stringify(old)]];
        return [[key, wrong]];
      }),
    );
  });

const PIECES = [
  '\u0000',
  '\ufeff',
  '\ud83c',
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '0',
  '-',
  'e',
  'x',
  '\n',
  '\u2028',
  '\\u0000',
  '\\ud83c',
];

/** Its text cut, or pieces of it taken out, put in or replaced. */
const changedText = fc
  .record({
    message: envelope,
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 40 }),
    piece: fc.constantFrom(...PIECES),
    how: fc.constantFrom('cut the end', 'cut the beginning', 'take out', 'put in', 'replace', 'double a part'),
  })
  .map(({ message, at, length, piece, how }) => {
    const whole = written(message);
    const start = at % whole.length;
    const [before, part, after] = [
      whole.slice(0, start),
      whole.slice(start, start + length),
      whole.slice(start + length),
    ];
    if (how === 'cut the end') return before;
    if (how === 'cut the beginning') return part + after;
    if (how === 'take out') return before + after;
    if (how === 'put in') return before + piece + part + after;
    if (how === 'replace') return before + piece + after;
    return before + part + part + after;
  });

/** The second of two equal keys counts. */
const repeatedKey = fc
  .record({
    message: envelope,
    key: fc.constantFrom('schema', 'version', 'payload'),
    wrong: fc.constantFrom(...WRONG_VALUES, 'order', 1),
  })
  .map(({ message, key, wrong }) => `${written(message).slice(0, -1)},"${key}":${written(wrong)}}`);

/** All of it in something else, as other senders and other services do it. */
const wrappedWhole = fc
  .tuple(
    envelope,
    fc.constantFrom<(body: string) => string>(
      (body) => JSON.stringify(body),
      (body) => `[${body}]`,
      (body) => `${body}${body}`,
      (body) => `${body}\n${body}`,
      (body) => `\ufeff${body}`,
      (body) => `${body};`,
      (body) => `// an order\n${body}`,
      (body) => `(${body})`,
      (body) => body.replaceAll('"', "'"),
      (body) => body.replace(/}$/, ',}'),
      (body) => JSON.stringify({ Type: 'Notification', Message: body }),
      (body) => JSON.stringify({ Records: [{ body }] }),
      (body) => `{"__proto__":${body}}`,
      (body) => `{"constructor":{"prototype":${body}}}`,
      (body) => JSON.stringify(JSON.parse(body).payload),
      (body) => Buffer.from(body).toString('base64'),
      (body) => Buffer.from(body).toString('hex'),
      (body) => Buffer.from(body, 'utf16le').toString('latin1'),
      (body) => encodeURIComponent(body),
    ),
  )
  .map(([message, wrap]) => wrap(written(message)));

const noMessage = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    'null',
    'true',
    '0',
    '-',
    '[]',
    '{}',
    '"order"',
    'NaN',
    'undefined',
    '1e999',
    '<order/>',
    '\0',
  ),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.json({ maxDepth: 3 }),
);

/** A mutant of a valid order; now and then it is as good as the order was. */
export const mutant = fc.oneof(
  { weight: 10, arbitrary: changedInside },
  { weight: 4, arbitrary: changedText },
  { weight: 1, arbitrary: repeatedKey },
  { weight: 1, arbitrary: wrappedWhole },
  { weight: 1, arbitrary: noMessage },
);

/** What SQS takes. */
export const MESSAGE_BYTES_MAX = 1_048_576;

/** The filling as often as it fits between the two. */
const padded = (head: string, filling: string, tail: string) =>
  `${head}${filling.repeat(Math.floor((MESSAGE_BYTES_MAX - head.length - tail.length) / filling.length))}${tail}`;

/** As large as a message can be, each wrong in its own way. */
export const LARGEST_BODIES: readonly string[] = [
  padded('', 'x', ''),
  padded('', '[', ''),
  padded('', '{"a":', ''),
  padded('"', 'x', '"'),
  padded('', ' ', '{}'),
  padded('{"schema":"order","version":1,"payload":"', 'x', '"}'),
  padded('{"schema":"', 'order', '","version":1,"payload":{}}'),
  // A fault for every line: all of them together would not fit into a worker.
  padded('{"schema":"order","version":1,"payload":{"lines":[', '{},', '{}]}}'),
];
