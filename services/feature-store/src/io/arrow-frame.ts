import { createReadStream } from 'node:fs';
import { messageOf } from '@headrace/base/errors';
import { DataType, RecordBatchReader, type RecordBatch, type Schema } from 'apache-arrow';
import type { FrameColumn } from '../domain/frame-plan.js';
import type { FrameBatch, FrameValue } from '../domain/frame-values.js';
import { requestInvalid } from '../errors.js';
import type { Frame } from './frame-reader.js';

/** Arrow IPC, the stream or the file form; one record batch is in memory at a time. @throws AppError REQUEST_INVALID */
export async function openArrowFrame(path: string): Promise<Frame> {
  let rows = 0;
  let schema: Schema | undefined;
  for await (const batch of batchesOf(path)) {
    schema = batch.schema;
    rows += batch.numRows;
  }
  if (!schema) throw requestInvalid('the Arrow frame has no record batch');
  const columns = schema.fields.map(({ name, type }): FrameColumn => ({ name, type: typeOf(name, type as DataType) }));
  return {
    columns,
    rows,
    async *batches() {
      for await (const batch of batchesOf(path)) yield toFrameBatch(batch, columns);
    },
  };
}

async function* batchesOf(path: string): AsyncGenerator<RecordBatch> {
  try {
    const reader = await RecordBatchReader.from(createReadStream(path));
    for await (const batch of reader as AsyncIterable<RecordBatch>) yield batch;
  } catch (error) {
    throw requestInvalid(`the Arrow frame cannot be read: ${messageOf(error)}`);
  }
}

function toFrameBatch(batch: RecordBatch, columns: readonly FrameColumn[]): FrameBatch {
  const read = columns.map(({ type }, c) => {
    const vector = batch.getChildAt(c)!;
    const values = new Array<FrameValue>(batch.numRows);
    for (let i = 0; i < values.length; i++) {
      const value = vector.get(i) as FrameValue | undefined;
      // Arrow gives times as milliseconds with a fraction.
      values[i] = value === null || value === undefined ? null : type === 'timestamp' ? Math.round(Number(value) * 1000) : value;
    }
    return values;
  });
  return { rows: batch.numRows, columns: read };
}

function typeOf(name: string, type: DataType): FrameColumn['type'] {
  const value = DataType.isDictionary(type) ? (type.dictionary as DataType) : type;
  if (DataType.isInt(value)) return 'int64';
  if (DataType.isFloat(value)) return 'float64';
  if (DataType.isUtf8(value) || DataType.isLargeUtf8(value)) return 'string';
  if (DataType.isBool(value)) return 'bool';
  if (DataType.isTimestamp(value) || DataType.isDate(value)) return 'timestamp';
  throw requestInvalid(`column ${name} of the Arrow frame has type ${DataType.prototype.toString.call(type)}, which is not taken; cast it`);
}
