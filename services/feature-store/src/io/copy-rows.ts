import { CopyBuffer } from './copy-buffer.js';
import type { MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';

/**
 * Rows in Postgres' binary COPY format (documentation of COPY, "Binary Format"), in chunks. Measured by the research: 1.1 M rows/s of 12
 * columns, a sixteenth of the client CPU of the text format. The order of columns is that of `copyColumns`.
 */
export function* encodeCopy(view: View, rows: readonly MergedRow[]): Generator<Uint8Array> {
  const out = new CopyBuffer();
  out.header();
  const keyCount = view.joinKeys.length > 1 ? view.joinKeys.length : 0;
  const fields = view.spec.features;
  const columnCount = 5 + keyCount + fields.length;
  for (const row of rows) {
    out.int16(columnCount);
    out.text(row.entityKey);
    if (keyCount > 0) for (const key of row.keys) out.text(key);
    out.timestampUs(row.eventTimeMs * 1000);
    out.int64(row.contentHash);
    out.timestampUs(row.firstIngestUs);
    out.timestampUs(row.lastIngestUs);
    for (let i = 0; i < fields.length; i++) {
      const value = row.values[i]!;
      if (value === null) out.null();
      else if (typeof value === 'string') out.text(value);
      else if (typeof value === 'boolean') out.bool(value);
      else if (typeof value === 'object') out.float32s(value);
      else if (fields[i]!.type === 'float64') out.float64(value);
      else if (fields[i]!.type === 'timestamp') out.timestampMs(value);
      else out.int64(value);
    }
    if (out.isFull()) yield out.take();
  }
  out.int16(-1);
  yield out.take();
}
