/** What stops a retail file from being read: one sentence that names the file, the line, the fault and the way out. */

/** Longest piece of a file's own text that an error shows: enough to find the place, short enough for one line. */
const SHOWN_CHARACTERS_MAX = 40;

/** As spreadsheets of the old Macintosh write them: the whole file would be one line. */
export const CR_ALONE = 'its lines end in CR alone. End them with LF or CR LF.';

export class RetailFileError extends Error {
  override readonly name = 'RetailFileError';
  /** The path as the caller gave it. */
  readonly file: string;
  /** The line at which the fault begins, from 1; undefined when the fault is the whole file's. */
  readonly line: number | undefined;

  constructor(file: string, line: number | undefined, fault: string, options?: ErrorOptions) {
    super(`cannot read ${file}${line === undefined ? '' : `, line ${line}`}: ${fault}`, options);
    this.file = file;
    this.line = line;
  }
}

/** A value in quotes, shortened, and harmless to a terminal. */
export function shown(value: string): string {
  return JSON.stringify(value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value);
}
