import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream, readFileSync } from 'node:fs';
import { appendFile, mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type FilePlan,
  HELD_BYTES_MAX,
  type ProducedOrder,
  readOrders,
  surveyRetailFile,
} from '../../producer/retail-file.ts';
import { orderLineSchema, orderSchema } from '../../workers/messages/order.ts';
import { anyRows, csvOf, expectedOrders, HEADER, type Row, row, temporaryFolder } from './retail-samples.ts';

const SAMPLE = join(import.meta.dirname, '../../data/orders-2011-08-12.csv');
const folder = temporaryFolder();

async function ordersOf(plan: FilePlan, heldBytesMax = HELD_BYTES_MAX): Promise<ProducedOrder[]> {
  const orders: ProducedOrder[] = [];
  for await (const order of readOrders(plan, { heldBytesMax })) orders.push(order);
  return orders;
}

const withoutSize = ({ orderId, customerId, filePosition, body }: ProducedOrder) => {
  // Characters beyond U+FFFF travel escaped, which is the same JSON: some servers refuse them otherwise.
  expect(body).not.toMatch(/[\uD800-\uDFFF]/);
  return { orderId, customerId, filePosition, body: JSON.stringify(JSON.parse(body)) };
};

/** The fields of a line that has no line breaks inside, as the sample has none. */
function fieldsOf(line: string): Row {
  const fields = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
  return fields as unknown as Row;
}

describe('the sample, a real day of orders', () => {
  const rows = readFileSync(SAMPLE, 'utf8').trimEnd().split('\n').slice(1);
  const expected = expectedOrders(rows.map(fieldsOf));

  test('comes out as the 61 orders that a plain grouping of its lines gives', async () => {
    const plan = await surveyRetailFile(SAMPLE);
    expect(plan).toMatchObject({ orders: 61, lines: 1122, messages: { orders: 61, ledger: 48 } });
    expect((await ordersOf(plan)).map(withoutSize)).toEqual(expected);
  });

  test('satisfies the schema of the workers, but for the two orders with a negative price', async () => {
    const refused: string[] = [];
    for (const order of await ordersOf(await surveyRetailFile(SAMPLE))) {
      const { payload } = JSON.parse(order.body);
      const result = orderSchema.safeParse(payload);
      if (result.success) expect(result.data).toEqual(payload);
      else refused.push(`${order.orderId}: ${result.error.issues.map(({ message }) => message).join(', ')}`);
    }
    expect(refused).toEqual(['A563186: is negative', 'A563187: is negative']);
  });
});

describe('any file of orders', () => {
  test('gives the orders in the order of their first lines, with all their lines, however they interleave', async () => {
    await fc.assert(
      fc.asyncProperty(anyRows, fc.constantFrom('\n', '\r\n'), fc.boolean(), async (rows, lineEnd, isZipped) => {
        const csv = csvOf(rows, lineEnd);
        const path = await folder.write(isZipped ? 'any.csv.gz' : 'any.csv', isZipped ? gzipSync(csv) : csv);
        const plan = await surveyRetailFile(path);
        const orders = await ordersOf(plan);
        expect(orders.map(withoutSize)).toEqual(expectedOrders(rows));
        for (const { body, bodyBytes } of orders) expect(bodyBytes).toBe(Buffer.byteLength(body));
        expect(plan.lines).toBe(rows.length);
        expect(plan.messages.ledger).toBe(orders.filter(({ customerId }) => customerId !== null).length);
      }),
      { numRuns: 150 },
    );
  });

  test('gives the same orders when nearly every line has to go to the temporary file', async () => {
    await fc.assert(
      fc.asyncProperty(anyRows, fc.integer({ min: 0, max: 2000 }), async (rows, heldBytesMax) => {
        const plan = await surveyRetailFile(await folder.write('spilled.csv', csvOf(rows)));
        expect((await ordersOf(plan, heldBytesMax)).map(withoutSize)).toEqual(expectedOrders(rows));
      }),
      { numRuns: 100 },
    );
  });

  test('is accepted by the schema of the workers, except for a negative price', async () => {
    await fc.assert(
      fc.asyncProperty(anyRows, async (rows) => {
        const plan = await surveyRetailFile(await folder.write('schema.csv', csvOf(rows)));
        for (const { body } of await ordersOf(plan)) {
          const { payload } = JSON.parse(body);
          const lines = payload.lines.filter(({ unitPrice }: { unitPrice: string }) => !unitPrice.startsWith('-'));
          for (const line of lines) orderLineSchema.parse(line);
          orderSchema.parse({ ...payload, lines: [orderLineSchema.parse({ ...payload.lines[0], unitPrice: '1' })] });
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('a retail file', () => {
  test('may have its columns in any order, and others besides', async () => {
    const csv = 'Country,Till,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo\n';
    const line = 'EIRE,7,17850,2.55,2011-08-12 08:26:00,6,LANTERN,71053,536365\n';
    const [order] = await ordersOf(await surveyRetailFile(await folder.write('columns.csv', csv + line)));
    expect(JSON.parse(order!.body).payload).toMatchObject({ orderId: '536365', country: 'EIRE', customerId: '17850' });
  });

  test('may begin with a byte order mark, have empty lines and no line end at its end', async () => {
    const csv = `\uFEFF${csvOf([row('1', '')])}\n\n${csvOf([row('2', '')]).split('\n')[1]}`;
    const plan = await surveyRetailFile(await folder.write('mark.csv', csv));
    expect((await ordersOf(plan)).map(({ orderId }) => orderId)).toEqual(['1', '2']);
  });

  test.each([false, true])(
    'tells while it is read how much of it has been, as it lies on disk (gzip: %p)',
    async (zip) => {
      // Hexadecimal digits shrink to half of their size and no further.
      const rows = Array.from({ length: 500 }, (_, invoice) =>
        row(String(invoice), '', { description: randomBytes(2_000).toString('hex') }),
      );
      const content = zip ? gzipSync(csvOf(rows)) : Buffer.from(csvOf(rows));
      const kilobytes = Math.ceil(content.length / 1000);
      const seen: number[] = [];
      await surveyRetailFile(await folder.write('large', content), {
        onProgress: ({ kilobytesRead, kilobytesTotal }) => {
          expect(kilobytesTotal).toBe(kilobytes);
          seen.push(kilobytesRead);
        },
      });
      expect(seen).toEqual(seen.toSorted((one, other) => one - other));
      expect(seen[0]).toBeLessThan(kilobytes * 0.6);
      expect(seen.at(-1)).toBe(kilobytes);
    },
  );

  test('may be gzip although its name does not say so', async () => {
    const plan = await surveyRetailFile(await folder.write('zipped.csv', gzipSync(csvOf([row('1', '')]))));
    expect(plan.orders).toBe(1);
  });

  test('keeps repeated lines, and the text of a price as it is', async () => {
    const rows = [row('1', '', { price: '2.50' }), row('1', '', { price: '2.50' }), row('1', '', { price: '002.5' })];
    const [order] = await ordersOf(await surveyRetailFile(await folder.write('repeated.csv', csvOf(rows))));
    const prices = JSON.parse(order!.body).payload.lines.map(({ unitPrice }: { unitPrice: string }) => unitPrice);
    expect(prices).toEqual(['2.50', '2.50', '002.5']);
  });

  test('takes the country of an order from its first line', async () => {
    const csv = `${csvOf([row('1', '')])}1,2,B,6,2011-08-12 08:27:00,1,,EIRE\n`;
    const [order] = await ordersOf(await surveyRetailFile(await folder.write('countries.csv', csv)));
    expect(JSON.parse(order!.body).payload).toMatchObject({
      country: 'United Kingdom',
      placedAt: '2011-08-12T08:26:00Z',
    });
  });

  test('gives a message of exactly the limit, and refuses one byte more before anything is sent', async () => {
    const path = await folder.write('large.csv', csvOf([row('1', ''), row('big', ''), row('big', '')]));
    const plan = await surveyRetailFile(path);
    const bytes = plan.invoices.get('big')!.bodyBytes;
    await expect(surveyRetailFile(path, { messageBytesMax: bytes })).resolves.toMatchObject({ orders: 2 });
    await expect(surveyRetailFile(path, { messageBytesMax: bytes - 1 })).rejects.toThrow(
      `cannot read ${path}: invoice "big" with its 2 lines is a message of ${bytes} bytes, ` +
        `and SQS takes at most ${bytes - 1}. Split the invoice.`,
    );
  });

  test('carries an invoice of 1,114 lines as one order', async () => {
    const plan = await surveyRetailFile(await folder.write('long.csv', csvOf(Array(1114).fill(row('1', '17850')))));
    const [order] = await ordersOf(plan);
    expect(JSON.parse(order!.body).payload.lines).toHaveLength(1114);
  });
});

describe('a file that changes after it was surveyed', () => {
  const changed = /it changed while it was being read\. Send it again when it is complete\.$/;

  test('is refused when it has grown', async () => {
    const path = await folder.write('grown.csv', csvOf([row('1', '')]));
    const plan = await surveyRetailFile(path);
    await appendFile(path, csvOf([row('2', '')]).split('\n')[1]!);
    await expect(ordersOf(plan)).rejects.toThrow(changed);
  });

  test.each([
    ['another invoice', [row('1', ''), row('3', '')]],
    ['a line more', [row('1', ''), row('1', '')]],
    ['another text', [row('1', ''), row('2', '', { description: 'LANTERNS' })]],
    ['a line fewer', [row('1', '')]],
  ])('is refused when it has %s, even if the file system tells nothing', async (_, rows) => {
    const path = await folder.write('replaced.csv', csvOf([row('1', ''), row('2', '')]));
    const plan = await surveyRetailFile(path);
    await writeFile(path, csvOf(rows));
    const { fingerprint } = await surveyRetailFile(path);
    await expect(ordersOf({ ...plan, fingerprint })).rejects.toThrow(changed);
  });

  test('is refused when it was only written again', async () => {
    const path = await folder.write('touched.csv', csvOf([row('1', '')]));
    const plan = await surveyRetailFile(path);
    await utimes(path, 1, 1);
    await expect(ordersOf(plan)).rejects.toThrow(changed);
  });
});

describe('a file much larger than memory', () => {
  test('is read in a heap of 20 MB although its first order waits for the last of 30 MB', async () => {
    const path = join(folder.path(), 'huge.csv');
    const line = (invoice: string) => `${invoice},71053,${'L'.repeat(250)},6,2011-08-12 08:26:00,2.55,,EIRE\n`;
    const lines = function* () {
      yield `${HEADER}\n${line('first')}`;
      for (let block = 0; block < 1000; block += 1) yield line(`${block % 500}`).repeat(100);
      yield line('first');
    };
    await pipeline(Readable.from(lines()), createWriteStream(path));
    const script = `
      import { readOrders, surveyRetailFile } from ${JSON.stringify(join(import.meta.dirname, '../../producer/retail-file.ts'))};
      let orders = 0;
      for await (const order of readOrders(await surveyRetailFile(process.argv[1]), { heldBytesMax: 4 * 1024 * 1024 })) {
        if (JSON.parse(order.body).payload.lines.length === (orders === 0 ? 2 : 200)) orders += 1;
      }
      console.log(orders);`;
    const node = ['--max-old-space-size=20', '--max-semi-space-size=4', '--input-type=module', '--eval', script, path];
    const { stdout, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: '501\n', stderr: '' });
  });

  const rows = [row('1', ''), row('2', ''), row('3', ''), row('1', '')];

  test('leaves no temporary file, not even when reading stops half way', async () => {
    const plan = await surveyRetailFile(await folder.write('stopped.csv', csvOf(rows)));
    const temporaryFolder = join(folder.path(), 'temporary');
    await mkdir(temporaryFolder);
    for await (const { orderId } of readOrders(plan, { heldBytesMax: 0, temporaryFolder })) {
      expect(orderId).toBe('1');
      break;
    }
    expect(await readdir(temporaryFolder)).toEqual([]);
  });

  test('says so when the temporary folder takes nothing', async () => {
    const plan = await surveyRetailFile(await folder.write('full.csv', csvOf(rows)));
    const temporaryFolder = join(folder.path(), 'none');
    await expect(readOrders(plan, { heldBytesMax: 0, temporaryFolder }).next()).rejects.toThrow(
      `cannot write to the temporary folder ${temporaryFolder} the lines that do not fit into memory. ` +
        'Make room there, or name another folder in TMPDIR.',
    );
  });
});
