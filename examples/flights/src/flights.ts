import { parquetMetadataAsync, parquetReadObjects, type FileMetaData } from 'hyparquet';
import { readFileSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';

export interface Flight {
  readonly id: string;
  readonly origin: string;
  readonly destination: string;
  /** Miles. */
  readonly distance: number;
  /** Minutes at arrival; negative = early. */
  readonly delay: number;
  /** By the local clock, as the data has it: what calendar features are made of. */
  readonly scheduledMs: number;
  /** The same, moved so that the present of the data is now. */
  readonly departsMs: number;
  /** When its delay is known: the data does not say, so 30 minutes and 8 miles a minute after the departure, and the delay. */
  readonly landsMs: number;
}

export const [MINUTE_MS, DAY_MS] = [60_000, 86_400_000];
const [TAXI_MINUTES, MILES_A_MINUTE] = [30, 8];

export interface FlightSpan {
  /** The moment of the data that is to be now. */
  readonly presentMs: number;
  readonly nowMs: number;
  /** Flights of this many days before it. */
  readonly days: number;
  /** And of this many minutes after it. */
  readonly aheadMinutes: number;
}

/** Flights around the present of the data, in the order of the file, which is that of their departures. */
export async function readFlights(path: string, { presentMs, nowMs, days, aheadMinutes }: FlightSpan): Promise<FlightTable> {
  const bytes = readFileSync(path);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const metadata = await parquetMetadataAsync(file);
  const [fromMs, toMs] = [presentMs - days * DAY_MS, presentMs + aheadMinutes * MINUTE_MS];
  const groups = groupsWithin(metadata, fromMs, toMs);
  const flights = new FlightTable(
    groups.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0),
    nowMs - presentMs,
  );
  for (const { rowStart, rowEnd } of groups) {
    const rows = await parquetReadObjects({
      ...{ file, metadata, rowStart, rowEnd },
      columns: ['date', 'delay', 'distance', 'origin', 'destination'],
      compressors: { ZSTD: (packed) => zstdDecompressSync(packed) },
    });
    for (const [at, row] of rows.entries()) {
      const scheduledMs = (row.date as Date).getTime();
      if (scheduledMs >= fromMs && scheduledMs <= toMs) flights.push(rowStart + at, scheduledMs, row);
    }
  }
  return flights;
}

/** Columns of numbers, 32 bytes a flight: three million take 96 MB, where objects took above a gigabyte. */
export class FlightTable implements Iterable<Flight> {
  length = 0;
  readonly #rows: Uint32Array;
  readonly #scheduledMs: Float64Array;
  readonly #landsMs: Float64Array;
  readonly #distances: Int32Array;
  readonly #delays: Int32Array;
  /** Origin and destination, as places in the list of names. */
  readonly #airports: Uint16Array;
  readonly #names: string[] = [];
  readonly #places = new Map<string, number>();

  /** @param shiftMs from the clock of the data to ours. */
  constructor(
    capacity: number,
    readonly shiftMs: number,
  ) {
    this.#rows = new Uint32Array(capacity);
    this.#scheduledMs = new Float64Array(capacity);
    this.#landsMs = new Float64Array(capacity);
    this.#distances = new Int32Array(capacity);
    this.#delays = new Int32Array(capacity);
    this.#airports = new Uint16Array(2 * capacity);
  }

  push(row: number, scheduledMs: number, values: Record<string, unknown>): void {
    const at = this.length++;
    const [distance, delay] = [Number(values.distance), Number(values.delay)];
    const minutes = Math.max(0, Math.round(TAXI_MINUTES + distance / MILES_A_MINUTE) + delay);
    this.#rows[at] = row;
    this.#scheduledMs[at] = scheduledMs;
    this.#landsMs[at] = scheduledMs + this.shiftMs + minutes * MINUTE_MS;
    this.#distances[at] = distance;
    this.#delays[at] = delay;
    this.#airports[2 * at] = this.#placeOf(String(values.origin));
    this.#airports[2 * at + 1] = this.#placeOf(String(values.destination));
  }

  at(index: number): Flight {
    const scheduledMs = this.#scheduledMs[index]!;
    return {
      id: `F${this.#rows[index]!}`,
      origin: this.#names[this.#airports[2 * index]!]!,
      destination: this.#names[this.#airports[2 * index + 1]!]!,
      ...{ distance: this.#distances[index]!, delay: this.#delays[index]! },
      ...{ scheduledMs, departsMs: scheduledMs + this.shiftMs, landsMs: this.#landsMs[index]! },
    };
  }

  *[Symbol.iterator](): Generator<Flight> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  /** Indices of those that land after the one moment and not after the other, in the order in which they do. */
  landings(afterMs: number, untilMs: number): Uint32Array {
    const landsMs = this.#landsMs;
    const within = Uint32Array.from({ length: this.length }, (_, index) => index).filter(
      (index) => landsMs[index]! > afterMs && landsMs[index]! <= untilMs,
    );
    return within.sort((a, b) => landsMs[a]! - landsMs[b]! || a - b);
  }

  /** Of those that have landed by then and left after the other moment, one in so many. */
  sample(departedMs: number, landedMs: number, every: number): Uint32Array {
    const [sample, earliestMs] = [[] as number[], departedMs - this.shiftMs];
    for (let index = 0, landed = 0; index < this.length; index++) {
      if (this.#landsMs[index]! > landedMs) continue;
      if (landed++ % every === 0 && this.#scheduledMs[index]! >= earliestMs) sample.push(index);
    }
    return Uint32Array.from(sample);
  }

  departures(afterMs: number, untilMs: number): Flight[] {
    const found: Flight[] = [];
    for (let index = 0; index < this.length; index++) {
      const departsMs = this.#scheduledMs[index]! + this.shiftMs;
      if (departsMs > afterMs && departsMs <= untilMs) found.push(this.at(index));
    }
    return found;
  }

  #placeOf(airport: string): number {
    const known = this.#places.get(airport);
    if (known !== undefined) return known;
    this.#places.set(airport, this.#names.length);
    return this.#names.push(airport) - 1;
  }
}

/** Row groups that may hold a departure of the span, by their statistics, so that a share of the data takes a share of the time. */
function groupsWithin({ row_groups }: FileMetaData, fromMs: number, toMs: number): { rowStart: number; rowEnd: number }[] {
  let rowEnd = 0;
  return row_groups.flatMap(({ num_rows, columns }) => {
    const rowStart = rowEnd;
    rowEnd += Number(num_rows);
    const date = columns.find(({ meta_data }) => meta_data?.path_in_schema.join() === 'date')?.meta_data?.statistics;
    const [least, most] = [date?.min_value, date?.max_value];
    const isOutside = least instanceof Date && most instanceof Date && (most.getTime() < fromMs || least.getTime() > toMs);
    return isOutside ? [] : [{ rowStart, rowEnd }];
  });
}
