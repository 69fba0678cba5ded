import { joinEntityKey } from '@headrace/codec/feature-key';
import type { FrameColumn, FramePlan } from '../domain/frame-plan.js';
import type { FrameBatch, FrameValue } from '../domain/frame-values.js';
import { requestInvalid } from '../errors.js';
import { CopyBuffer } from './copy-buffer.js';

/** The frame in Postgres' binary form, in the columns of `FramePlan.create`. @param onRows is told how many rows have gone. */
export async function* encodeFrame(
  plan: Pick<FramePlan, 'keys' | 'timeIndex'>,
  columns: readonly FrameColumn[],
  batches: AsyncIterable<FrameBatch>,
  onRows: (rows: number) => void,
): AsyncGenerator<Uint8Array> {
  const out = new CopyBuffer();
  out.header();
  const { keys, timeIndex } = plan;
  const fieldCount = 2 + keys.length + columns.length - 1;
  let row = 0;
  for await (const batch of batches) {
    for (let i = 0; i < batch.rows; i++) {
      out.int16(fieldCount);
      out.int64(row);
      const time = batch.columns[timeIndex]![i]!;
      if (typeof time !== 'number') throw requestInvalid(`row ${row} of the frame has no ${columns[timeIndex]!.name}`);
      if (!(Math.abs(time) < TIME_US_MAX)) throw requestInvalid(`row ${row} of the frame has a time beyond the years 1700 to 2200`);
      out.timestampUs(time);
      for (const list of keys) out.text(joinEntityKey(list.map((column) => keyText(batch.columns[column]![i]!, columns[column]!, row))));
      for (let c = 0; c < columns.length; c++) if (c !== timeIndex) write(out, columns[c]!.type, batch.columns[c]![i]!);
      row++;
      if (out.isFull()) {
        onRows(row);
        yield out.take();
      }
    }
  }
  out.int16(-1);
  onRows(row);
  yield out.take();
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
