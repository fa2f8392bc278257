/**
 * Bytes in, blocks of whole lines out, each known to be UTF-8 without characters that no message may have.
 *
 * The checks stand here and not at the fields because here they cost a scan of memory, and because the
 * line at fault can still be named. UTF-8 never has a line feed inside a character, so cutting after line
 * feeds cuts no character.
 *
 * Holds always: at most one block and one unfinished line are in memory.
 */
import { isUtf8 } from 'node:buffer';
import { CR_ALONE, RetailFileError } from './retail-file-error.ts';

/** Longest line: a message is at most 1 MiB, so a line that is longer could never be sent. */
export const LINE_BYTES_MAX = 1024 * 1024;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** PostgreSQL's text cannot hold U+0000; SQS refuses a message with U+FFFE or U+FFFF. JSON escapes none of the last two. */
const FORBIDDEN = [
  { name: 'a NUL character', bytes: Buffer.from([0]) },
  { name: 'the character U+FFFE', bytes: Buffer.from('\uFFFE') },
  { name: 'the character U+FFFF', bytes: Buffer.from('\uFFFF') },
] as const;

export async function* textBlocks(path: string, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let unfinished = Buffer.alloc(0);
  let linesBefore = 0;
  for await (const chunk of content) {
    const end = chunk.lastIndexOf(LINE_FEED) + 1;
    if (end > 0) {
      const block = Buffer.concat([unfinished, chunk.subarray(0, end)]);
      linesBefore += checked(path, block, linesBefore);
      unfinished = Buffer.from(chunk.subarray(end));
      yield block;
    } else {
      unfinished = Buffer.concat([unfinished, chunk]);
    }
    if (unfinished.length > LINE_BYTES_MAX) {
      if (linesBefore === 0 && unfinished.includes(CARRIAGE_RETURN)) throw new RetailFileError(path, 1, CR_ALONE);
      throw lineTooLong(path, linesBefore + 1);
    }
  }
  if (unfinished.length > 0) {
    checked(path, unfinished, linesBefore);
    yield unfinished;
  }
}

/** Checks a block and returns how many lines it has. */
function checked(path: string, block: Buffer, linesBefore: number): number {
  if (!isUtf8(block) || FORBIDDEN.some(({ bytes }) => block.includes(bytes))) throw badText(path, block, linesBefore);
  let lines = 0;
  let start = 0;
  while (start < block.length) {
    const lineFeed = block.indexOf(LINE_FEED, start);
    const end = lineFeed === -1 ? block.length : lineFeed;
    lines += 1;
    if (end - start > LINE_BYTES_MAX) throw lineTooLong(path, linesBefore + lines);
    start = end + 1;
  }
  return lines;
}

function lineTooLong(path: string, line: number): RetailFileError {
  return new RetailFileError(
    path,
    line,
    `the line has more than ${LINE_BYTES_MAX} bytes. Check that it is a csv file.`,
  );
}

function badText(path: string, block: Buffer, linesBefore: number): RetailFileError {
  let line = linesBefore;
  for (let start = 0; start < block.length; ) {
    const lineFeed = block.indexOf(LINE_FEED, start);
    const end = lineFeed === -1 ? block.length : lineFeed;
    const text = block.subarray(start, end);
    line += 1;
    if (!isUtf8(text)) return new RetailFileError(path, line, 'the text is not UTF-8. Save the file as UTF-8.');
    const found = FORBIDDEN.find(({ bytes }) => text.includes(bytes));
    if (found !== undefined) {
      return new RetailFileError(path, line, `the line has ${found.name}, which no message may have. Remove it.`);
    }
    start = end + 1;
  }
  throw new Error('a block failed as a whole and none of its lines did');
}
