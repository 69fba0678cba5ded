import type { FrameColumn } from './frame-plan.js';

export const FRAME_FORMATS = ['parquet', 'arrow', 'csv', 'ndjson'] as const;
export type FrameFormat = (typeof FRAME_FORMATS)[number];

/** A value of a frame: timestamps as whole microseconds since 1970. */
export type FrameValue = string | number | bigint | boolean | null;

/** Rows of a frame, by column. */
export interface FrameBatch {
  readonly rows: number;
  readonly columns: readonly (readonly FrameValue[])[];
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i;

/** RFC 3339 and what pandas writes; a time without a zone is UTC. @returns microseconds, or undefined when it is no time. */
export function parseTimeUs(text: string): number | undefined {
  const parts = TIME.exec(text);
  if (!parts) return undefined;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = parts;
  const ms = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const date = new Date(ms);
  // Date.UTC carries a 31st of February over; such a text is a mistake.
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day) || Number(hour) > 23) return undefined;
  const offset = /^z$/i.test(zone) ? 0 : (zone.startsWith('-') ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2)));
  return (ms - offset * 60_000) * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}

/** Narrowest type that holds every text of a column seen so far; an empty text is null and says nothing. */
export class TextColumnType {
  #whole = true;
  #number = true;
  #bool = true;
  #time = true;
  #seen = false;

  see(text: string): void {
    if (text === '') return;
    this.#seen = true;
    this.#whole &&= WHOLE.test(text) && Number.isSafeInteger(Number(text));
    this.#number &&= NUMBER.test(text);
    this.#bool &&= BOOL.test(text);
    this.#time &&= parseTimeUs(text) !== undefined;
  }

  get type(): FrameColumn['type'] {
    if (!this.#seen) return 'string';
    return this.#whole ? 'int64' : this.#number ? 'float64' : this.#bool ? 'bool' : this.#time ? 'timestamp' : 'string';
  }
}

// A number with a leading zero or plus is a code, such as a postcode: it must come back as it was.
const WHOLE = /^-?(0|[1-9]\d*)$/;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$|^(nan|-?inf(inity)?)$/i;
const BOOL = /^(true|false)$/i;

/** @param text of a column whose every text was seen by `TextColumnType`. */
export function valueOfText(text: string, type: FrameColumn['type']): FrameValue {
  if (text === '') return null;
  switch (type) {
    case 'int64':
      return Number(text);
    case 'float64':
      return /inf/i.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text);
    case 'bool':
      return text.toLowerCase() === 'true';
    case 'timestamp':
      return parseTimeUs(text)!;
    case 'string':
      return text;
  }
}
