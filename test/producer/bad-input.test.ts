import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { RetailFileError, surveyRetailFile } from '../../producer/retail-file.ts';
import { csvOf, HEADER, row, temporaryFolder } from './retail-samples.ts';

const folder = temporaryFolder();

/** What the survey of a file says, without the path. */
async function faultOf(name: string, content: string | Uint8Array, invoicesMax = 10_000): Promise<string> {
  const path = await folder.write(name, content);
  return faultAt(path, invoicesMax);
}

async function faultAt(path: string, invoicesMax = 10_000): Promise<string> {
  const error = await surveyRetailFile(path, { invoicesMax }).catch((fault: unknown) => fault);
  if (!(error instanceof RetailFileError)) throw new Error(`expected a RetailFileError, got ${String(error)}`);
  expect(error.file).toBe(path);
  return error.message.replaceAll(`${folder.path()}/`, '');
}

describe('a line that cannot be read is named, with its fault and what to do', () => {
  const good = '536365,71053,LANTERN,6,2011-08-12 08:26:00,2.55,17850,United Kingdom';

  test.each([
    [
      'too few columns',
      '1,2,3',
      'it has 3 columns, and the first line names 8. Correct it, or put fields with commas in quotes.',
    ],
    [
      'a comma too many',
      `${good},`,
      'it has 9 columns, and the first line names 8. Correct it, or put fields with commas in quotes.',
    ],
    ['no invoice number', good.replace('536365', ''), 'InvoiceNo is ""; it must not be empty. Correct the line.'],
    ['no stock code', good.replace('71053', ''), 'StockCode is ""; it must not be empty. Correct the line.'],
    [
      'a quantity in words',
      good.replace(',6,', ',six,'),
      'Quantity is "six"; it must be an integer from -2147483648 to 2147483647. Correct the line.',
    ],
    [
      'a quantity past int32',
      good.replace(',6,', ',2147483648,'),
      'Quantity is "2147483648"; it must be an integer from -2147483648 to 2147483647. Correct the line.',
    ],
    [
      'a price with a comma',
      good.replace('2.55', '"2,55"'),
      'UnitPrice is "2,55"; it must be a decimal such as 2.55, at most 12 digits before the point and 6 after it. Correct the line.',
    ],
    [
      'a price with an exponent',
      good.replace('2.55', '1e3'),
      'UnitPrice is "1e3"; it must be a decimal such as 2.55, at most 12 digits before the point and 6 after it. Correct the line.',
    ],
    [
      'a day that is not',
      good.replace('08-12', '02-30'),
      'InvoiceDate is "2011-02-30 08:26:00"; it must be a real date and time such as 2011-08-12 14:50:00. Correct the line.',
    ],
    [
      'a 24th hour',
      good.replace('08:26', '24:00'),
      'InvoiceDate is "2011-08-12 24:00:00"; it must be a real date and time such as 2011-08-12 14:50:00. Correct the line.',
    ],
    [
      'a date the other way round',
      good.replace('2011-08-12', '12/08/2011'),
      'InvoiceDate is "12/08/2011 08:26:00"; it must be a real date and time such as 2011-08-12 14:50:00. Correct the line.',
    ],
    [
      'a customer that SQS takes for no group',
      good.replace('17850', 'Jo Doe'),
      'CustomerID is "Jo Doe"; SQS takes only ASCII letters, digits and punctuation in it, no spaces. Correct the line.',
    ],
    [
      'an invoice number too long',
      good.replace('536365', '9'.repeat(92)),
      `InvoiceNo is "${'9'.repeat(40)}…"; it has 92 characters, and at most 91 are taken. Correct the line.`,
    ],
    [
      'text after a quote',
      good.replace('LANTERN', '"LAN"TERN'),
      'text follows a closing quote. Put a comma between, or double a quote that is meant.',
    ],
    [
      'a quote inside',
      good.replace('LANTERN', '6" LANTERN'),
      'a quote stands inside a field. Put the whole field in quotes and double the quote.',
    ],
    [
      'a NUL character',
      good.replace('LANTERN', 'LAN\0TERN'),
      'the line has a NUL character, which no message may have. Remove it.',
    ],
    [
      'a character that SQS refuses',
      good.replace('LANTERN', 'LAN\uFFFFTERN'),
      'the line has the character U+FFFF, which no message may have. Remove it.',
    ],
  ])('%s', async (_, line, fault) => {
    // The bad line is line 5: a quoted line break before it makes lines and records differ.
    const csv = `${HEADER}\n${good.replace('LANTERN', '"TWO\nLINES"')}\n${good}\n${line}\n${good}\n`;
    expect(await faultOf('bad.csv', csv)).toBe(`cannot read bad.csv, line 5: ${fault}`);
  });

  test('an open quote, by the line that opens it and not by the end of the file', async () => {
    const csv = `${HEADER}\n${good}\n${good.replace('LANTERN', '"LANTERN')}\n${good}\n${good}\n`;
    expect(await faultOf('bad.csv', csv)).toBe(
      'cannot read bad.csv, line 3: a quote is opened and never closed. Close it.',
    );
  });

  test('an open quote before megabytes of lines, without reading them all', async () => {
    const csv = `${HEADER}\n${good.replace('LANTERN', '"LANTERN')}\n${`${good}\n`.repeat(20_000)}`;
    expect(await faultOf('bad.csv', csv)).toBe(
      'cannot read bad.csv, line 2: a quote is opened and not closed within 1048576 bytes. Close it.',
    );
  });

  test('text that is not UTF-8', async () => {
    const latin1 = Buffer.from(`${HEADER}\n${good}\n${good.replace('LANTERN', 'CAFÉ')}\n`, 'latin1');
    const fault = 'the text is not UTF-8. Save the file as UTF-8.';
    expect(await faultOf('latin1.csv', latin1)).toBe(`cannot read latin1.csv, line 3: ${fault}`);
    const utf16 = Buffer.from(`\uFEFF${HEADER}\n`, 'utf16le');
    expect(await faultOf('utf16.csv', utf16)).toBe(`cannot read utf16.csv, line 1: ${fault}`);
  });

  test('lines that end in CR alone, in a file of any size', async () => {
    const fault = 'its lines end in CR alone. End them with LF or CR LF.';
    const csv = (lines: number) => `${HEADER}\n${`${good}\n`.repeat(lines)}`.replaceAll('\n', '\r');
    for (const lines of [1, 20_000]) {
      expect(await faultOf('mac.csv', csv(lines))).toBe(`cannot read mac.csv, line 1: ${fault}`);
    }
  });

  test('a line too long to be one', async () => {
    const fault = 'the line has more than 1048576 bytes. Check that it is a csv file.';
    const long = `${HEADER}\n${'x'.repeat(1024 * 1024 + 1)}`;
    expect(await faultOf('long.csv', long)).toBe(`cannot read long.csv, line 2: ${fault}`);
    expect(await faultOf('long.csv', `${long}\n${good}\n`)).toBe(`cannot read long.csv, line 2: ${fault}`);
  });

  test('an invoice that names two customers', async () => {
    const csv = csvOf([row('1', '17850'), row('2', '17851'), row('1', '17851')]);
    expect(await faultOf('two.csv', csv)).toBe(
      'cannot read two.csv, line 4: invoice "1" names customer "17851" here and customer "17850" in its first line. ' +
        'Correct one of them.',
    );
    expect(await faultOf('two.csv', csvOf([row('1', '17850'), row('1', '')]))).toMatch(/names no customer here/);
  });
});

describe('a file that cannot be read is named, with its fault and what to do', () => {
  test('a column is missing, or stands there twice', async () => {
    const without = await faultOf('columns.csv', `${HEADER.replace(',CustomerID', '')}\n`);
    expect(without).toContain(
      'cannot read columns.csv, line 1: column CustomerID is missing; the columns are "Invoice',
    );
    expect(without).toMatch(/Add it\.$/);
    const twice = await faultOf('columns.csv', `${HEADER},Country\n`);
    expect(twice).toContain('line 1: column Country stands there twice; the columns are "Invoice');
  });

  test.each([
    [';', 'semicolons'],
    ['\t', 'tabs'],
  ])('its columns are not separated by commas (%j)', async (separator, name) => {
    expect(await faultOf('excel.csv', `${HEADER.replaceAll(',', separator)}\n`)).toBe(
      `cannot read excel.csv, line 1: its columns are separated by ${name}. Separate them by commas.`,
    );
  });

  test('its name says gzip, its content does not', async () => {
    expect(await faultOf('orders.csv.gz', csvOf([row('1', '')]))).toBe(
      'cannot read orders.csv.gz: the name says gzip, the content does not (first bytes 49 6e 76). ' +
        'Rename it to orders.csv, or compress it.',
    );
  });

  test('its gzip data ends too early, or is damaged', async () => {
    const rows = Array.from({ length: 5000 }, (_, index) => row(`${index}`, `${index}`));
    const gzip = gzipSync(csvOf(rows));
    expect(await faultOf('cut.csv.gz', gzip.subarray(0, gzip.length / 2))).toBe(
      'cannot read cut.csv.gz: the gzip data ends too early. Copy or download the file again.',
    );
    const damaged = Buffer.from(gzip);
    // The check sum at the end: gzip itself notices, and no line of the content looks wrong before.
    damaged.subarray(-8, -4).fill(0xff);
    expect(await faultOf('damaged.csv.gz', damaged)).toBe(
      'cannot read damaged.csv.gz: the gzip data is damaged. Copy or download the file again.',
    );
  });

  test('it is empty, or has nothing but column names', async () => {
    const empty = 'the file is empty. It needs a line of column names and lines of orders.';
    expect(await faultOf('empty.csv', '')).toBe(`cannot read empty.csv: ${empty}`);
    expect(await faultOf('empty.csv.gz', '')).toBe(`cannot read empty.csv.gz: ${empty}`);
    expect(await faultOf('inside.csv.gz', gzipSync(''))).toMatch(/it has no orders/);
    expect(await faultOf('header.csv', `${HEADER}\n`)).toBe(
      'cannot read header.csv: it has no orders. Below the column names, it needs lines of orders.',
    );
  });

  test('it is not there, or a directory', async () => {
    expect(await faultAt(join(folder.path(), 'none.csv'))).toBe(
      'cannot read none.csv: there is no such file. Check the path.',
    );
    await mkdir(join(folder.path(), 'folder.csv'));
    expect(await faultAt(join(folder.path(), 'folder.csv'))).toBe(
      'cannot read folder.csv: it is a directory. Name a csv file in it.',
    );
    await expect(surveyRetailFile('/dev/null')).rejects.toThrow('it is not a regular file');
  });

  test('nobody gave the right to read it', async () => {
    const path = await folder.write('secret.csv', csvOf([row('1', '')]));
    await chmod(path, 0o000);
    await chmod(folder.path(), 0o755);
    // Root may read everything, so it becomes somebody else for a moment.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      expect(await faultAt(path)).toMatch(/^cannot read secret\.csv: no permission to read it\. Ask its owner/);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test('it has more invoices than an index in memory should hold', async () => {
    const csv = csvOf([row('1', ''), row('2', ''), row('3', '')]);
    await expect(surveyRetailFile(await folder.write('three.csv', csv), { invoicesMax: 3 })).resolves.toBeDefined();
    expect(await faultOf('three.csv', csv, 2)).toBe(
      'cannot read three.csv: it has more than 2 invoices, and their index is held in memory. Split the file.',
    );
  });

  test('nobody waits for it any more', async () => {
    const path = await folder.write('aborted.csv', csvOf([row('1', '')]));
    await expect(surveyRetailFile(path, { signal: AbortSignal.abort() })).rejects.toThrow('aborted');
  });

  test('the original error stays as the cause', async () => {
    const error = await surveyRetailFile(join(folder.path(), 'none.csv')).catch((fault: unknown) => fault);
    expect(error).toMatchObject({ cause: { code: 'ENOENT' } });
  });
});
