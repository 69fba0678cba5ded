import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { calendarPart, isKnownCountry, type CalendarPart } from './calendar.js';

const at = (text: string): number => Date.parse(text);
const part = (name: CalendarPart, text: string, zone = 'UTC', country?: string): number | boolean =>
  calendarPart(name, at(text), zone, country);

describe('calendar parts', () => {
  it.each<[CalendarPart, string, string, number | boolean]>([
    // Berlin: clocks go from 2:00 to 3:00 on 2024-03-31, and from 3:00 back to 2:00 on 2024-10-27.
    ['hour', '2024-03-31T00:59:59.999Z', 'Europe/Berlin', 1],
    ['hour', '2024-03-31T01:00:00Z', 'Europe/Berlin', 3],
    ['hour', '2024-10-27T00:59:59.999Z', 'Europe/Berlin', 2],
    ['hour', '2024-10-27T01:00:00Z', 'Europe/Berlin', 2],
    ['hour', '2024-10-27T02:00:00Z', 'Europe/Berlin', 3],
    // Lord Howe moves by half an hour, Nepal stands at a quarter, Samoa left out a day.
    ['minute', '2024-04-06T14:59:00Z', 'Australia/Lord_Howe', 59],
    ['minute', '2024-04-06T15:00:00Z', 'Australia/Lord_Howe', 30],
    ['minute', '2024-01-01T00:00:00Z', 'Asia/Kathmandu', 45],
    ['day', '2011-12-30T09:59:59Z', 'Pacific/Apia', 29],
    ['day', '2011-12-30T10:00:00Z', 'Pacific/Apia', 31],
    ['day_of_week', '2024-01-07T23:30:00Z', 'UTC', 7],
    ['day_of_week', '2024-01-07T23:30:00Z', 'Europe/Berlin', 1],
    ['is_weekend', '2024-01-06T04:59:59Z', 'America/New_York', false],
    ['is_weekend', '2024-01-06T05:00:00Z', 'America/New_York', true],
    ['month', '2024-02-29T23:59:59Z', 'Asia/Tokyo', 3],
    ['quarter', '2024-10-01T00:00:00Z', 'UTC', 4],
    ['day_of_year', '2024-12-31T12:00:00Z', 'UTC', 366],
    // ISO weeks at the ends of years.
    ['week', '2021-01-03T12:00:00Z', 'UTC', 53],
    ['week', '2021-01-04T00:00:00Z', 'UTC', 1],
    ['week', '2024-12-30T00:00:00Z', 'UTC', 1],
    ['year', '2024-12-31T23:30:00Z', 'Europe/Berlin', 2025],
    // Before the zones were whole: Berlin stood at +0:53:28 until April 1893.
    ['minute', '1890-01-01T00:00:00Z', 'Europe/Berlin', 53],
    ['year', '0099-06-01T00:00:00Z', 'UTC', 99],
  ])('%s of %s in %s is %s', (name, text, zone, value) => {
    expect(part(name, text, zone)).toBe(value);
  });

  it('agree with Intl in every zone that changes its clocks, at random moments and round each change', () => {
    const random = seededRandom(31);
    const zones = [
      'America/St_Johns',
      'Europe/London',
      'Australia/Lord_Howe',
      'Africa/Casablanca',
      'Asia/Tehran',
      'America/Sao_Paulo',
      'Asia/Kolkata',
    ];
    for (const zone of zones) {
      const format = new Intl.DateTimeFormat('en-US', {
        timeZone: zone,
        hourCycle: 'h23',
        weekday: 'short',
        day: 'numeric',
        hour: 'numeric',
        minute: 'numeric',
      });
      for (let n = 0; n < 2_000; n++) {
        const ms = at('1973-01-01T00:00:00Z') + Math.floor(random() * 1.8e12);
        const shown = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
        const day = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(shown['weekday']!) + 1;
        expect([
          calendarPart('day_of_week', ms, zone),
          calendarPart('day', ms, zone),
          calendarPart('hour', ms, zone),
          calendarPart('minute', ms, zone),
        ]).toEqual([day, Number(shown['day']), Number(shown['hour']), Number(shown['minute'])]);
      }
    }
  });

  it.each<[string, string, string, boolean]>([
    ['2024-07-04T12:00:00Z', 'UTC', 'US', true],
    ['2024-07-05T12:00:00Z', 'UTC', 'US', false],
    // The fourth of July ends at five in the morning, Universal Time, in Chicago.
    ['2024-07-05T04:59:59Z', 'America/Chicago', 'US', true],
    ['2024-07-05T05:00:00Z', 'America/Chicago', 'US', false],
    ['2024-01-06T12:00:00Z', 'UTC', 'DE-BY', true],
    ['2024-01-06T12:00:00Z', 'UTC', 'DE', false],
    ['2024-12-25T00:00:00Z', 'UTC', 'DE', true],
    ['2024-03-29T10:00:00Z', 'UTC', 'DE', true], // Good Friday
  ])('%s in %s is a holiday of %s: %s', (text, zone, country, value) => {
    expect(part('is_holiday', text, zone, country)).toBe(value);
  });

  it('know which countries and states have a calendar', () => {
    expect(['US', 'DE-BY', 'XX', 'US-QQ', ''].map(isKnownCountry)).toEqual([true, true, false, false, false]);
    expect(() => part('is_holiday', '2024-01-01T00:00:00Z', 'UTC', 'XX')).toThrow(/no holidays are known/);
  });
});
