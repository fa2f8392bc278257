/** What RDS takes for the settings of a database, without anything of the CDK, so that the command line can read it too. */

/** The authorities of RDS that are good until 2061 and later; workers trust all three. */
export const CERTIFICATE_AUTHORITIES = ['rds-ca-rsa2048-g1', 'rds-ca-rsa4096-g1', 'rds-ca-ecc384-g1'] as const;

export const INSIGHTS_MODES = ['standard', 'advanced'] as const;

/** Of enhanced monitoring; 0 is never. */
export const MONITORING_INTERVALS_SECONDS = [0, 1, 5, 10, 15, 30, 60] as const;

const TIME = '([01]\\d|2[0-3]):[0-5]\\d';
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
export const BACKUP_WINDOW = new RegExp(`^${TIME}-${TIME}$`);
export const BACKUP_WINDOW_ALLOWED = 'hours of the day in UTC, at least 30 minutes, such as 02:00-03:00';
export const MAINTENANCE_WINDOW = new RegExp(`^(${DAYS.join('|')}):${TIME}-(${DAYS.join('|')}):${TIME}$`);
export const MAINTENANCE_WINDOW_ALLOWED = 'hours of the week in UTC, 30 minutes to a day, such as sun:03:30-sun:04:30';

/** RDS takes no shorter window. */
const WINDOW_MIN_MINUTES = 30;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;

interface Window {
  readonly startMinutes: number;
  readonly lengthMinutes: number;
}

export function isBackupWindow(text: string): boolean {
  return BACKUP_WINDOW.test(text) && windowOf(text, DAY_MINUTES).lengthMinutes >= WINDOW_MIN_MINUTES;
}

export function isMaintenanceWindow(text: string): boolean {
  if (!MAINTENANCE_WINDOW.test(text)) return false;
  const { lengthMinutes } = windowOf(text, WEEK_MINUTES);
  return lengthMinutes >= WINDOW_MIN_MINUTES && lengthMinutes <= DAY_MINUTES;
}

/** RDS refuses a maintenance window that meets the backup window of any day. */
export function windowsMeet(backup: string, maintenance: string): boolean {
  const daily = windowOf(backup, DAY_MINUTES);
  const weekly = windowOf(maintenance, WEEK_MINUTES);
  return DAYS.some((_, day) => meet({ ...daily, startMinutes: daily.startMinutes + day * DAY_MINUTES }, weekly));
}

/** One begins before the other ends, around the end of the week too. */
function meet(one: Window, other: Window): boolean {
  const fromOne = modulo(other.startMinutes - one.startMinutes, WEEK_MINUTES);
  const fromOther = modulo(one.startMinutes - other.startMinutes, WEEK_MINUTES);
  return fromOne < one.lengthMinutes || fromOther < other.lengthMinutes;
}

function windowOf(text: string, periodMinutes: number): Window {
  const [start, end] = text.split('-').map(minutesOf);
  return { startMinutes: start!, lengthMinutes: modulo(end! - start!, periodMinutes) };
}

/** Of the day, or of the week where a day is named. */
function minutesOf(text: string): number {
  const [minutes, hours, day] = text.split(':').reverse();
  return Math.max(0, DAYS.indexOf(day ?? '')) * DAY_MINUTES + Number(hours) * 60 + Number(minutes);
}

function modulo(value: number, period: number): number {
  return ((value % period) + period) % period;
}
