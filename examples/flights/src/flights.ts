import { AppError } from '@headrace/base/errors';
import { parquetReadObjects } from 'hyparquet';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

export interface Flight {
  readonly id: string;
  readonly origin: string;
  readonly destination: string;
  /** Miles. */
  readonly distance: number;
  /** Minutes at arrival; negative = early. */
  readonly delay: number;
  /** As the clocks of the data show it, moved to the present. */
  readonly departsMs: number;
  /** When its delay is known: the data does not say, so 30 minutes and 8 miles a minute after the departure, and the delay. */
  readonly landsMs: number;
  readonly hour: number;
  readonly dayOfWeek: number;
}

/** The npm package that carries 3 million flights; 17 MB, so it is fetched by the first run and not by every install. */
const PACKAGE = 'vega-datasets@3.2.1';
const MEMBER = 'package/data/flights-3m.parquet';
/** The evening of a busy Friday of the data: what is "now" in the example. */
const PRESENT_MS = Date.UTC(2001, 5, 29, 17, 30);
const [MINUTE_MS, DAY_MS] = [60_000, 86_400_000];

export interface FlightSpan {
  /** Flights of this many days before now. */
  readonly days: number;
  /** And of this many minutes after it. */
  readonly aheadMinutes: number;
}

/** Flights around the present of the data, moved so that it is `nowMs`. */
export async function readFlights(file: string, { days, aheadMinutes }: FlightSpan, nowMs: number): Promise<Flight[]> {
  const rows = await parquetReadObjects({
    file: bufferOf(readFileSync(file)),
    columns: ['date', 'delay', 'distance', 'origin', 'destination'],
    compressors: { ZSTD: (bytes) => zstdDecompressSync(bytes) },
  });
  const shiftMs = nowMs - PRESENT_MS;
  return rows.flatMap((row, at): Flight[] => {
    const date = row.date as Date;
    const aheadMs = date.getTime() - PRESENT_MS;
    if (aheadMs < -days * DAY_MS || aheadMs > aheadMinutes * MINUTE_MS) return [];
    const [distance, delay] = [Number(row.distance), Number(row.delay)];
    const departsMs = date.getTime() + shiftMs;
    return [
      {
        ...{ id: `F${at}`, origin: String(row.origin), destination: String(row.destination), distance, delay, departsMs },
        landsMs: departsMs + Math.max(0, Math.round(30 + distance / 8) + delay) * MINUTE_MS,
        ...{ hour: date.getUTCHours(), dayOfWeek: date.getUTCDay() },
      },
    ];
  });
}

/** Fetched once by npm, then kept in the folder. @returns the Parquet file. */
export function fetchFlights(folder: string): string {
  const file = join(folder, 'flights-3m.parquet');
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, 'fetch-'));
  try {
    execFileSync('npm', ['pack', PACKAGE, '--silent', '--ignore-scripts', '--pack-destination', scratch], {
      cwd: scratch,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 300_000,
      shell: process.platform === 'win32',
    });
    const packed = readdirSync(scratch).find((name) => name.endsWith('.tgz'));
    if (!packed) throw new AppError('DEPENDENCY_UNAVAILABLE', `npm could not fetch ${PACKAGE}; check the network or the registry`);
    const partial = join(scratch, 'flights.parquet');
    writeFileSync(partial, memberOf(gunzipSync(readFileSync(join(scratch, packed))), MEMBER));
    renameSync(partial, file);
    return file;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A file of a tar archive: headers of 512 bytes with the name at 0 and the size in octal at 124 (POSIX ustar). */
export function memberOf(tar: Buffer, name: string): Buffer {
  for (let at = 0; at + 512 <= tar.length;) {
    const text = (from: number, length: number): string => tar.toString('latin1', at + from, at + from + length).replace(/\0[^]*$/, '');
    const size = Number.parseInt(text(124, 12), 8) || 0;
    if (text(0, 100) === name) return tar.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new AppError('NOT_FOUND', `the archive of ${PACKAGE} has no ${name}; another version of the package may`);
}

function bufferOf(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}
