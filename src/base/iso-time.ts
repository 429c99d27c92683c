/** Dates as text, read without the clock's own type: the core knows no `Date`. */

const SHAPE =
  /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?(?:Z|([+-])(\d\d):(\d\d)))?$/;
const DAY_MS = 86_400_000;
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Milliseconds since 1970 of `2026-01-31` (its beginning in UTC) or `2026-01-31T12:00:00Z`; a time
 * has to say its zone. Undefined for anything else, and for what no calendar has.
 */
export function parseIsoTimeMs(text: string): number | undefined {
  const match = SHAPE.exec(text);
  if (!match) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const hour = Number(match[4] ?? 0);
  const minute = Number(match[5] ?? 0);
  const second = Number(match[6] ?? 0);
  const leap = month === 2 && isLeapYear(year) ? 1 : 0;
  const monthDays = MONTH_DAYS[month - 1] ?? 0;
  if (day < 1 || day > monthDays + leap || hour > 23 || minute > 59 || second > 59)
    return undefined;
  const [zoneHour, zoneMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (zoneHour > 23 || zoneMinute > 59) return undefined;
  const zoneMinutes = (match[8] === '-' ? -1 : 1) * (60 * zoneHour + zoneMinute);
  const ms = Number((match[7] ?? '').padEnd(3, '0'));
  const seconds = 60 * (60 * hour + minute - zoneMinutes) + second;
  return daysBefore(year, month, day) * DAY_MS + seconds * 1000 + ms;
}

function isLeapYear(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

/** Days from 1970-01-01 to that day. */
function daysBefore(year: number, month: number, day: number): number {
  const past = year - 1;
  const leapDays = Math.floor(past / 4) - Math.floor(past / 100) + Math.floor(past / 400) - 477;
  const inYear = MONTH_DAYS.slice(0, month - 1).reduce((sum, days) => sum + days, 0);
  const leap = month > 2 && isLeapYear(year) ? 1 : 0;
  return 365 * (year - 1970) + leapDays + inYear + leap + day - 1;
}
