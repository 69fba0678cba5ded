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
export async function readFlights(path: string, { presentMs, nowMs, days, aheadMinutes }: FlightSpan): Promise<Flight[]> {
  const bytes = readFileSync(path);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const metadata = await parquetMetadataAsync(file);
  const [fromMs, toMs] = [presentMs - days * DAY_MS, presentMs + aheadMinutes * MINUTE_MS];
  const flights: Flight[] = [];
  for (const { rowStart, rowEnd } of groupsWithin(metadata, fromMs, toMs)) {
    const rows = await parquetReadObjects({
      ...{ file, metadata, rowStart, rowEnd },
      columns: ['date', 'delay', 'distance', 'origin', 'destination'],
      compressors: { ZSTD: (packed) => zstdDecompressSync(packed) },
    });
    for (const [at, row] of rows.entries()) {
      const scheduledMs = (row.date as Date).getTime();
      if (scheduledMs >= fromMs && scheduledMs <= toMs) flights.push(flightOf(row, `F${rowStart + at}`, scheduledMs, nowMs - presentMs));
    }
  }
  return flights;
}

function flightOf(row: Record<string, unknown>, id: string, scheduledMs: number, shiftMs: number): Flight {
  const [distance, delay] = [Number(row.distance), Number(row.delay)];
  const departsMs = scheduledMs + shiftMs;
  const minutes = Math.max(0, Math.round(TAXI_MINUTES + distance / MILES_A_MINUTE) + delay);
  return {
    ...{ id, origin: String(row.origin), destination: String(row.destination), distance, delay, scheduledMs, departsMs },
    landsMs: departsMs + minutes * MINUTE_MS,
  };
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
