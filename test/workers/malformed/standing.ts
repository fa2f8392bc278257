/**
 * What a body is to a worker, by a reading of its own: the README's table of an order, with none of the product's code.
 */

/** `newer`: of a version that this worker does not know, which is retried and never rejected. */
export type Standing = 'valid' | 'invalid' | 'newer';

export type WorkerName = 'orders' | 'ledger';

const INT32_MAX = 2 ** 31 - 1;
const NEWEST_VERSION = 1;

export function standingOf(body: string, worker: WorkerName): Standing {
  const envelope = parsed(body);
  if (!isRecord(envelope) || envelope.schema !== 'order') return 'invalid';
  if (!isWhole(envelope.version, 1, INT32_MAX)) return 'invalid';
  if (envelope.version > NEWEST_VERSION) return 'newer';
  const { payload } = envelope;
  return isRecord(payload) && isOrder(payload) && (worker === 'orders' || isOfCustomer(payload)) ? 'valid' : 'invalid';
}

type Fields = Readonly<Record<string, unknown>>;

function isOrder(order: Fields): boolean {
  const { orderId, customerId, country, placedAt, kind, filePosition, lines } = order;
  return (
    isText(orderId, 1, 128) &&
    (customerId === null || isText(customerId, 1, 128)) &&
    isText(country, 0, 128) &&
    isTime(placedAt) &&
    (kind === 'sale' || kind === 'cancellation') &&
    (filePosition === null || isWhole(filePosition, 1, INT32_MAX)) &&
    Array.isArray(lines) &&
    lines.length > 0 &&
    lines.every((line) => isRecord(line) && isLine(line))
  );
}

function isLine({ stockCode, description, quantity, unitPrice }: Fields): boolean {
  return (
    isText(stockCode, 1, 128) &&
    (description === null || isText(description, 0, 4_096)) &&
    isWhole(quantity, -INT32_MAX - 1, INT32_MAX) &&
    isPrice(unitPrice)
  );
}

function isOfCustomer({ customerId, filePosition }: Fields): boolean {
  return customerId !== null && filePosition !== null;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

function isText(value: unknown, least: number, most: number): boolean {
  if (typeof value !== 'string' || value.length < least || value.length > most) return false;
  // What has no UTF-8, or no place in PostgreSQL.
  return !value.includes('\u0000') && Buffer.from(value).toString() === value;
}

/** At most 12 digits before the point and 6 after it, and not below nothing. */
function isPrice(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  const [whole = '', ...fractions] = value.replace(/^-/, '').split('.');
  const isNumber = [whole, ...fractions].every((digits) => digits !== '' && [...digits].every(isDigit));
  if (!isNumber || whole.length > 12 || fractions.length > 1 || (fractions[0]?.length ?? 0) > 6) return false;
  return !value.startsWith('-') || [...value.slice(1)].every((character) => character === '0' || character === '.');
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9';
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z$/;

/** In UTC, of a day that there was, with at most nine digits after the second. */
function isTime(value: unknown): boolean {
  const match = typeof value === 'string' ? TIME.exec(value) : null;
  if (match === null) return false;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year!, month! - 1, day!);
  const isDay = date.getUTCFullYear() === year && date.getUTCMonth() === month! - 1 && date.getUTCDate() === day;
  return isDay && year! > 0 && hour! < 24 && minute! < 60 && second! < 60 && (match[7]?.length ?? 0) <= 9;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
