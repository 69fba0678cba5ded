import { joinEntityKey } from '@headrace/codec/feature-key';
import type { FrameColumn, FramePlan } from '../domain/frame-plan.js';
import type { FrameValue } from '../domain/frame-values.js';
import { requestInvalid } from '../errors.js';
import { CopyBuffer } from './copy-buffer.js';
import type { CopyFeed } from './copy-feed.js';
import type { Frame } from './frame-reader.js';

/**
 * The frame in Postgres' binary form, in the columns of `FramePlan.create`, divided by entity over several copies: all rows of an entity go
 * to the same. @param onRows is told how many rows have gone.
 */
export async function encodeFrame(
  plan: Pick<FramePlan, 'keys' | 'timeIndex'>,
  { columns, batches }: Pick<Frame, 'columns' | 'batches'>,
  feeds: readonly CopyFeed[],
  onRows: (rows: number) => void,
): Promise<void> {
  const buffers = feeds.map(() => new CopyBuffer());
  for (const out of buffers) out.header();
  const { keys, timeIndex } = plan;
  const fieldCount = 2 + keys.length + columns.length - 1;
  let row = 0;
  for await (const batch of batches()) {
    for (let i = 0; i < batch.rows; i++) {
      const texts = keys.map((list) => joinEntityKey(list.map((column) => keyText(batch.columns[column]![i]!, columns[column]!, row))));
      const part = partOf(texts[0]!, feeds.length);
      const out = buffers[part]!;
      out.int16(fieldCount);
      out.int64(row);
      const time = batch.columns[timeIndex]![i]!;
      if (typeof time !== 'number') throw requestInvalid(`row ${row} of the frame has no ${columns[timeIndex]!.name}`);
      if (!(Math.abs(time) < TIME_US_MAX)) throw requestInvalid(`row ${row} of the frame has a time beyond the years 1700 to 2200`);
      out.timestampUs(time);
      for (const text of texts) out.text(text);
      for (let c = 0; c < columns.length; c++) if (c !== timeIndex) write(out, columns[c]!.type, batch.columns[c]![i]!);
      row++;
      if (out.isFull()) {
        onRows(row);
        await feeds[part]!.send(out.take());
      }
    }
  }
  onRows(row);
  for (const [part, out] of buffers.entries()) {
    out.int16(-1);
    await feeds[part]!.send(out.take());
    feeds[part]!.end();
  }
}

/** FNV-1a. */
function partOf(key: string, parts: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % parts;
}

/** Whole microseconds are exact below 2^53; some years are kept off for the epoch of Postgres. */
const TIME_US_MAX = Date.UTC(2200, 0, 1) * 1000;

function keyText(value: FrameValue, { name }: FrameColumn, row: number): string {
  if (value === null || value === '') throw requestInvalid(`row ${row} of the frame has no ${name}, which is a join key`);
  return String(value);
}

function write(out: CopyBuffer, type: FrameColumn['type'], value: FrameValue): void {
  if (value === null) out.null();
  else if (type === 'string') out.text(value as string);
  else if (type === 'bool') out.bool(value as boolean);
  else if (type === 'float64') out.float64(Number(value));
  else if (type === 'timestamp') out.timestampUs(value as number);
  else if (typeof value === 'bigint') out.bigint(value);
  else out.int64(value as number);
}
