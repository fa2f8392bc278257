/**
 * Parts of a message's schema that accept only what PostgreSQL can store, for the messages of every worker.
 *
 * Holds always: money and dates travel as text, never as a JavaScript number or Date.
 */
import { z } from 'zod';

/** PostgreSQL's text cannot hold U+0000, and a lone surrogate has no UTF-8. */
export const storableText = (charactersMax: number) =>
  z
    .string()
    .max(charactersMax)
    .refine((text) => !text.includes('\0'), 'contains a NUL character, which PostgreSQL cannot store')
    .refine((text) => text.isWellFormed(), 'contains half of a surrogate pair, which has no UTF-8');

export const identifier = storableText(128).min(1);

/** PostgreSQL has no year 0, and reads no more digits of a second than these; it keeps six of them. */
export const storableTime = z.iso
  .datetime()
  .max('2011-08-12T14:50:00.123456789Z'.length)
  .refine((time) => !time.startsWith('0000-'), 'is in the year 0, which PostgreSQL does not have');

/** An exact decimal, as PostgreSQL's numeric reads it: at most 12 digits before the point and 6 after it. */
export const decimal = z.string().regex(/^-?\d{1,12}(\.\d{1,6})?$/, 'is not a decimal such as 2.55');
