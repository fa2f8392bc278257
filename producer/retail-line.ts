/**
 * One line of a retail file: where its columns stand, and what its fields must be.
 *
 * This is the border: a line that passes gives an order that `orderSchema` accepts, except for a negative
 * price, which is a fact of the business and for the workers to judge. It is written by hand because it runs
 * for every line of the file, twice; a test holds it against the schema.
 *
 * Money stays the text that it was.
 */
import type { CsvRecord } from './csv-records.ts';
import { CR_ALONE, RetailFileError, shown } from './retail-file-error.ts';

export const COLUMNS = [
  'InvoiceNo',
  'StockCode',
  'Description',
  'Quantity',
  'InvoiceDate',
  'UnitPrice',
  'CustomerID',
  'Country',
] as const;

type Column = (typeof COLUMNS)[number];

export interface RetailLine {
  readonly invoiceNo: string;
  readonly stockCode: string;
  readonly description: string | null;
  readonly quantity: number;
  /** UTC, such as 2011-08-12T14:50:00Z. */
  readonly placedAt: string;
  /** The decimal as the file has it. */
  readonly unitPrice: string;
  readonly customerId: string | null;
  readonly country: string;
}

/** SQS takes 128 characters of deduplication id, and ours is the send's id (36), a colon and the order's id. */
const INVOICE_NO_CHARACTERS_MAX = 91;
/** The most that SQS takes as a message group id. */
const CUSTOMER_ID_CHARACTERS_MAX = 128;
/** As in `orderSchema`. */
const STOCK_CODE_CHARACTERS_MAX = 128;
const DESCRIPTION_CHARACTERS_MAX = 4096;
const COUNTRY_CHARACTERS_MAX = 128;

const INT32_MAX = 2 ** 31 - 1;
const INT32_MIN = -(2 ** 31);

/** What SQS takes in message group ids and deduplication ids: printable ASCII without the space. */
const SQS_ID = /^[!-~]+$/;
const INTEGER = /^-?\d{1,10}$/;
const DECIMAL = /^-?\d{1,12}(\.\d{1,6})?$/;
const DATE_AND_TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/;

/** What spreadsheets put between columns where the comma is the decimal point, and what is copied out of them. */
const OTHER_SEPARATORS = { ';': 'semicolons', '\t': 'tabs' };

export class RetailLineParser {
  readonly #path: string;
  readonly #columnCount: number;
  readonly #at: Record<Column, number>;
  // Lines of an invoice stand together and share their date: most dates are the date of the line before.
  #lastDate = { text: '', iso: '' };

  /** Takes the line of column names; they may stand in any order, and others are ignored. */
  constructor(path: string, header: CsvRecord) {
    const [only = '', ...others] = header.fields;
    for (const [separator, name] of Object.entries(OTHER_SEPARATORS)) {
      if (others.length > 0 || !only.includes(separator)) continue;
      const fault = `its columns are separated by ${name}. Separate them by commas.`;
      throw new RetailFileError(path, header.line, fault);
    }
    // Only where no line ends in LF are there any within the first one.
    if (header.fields.some((name) => name.includes('\r'))) throw new RetailFileError(path, header.line, CR_ALONE);
    const found = `the columns are ${shown(header.fields.join(', '))}`;
    const columnAt = (column: Column): number => {
      const at = header.fields.indexOf(column);
      if (at === -1) throw new RetailFileError(path, header.line, `column ${column} is missing; ${found}. Add it.`);
      if (header.fields.includes(column, at + 1)) {
        throw new RetailFileError(path, header.line, `column ${column} stands there twice; ${found}. Remove one.`);
      }
      return at;
    };
    this.#path = path;
    this.#columnCount = header.fields.length;
    this.#at = {
      InvoiceNo: columnAt('InvoiceNo'),
      StockCode: columnAt('StockCode'),
      Description: columnAt('Description'),
      Quantity: columnAt('Quantity'),
      InvoiceDate: columnAt('InvoiceDate'),
      UnitPrice: columnAt('UnitPrice'),
      CustomerID: columnAt('CustomerID'),
      Country: columnAt('Country'),
    };
  }

  /** @throws RetailFileError that names the line, the column and the value. */
  parse(record: CsvRecord): RetailLine {
    const { line, fields } = record;
    if (fields.length !== this.#columnCount) {
      const fault = `it has ${fields.length} columns, and the first line names ${this.#columnCount}`;
      throw new RetailFileError(this.#path, line, `${fault}. Correct it, or put fields with commas in quotes.`);
    }
    const at = this.#at;
    return {
      invoiceNo: this.#sqsId(line, 'InvoiceNo', fields[at.InvoiceNo]!, INVOICE_NO_CHARACTERS_MAX),
      stockCode: this.#text(line, 'StockCode', fields[at.StockCode]!, 1, STOCK_CODE_CHARACTERS_MAX),
      description: this.#text(line, 'Description', fields[at.Description]!, 0, DESCRIPTION_CHARACTERS_MAX) || null,
      quantity: this.#quantity(line, fields[at.Quantity]!),
      placedAt: this.#placedAt(line, fields[at.InvoiceDate]!),
      unitPrice: this.#unitPrice(line, fields[at.UnitPrice]!),
      customerId:
        fields[at.CustomerID] === ''
          ? null
          : this.#sqsId(line, 'CustomerID', fields[at.CustomerID]!, CUSTOMER_ID_CHARACTERS_MAX),
      country: this.#text(line, 'Country', fields[at.Country]!, 0, COUNTRY_CHARACTERS_MAX),
    };
  }

  #sqsId(line: number, column: Column, value: string, charactersMax: number): string {
    this.#text(line, column, value, 1, charactersMax);
    if (SQS_ID.test(value)) return value;
    throw this.#fault(line, column, value, 'SQS takes only ASCII letters, digits and punctuation in it, no spaces');
  }

  #text(line: number, column: Column, value: string, charactersMin: number, charactersMax: number): string {
    if (value.length < charactersMin) throw this.#fault(line, column, value, 'it must not be empty');
    if (value.length > charactersMax) {
      throw this.#fault(
        line,
        column,
        value,
        `it has ${value.length} characters, and at most ${charactersMax} are taken`,
      );
    }
    return value;
  }

  #quantity(line: number, value: string): number {
    const quantity = INTEGER.test(value) ? Number(value) : Number.NaN;
    if (quantity >= INT32_MIN && quantity <= INT32_MAX) return quantity;
    throw this.#fault(line, 'Quantity', value, `it must be an integer from ${INT32_MIN} to ${INT32_MAX}`);
  }

  #unitPrice(line: number, value: string): string {
    if (DECIMAL.test(value)) return value;
    const expected = 'a decimal such as 2.55, at most 12 digits before the point and 6 after it';
    throw this.#fault(line, 'UnitPrice', value, `it must be ${expected}`);
  }

  #placedAt(line: number, value: string): string {
    if (value === this.#lastDate.text) return this.#lastDate.iso;
    const iso = `${value.replace(' ', 'T')}Z`;
    // Date turns 30 February into 2 March, so a real date is one that comes back as it went in. There is no year 0.
    const date = new Date(iso);
    const isReal = !Number.isNaN(date.getTime()) && date.toISOString() === iso.replace('Z', '.000Z');
    if (!DATE_AND_TIME.test(value) || value.startsWith('0000') || !isReal) {
      throw this.#fault(line, 'InvoiceDate', value, 'it must be a real date and time such as 2011-08-12 14:50:00');
    }
    this.#lastDate = { text: value, iso };
    return iso;
  }

  #fault(line: number, column: Column, value: string, rule: string): RetailFileError {
    return new RetailFileError(this.#path, line, `${column} is ${shown(value)}; ${rule}. Correct the line.`);
  }
}
