import { ByteReader, ByteWriter } from './bytes.js';
import { readValue, writeValue, type ColumnValue, type EventRow } from './measure.js';
import type { WindowFold } from './window-fold.js';
import type { WindowPlan } from './window-plan.js';
import { WindowState, type Tile } from './window-state.js';

/**
 * What the online store keeps beside the newest row for one (entity, view) with aggregations:
 *
 *   blob  = format:u8(=2) fingerprint:u32 horizonMs:f64 newestMs:f64 rowCount rows tileCount tiles
 *   row   = behind tie:f64 value*         newest first; `behind` = how far the time lies before the row above (the first: newestMs)
 *   tile  = behind span rows length bytes newest first; `behind` = of its newest row, `span` = from its newest to its oldest row
 *   value = 0 null | 1 false | 2 true | 3 f64 | 4 text
 *
 * Little endian; counts and times are variable-length integers, lowest 7 bits first. A blob is a function of the rows and the
 * horizon. Its key is the key of the row's blob with `WINDOWS_KEY_SUFFIX`, so both share a slot of a cluster.
 */
export const WINDOW_BLOB_FORMAT = 2;
export const WINDOWS_KEY_SUFFIX = ':windows';
const HEADER_BYTES = 21;

export function encodeWindows(state: WindowState): Buffer {
  const { plan, tiles, rows, horizonMs, newestMs } = state;
  out.clear();
  out.u8(WINDOW_BLOB_FORMAT);
  out.u32(plan.fingerprint);
  out.f64(horizonMs);
  out.f64(newestMs);
  let above = newestMs;
  out.count(rows.length);
  for (let i = rows.length - 1; i >= 0; i--) {
    const { timeMs, tie, values } = rows[i]!;
    out.count(above - timeMs);
    out.f64(tie);
    for (const value of values) writeValue(out, value);
    above = timeMs;
  }
  out.count(tiles.length);
  for (let i = tiles.length - 1; i >= 0; i--) {
    const tile = tiles[i]!;
    out.count(above - tile.newestMs);
    out.count(tile.newestMs - tile.oldestMs);
    out.count(tile.rows);
    out.count(tile.bytes.length);
    out.bytes(tile.bytes);
    above = tile.oldestMs;
  }
  return out.take();
}

const out = new ByteWriter();
const bytes = new ByteReader();

export type WindowBlobFault = 'none' | 'format' | 'fingerprint' | 'corrupt';

export function windowBlobFingerprint(blob: Buffer): number {
  return blob.length >= HEADER_BYTES && blob[0] === WINDOW_BLOB_FORMAT ? blob.readUInt32LE(1) : 0;
}

/**
 * All windows of the blob at a moment, straight from its bytes. A moment before the horizon, which is a clock that runs behind the
 * writer's by more than its margin, counts as the horizon.
 */
export function readWindows(blob: Buffer, fold: WindowFold, atMs: number): WindowBlobFault {
  const fault = headerFault(blob, fold.plan);
  if (fault !== 'none') return fault;
  try {
    return foldBlob(blob, fold, Math.max(atMs, blob.readDoubleLE(5))) ? 'none' : 'corrupt';
  } catch (error) {
    if (error instanceof RangeError) return 'corrupt';
    throw error;
  }
}

function foldBlob(blob: Buffer, fold: WindowFold, atMs: number): boolean {
  bytes.over(blob, HEADER_BYTES);
  let above = blob.readDoubleLE(13);
  fold.begin(atMs);
  for (let n = bytes.count(); n > 0; n--) {
    const row = readRow(above, fold.plan.columns.length);
    above = row.timeMs;
    fold.row(row);
  }
  for (let n = bytes.count(); n > 0 && !fold.isFull; n--) {
    const newestMs = above - bytes.count();
    above = newestMs - bytes.count();
    const rows = bytes.count();
    const length = bytes.count();
    const end = bytes.at + length;
    if (!fold.tile(rows, above, newestMs, bytes)) return false;
    bytes.at = end;
  }
  fold.end();
  return fold.isFull;
}

/** The state behind a blob, to be brought up to date; undefined when it cannot be read with this plan. */
export function decodeWindows(blob: Buffer, plan: WindowPlan): WindowState | undefined {
  if (headerFault(blob, plan) !== 'none') return undefined;
  try {
    bytes.over(blob, HEADER_BYTES);
    let above = blob.readDoubleLE(13);
    const rows: EventRow[] = [];
    const tiles: Tile[] = [];
    for (let n = bytes.count(); n > 0; n--) {
      const row = readRow(above, plan.columns.length);
      above = row.timeMs;
      rows.push(row);
    }
    for (let n = bytes.count(); n > 0; n--) {
      const newestMs = above - bytes.count();
      above = newestMs - bytes.count();
      tiles.push({ newestMs, oldestMs: above, rows: bytes.count(), bytes: bytes.bytes(bytes.count()) });
    }
    if (!bytes.atEnd) return undefined;
    return new WindowState(plan, blob.readDoubleLE(5), tiles.reverse(), rows.reverse());
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function headerFault(blob: Buffer, plan: WindowPlan): WindowBlobFault {
  if (blob.length < HEADER_BYTES) return 'corrupt';
  if (blob[0] !== WINDOW_BLOB_FORMAT) return 'format';
  return blob.readUInt32LE(1) === plan.fingerprint ? 'none' : 'fingerprint';
}

function readRow(above: number, columns: number): EventRow {
  const timeMs = above - bytes.count();
  const tie = bytes.f64();
  const values: ColumnValue[] = [];
  for (let i = 0; i < columns; i++) values.push(readValue(bytes));
  return { timeMs, tie, values };
}
