import { AppError } from '@headrace/base/errors';
import Holidays from 'date-holidays';

export const CALENDAR_PARTS = [
  'year',
  'quarter',
  'month',
  'week',
  'day',
  'day_of_week',
  'day_of_year',
  'hour',
  'minute',
  'is_weekend',
  'is_holiday',
] as const;
export type CalendarPart = (typeof CALENDAR_PARTS)[number];

const DAY_MS = 86_400_000;

/**
 * A part of the calendar as a clock on the wall of the time zone shows it. Weeks are those of ISO 8601: they begin on Monday (1), and
 * week 1 has the first Thursday of the year. @throws RangeError for an unknown zone, AppError for an unknown country
 */
export function calendarPart(part: CalendarPart, ms: number, timeZone: string, country?: string): number | boolean {
  const local = new Date(ms + offsetMs(ms, timeZone));
  switch (part) {
    case 'year':
      return local.getUTCFullYear();
    case 'quarter':
      return Math.floor(local.getUTCMonth() / 3) + 1;
    case 'month':
      return local.getUTCMonth() + 1;
    case 'week':
      return isoWeek(local);
    case 'day':
      return local.getUTCDate();
    case 'day_of_week':
      return dayOfWeek(local);
    case 'day_of_year':
      return Math.floor((local.getTime() - startOfYear(local.getUTCFullYear())) / DAY_MS) + 1;
    case 'hour':
      return local.getUTCHours();
    case 'minute':
      return local.getUTCMinutes();
    case 'is_weekend':
      return dayOfWeek(local) >= 6;
    case 'is_holiday':
      return isHoliday(local, country ?? '');
  }
}

function dayOfWeek(local: Date): number {
  return local.getUTCDay() || 7;
}

function startOfYear(year: number): number {
  return new Date(0).setUTCFullYear(year, 0, 1);
}

function isoWeek(local: Date): number {
  const thursdayMs = local.getTime() + (4 - dayOfWeek(local)) * DAY_MS;
  return Math.floor((thursdayMs - startOfYear(new Date(thursdayMs).getUTCFullYear())) / (7 * DAY_MS)) + 1;
}

/** Since 1972 every zone changes its offset at a whole quarter of an hour, so the offset is looked up once for each quarter. */
const QUARTER_MS = 900_000;
const QUARTERS_SINCE_MS = Date.UTC(1972, 0, 1);
const OFFSETS_MAX = 100_000;
const offsets = new Map<string, Map<number, number>>();
const formats = new Map<string, Intl.DateTimeFormat>();

function offsetMs(ms: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0;
  const at = ms >= QUARTERS_SINCE_MS ? Math.floor(ms / QUARTER_MS) * QUARTER_MS : Math.floor(ms / 1000) * 1000;
  let ofZone = offsets.get(timeZone);
  if (!ofZone) offsets.set(timeZone, (ofZone = new Map<number, number>()));
  let offset = ofZone.get(at);
  if (offset === undefined) {
    if (ofZone.size >= OFFSETS_MAX) ofZone.clear();
    ofZone.set(at, (offset = readOffset(at, timeZone)));
  }
  return offset;
}

function readOffset(ms: number, timeZone: string): number {
  let format = formats.get(timeZone);
  if (!format) {
    const numeric = 'numeric';
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      hourCycle: 'h23',
      era: 'short',
      ...{ year: numeric, month: numeric, day: numeric, hour: numeric, minute: numeric, second: numeric },
    });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const year = parts['era']?.startsWith('B') ? 1 - Number(parts['year']) : Number(parts['year']);
  const local = new Date(0);
  local.setUTCFullYear(year, Number(parts['month']) - 1, Number(parts['day']));
  local.setUTCHours(Number(parts['hour']), Number(parts['minute']), Number(parts['second']));
  return local.getTime() - ms;
}

/** Local days of public holidays, as days since 1970, by country and year. */
const holidays = new Map<string, ReadonlySet<number>>();
const HOLIDAY_YEARS_MAX = 10_000;

function isHoliday(local: Date, country: string): boolean {
  const key = `${country}/${local.getUTCFullYear()}`;
  let days = holidays.get(key);
  if (!days) {
    if (holidays.size >= HOLIDAY_YEARS_MAX) holidays.clear();
    holidays.set(key, (days = publicHolidays(country, local.getUTCFullYear())));
  }
  return days.has(Math.floor(local.getTime() / DAY_MS));
}

function publicHolidays(country: string, year: number): ReadonlySet<number> {
  const [code = '', state] = country.split('-');
  if (!isKnownCountry(country))
    throw new AppError('DEFINITION_INVALID', `no holidays are known for ${JSON.stringify(country)}; take a country such as US, or DE-BY`);
  const calendar = state === undefined ? new Holidays(code) : new Holidays(code, state);
  const days = new Set<number>();
  // A holiday at the end of a year may reach into the next one.
  for (const oneYear of [year - 1, year]) {
    for (const { date, start, end, type } of calendar.getHolidays(oneYear)) {
      if (type !== 'public') continue;
      const first = Math.floor(Date.parse(`${date.slice(0, 10)}T00:00:00Z`) / DAY_MS);
      const count = Math.max(1, Math.round((end.getTime() - start.getTime()) / DAY_MS));
      for (let day = 0; day < count; day++) days.add(first + day);
    }
  }
  return days;
}

/** Whether the calendar of holidays has the country, and the state where one is given. */
export function isKnownCountry(country: string): boolean {
  const [code = '', state] = country.split('-');
  const all = new Holidays();
  if (!Object.hasOwn(all.getCountries(), code)) return false;
  return state === undefined || Object.hasOwn(all.getStates(code) ?? {}, state);
}
