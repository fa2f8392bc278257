/**
 * Blocks of text in, csv records out, in batches of a block each, every record with the line it begins at.
 *
 * Reads RFC 4180: fields in quotes may hold commas, line breaks and doubled quotes; lines end in LF or
 * CR LF; a byte order mark is skipped. Empty lines are counted and left out.
 *
 * csv-parse calls back for each record while a block is being written to it. Taking records there, and
 * not from its stream, saves a turn of the event loop per record, and loses none when a later one is bad.
 */
import { CsvError, parse } from 'csv-parse';
import { RetailFileError } from './retail-file-error.ts';
import { LINE_BYTES_MAX } from './text-blocks.ts';

export interface CsvRecord {
  /** The line of the file at which the record begins, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

export async function* csvRecords(path: string, blocks: AsyncIterable<Buffer>): AsyncGenerator<CsvRecord[]> {
  let batch: CsvRecord[] = [];
  let nextLine = 1;
  const parser = parse({
    bom: true,
    record_delimiter: ['\r\n', '\n'],
    // The number of columns is checked later, where the line can be named as the other faults name it.
    relax_column_count: true,
    max_record_size: LINE_BYTES_MAX,
    on_record: (fields: string[]) => {
      const line = nextLine;
      nextLine += 1 + lineFeedsIn(fields);
      if (fields.length > 1 || fields[0] !== '') batch.push({ line, fields });
      return null;
    },
  });
  const failed = new Promise<never>((_, reject) => parser.on('error', reject));
  // Each write below also waits for it; this keeps Node from calling it unhandled between two writes.
  failed.catch(() => {});
  parser.resume();
  try {
    for await (const block of blocks) {
      await Promise.race([failed, new Promise<void>((resolve) => parser.write(block, () => resolve()))]);
      if (parser.errored) throw parser.errored;
      yield batch;
      batch = [];
    }
    await Promise.race([failed, new Promise<void>((resolve) => parser.end(resolve))]);
    yield batch;
  } catch (error) {
    throw error instanceof CsvError ? notCsv(path, nextLine, error) : error;
  } finally {
    parser.destroy();
  }
}

function lineFeedsIn(fields: readonly string[]): number {
  let lineFeeds = 0;
  for (const field of fields) {
    for (let at = field.indexOf('\n'); at !== -1; at = field.indexOf('\n', at + 1)) lineFeeds += 1;
  }
  return lineFeeds;
}

function notCsv(path: string, line: number, error: CsvError): RetailFileError {
  const faults: Record<string, string> = {
    CSV_QUOTE_NOT_CLOSED: 'a quote is opened and never closed. Close it.',
    CSV_MAX_RECORD_SIZE: `a quote is opened and not closed within ${LINE_BYTES_MAX} bytes. Close it.`,
    CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote. Put a comma between, or double a quote that is meant.',
    INVALID_OPENING_QUOTE: 'a quote stands inside a field. Put the whole field in quotes and double the quote.',
  };
  return new RetailFileError(path, line, faults[error.code] ?? `it is not csv (${error.code}). Correct the line.`, {
    cause: error,
  });
}
