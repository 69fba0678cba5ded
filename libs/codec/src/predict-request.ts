import { AppError } from '@headrace/base/errors';
import { NO_COLUMN, readNamedColumn, writeNamedColumn, type NamedColumnData } from './predict-column.js';
import { ProtoReader } from './reader.js';
import { DELIMITED, FIXED32, VARINT } from './reader.js';
import type { ShortBytes } from './short-bytes.js';
import { checkUtf8Text, isUtf8Text } from './utf8.js';
import type { ProtoWriter } from './writer.js';

/**
 * headrace.serving.v1.PredictRequest on the wire (proto3; any field in any order, the last of a single one wins):
 *
 *   request = { 0x0a project:string | 0x12 model:string | 0x18 version:varint
 *             | 0x22 dense:packed-f32 | 0x25 dense:f32            (pieces add up, in order)
 *             | 0x2a column:NamedColumn | 0x32 entity:string      (repeated)
 *             | 0x3a prediction_id:string | 0x40 priority:varint | 0x4a output:string (repeated) | unknown }
 *
 * `read` walks the message once, checks every length and remembers where things are; nothing is allocated, and the floats are
 * copied from the receive buffer straight to where the model reads them. The view is valid as long as the buffer's content is.
 */
export class PredictRequestView {
  version = 0;
  /** As in the proto: 0 normal, 1 low, 2 high; what a later version may add is read as it comes. */
  priority = 0;
  /** Floats in `dense`, over all its pieces. */
  denseCount = 0;
  columnCount = 0;
  entityCount = 0;
  outputCount = 0;
  bytes: Uint8Array = EMPTY;
  /** Byte ranges of the two names, so that a caller can compare them without making strings. */
  projectStart = 0;
  projectEnd = 0;
  modelStart = 0;
  modelEnd = 0;
  /** The first entity and the prediction id, as bytes to route by; empty ranges where there is none. */
  entityStart = 0;
  entityEnd = 0;
  idStart = 0;
  idEnd = 0;
  /** Of the whole message. */
  start = 0;
  end = 0;
  #denseAt = 0;
  #densePieces = 0;
  readonly #reader = new ProtoReader();

  /** @throws AppError REQUEST_INVALID on malformed bytes. */
  read(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.#clear(bytes, start, end);
    const reader = this.#reader.reset(bytes, start, end);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const at = reader.pos;
      switch (tag) {
        case PROJECT: {
          const length = reader.length();
          this.projectStart = reader.pos;
          this.projectEnd = reader.pos += length;
          break;
        }
        case MODEL: {
          const length = reader.length();
          this.modelStart = reader.pos;
          this.modelEnd = reader.pos += length;
          break;
        }
        case VERSION:
          this.version = reader.uint32();
          break;
        case DENSE_PACKED: {
          const length = reader.length();
          if ((length & 3) !== 0)
            throw new AppError(
              'REQUEST_INVALID',
              `Malformed protobuf at byte ${at}: \`dense\` has ${length} bytes, which is no whole number of floats.`,
            );
          if (length > 0) this.#addPiece(at, length >>> 2);
          reader.pos += length;
          break;
        }
        case DENSE_ONE:
          reader.skip(tag);
          this.#addPiece(at, 1);
          // A lone float is no packed run: it is found again by the walk over all pieces.
          this.#densePieces = 2;
          break;
        case COLUMN:
          this.columnCount++;
          reader.skip(tag);
          break;
        case ENTITY:
          if (this.entityCount++ > 0) reader.skip(tag);
          else {
            const length = reader.length();
            this.entityStart = reader.pos;
            this.entityEnd = reader.pos += length;
          }
          break;
        case PREDICTION_ID: {
          const length = reader.length();
          this.idStart = reader.pos;
          this.idEnd = reader.pos += length;
          break;
        }
        case PRIORITY:
          this.priority = reader.uint32();
          break;
        case OUTPUT:
          this.outputCount++;
          reader.skip(tag);
          break;
        default:
          reader.skip(tag);
      }
    }
    return this;
  }

  get project(): string {
    return text(this.bytes, this.projectStart, this.projectEnd, 'project');
  }

  get model(): string {
    return text(this.bytes, this.modelStart, this.modelEnd, 'model');
  }

  get predictionId(): string {
    return this.idStart === this.idEnd ? '' : text(this.bytes, this.idStart, this.idEnd, 'prediction_id');
  }

  /** As `predictionId`, without making a string. */
  copyPredictionId(target: ShortBytes): void {
    if (!isUtf8Text(this.bytes, this.idStart, this.idEnd)) throw notUtf8('prediction_id');
    target.set(this.bytes, this.idStart, this.idEnd);
  }

  /** Copies all of `dense` to `target[at...]`; the caller has made room for `denseCount` floats. */
  copyDense(target: Float32Array, at: number): void {
    if (this.denseCount === 0) return;
    const reader = this.#reader;
    if (this.#densePieces === 1) {
      reader.reset(this.bytes, this.#denseAt, this.end).packedFloats(target, at);
      return;
    }
    reader.reset(this.bytes, this.start, this.end);
    let next = at;
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === DENSE_PACKED) next += reader.packedFloats(target, next);
      else if (tag === DENSE_ONE) target[next++] = reader.float();
      else reader.skip(tag);
    }
  }

  readEntities(): string[] {
    return this.#readTexts(ENTITY);
  }

  readOutputs(): string[] {
    return this.#readTexts(OUTPUT);
  }

  readColumns(): NamedColumnData[] {
    const columns: NamedColumnData[] = [];
    const reader = this.#reader.reset(this.bytes, this.start, this.end);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === COLUMN) columns.push(readNamedColumn(reader));
      else reader.skip(tag);
    }
    return columns;
  }

  #readTexts(field: number): string[] {
    const texts: string[] = [];
    const reader = this.#reader.reset(this.bytes, this.start, this.end);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === field) texts.push(reader.string());
      else reader.skip(tag);
    }
    return texts;
  }

  #addPiece(at: number, count: number): void {
    this.#densePieces++;
    this.#denseAt = at;
    this.denseCount += count;
  }

  #clear(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.version = this.priority = 0;
    this.denseCount = this.columnCount = this.entityCount = this.outputCount = 0;
    this.#densePieces = this.#denseAt = 0;
    this.projectStart =
      this.projectEnd =
      this.modelStart =
      this.modelEnd =
      this.entityStart =
      this.entityEnd =
      this.idStart =
      this.idEnd =
        0;
  }
}

/** What a client sends; everything but the model may be left out. */
export interface PredictRequestInput {
  readonly project?: string;
  readonly model: string;
  readonly version?: number;
  readonly dense?: Float32Array;
  readonly columns?: readonly Partial<NamedColumnData>[];
  readonly entities?: readonly string[];
  readonly predictionId?: string;
  /** 0 normal, 1 low, 2 high. */
  readonly priority?: number;
  /** Names of further outputs of the graph. */
  readonly outputs?: readonly string[];
}

export function encodePredictRequest(request: PredictRequestInput, writer: ProtoWriter): void {
  if (request.project) writeText(writer, 1, request.project);
  if (request.model) writeText(writer, 2, request.model);
  if (request.version) {
    writer.tag(3, VARINT);
    writer.uint32(request.version);
  }
  if (request.dense && request.dense.length > 0) {
    writer.tag(4, DELIMITED);
    writer.packedFloats(request.dense);
  }
  for (const column of request.columns ?? []) {
    writer.tag(5, DELIMITED);
    writeNamedColumn(writer, { ...NO_COLUMN, ...column });
  }
  for (const entity of request.entities ?? []) writeText(writer, 6, entity);
  if (request.predictionId) writeText(writer, 7, request.predictionId);
  if (request.priority) {
    writer.tag(8, VARINT);
    writer.uint32(request.priority);
  }
  for (const output of request.outputs ?? []) writeText(writer, 9, output);
}

const PROJECT = (1 << 3) | DELIMITED;
const MODEL = (2 << 3) | DELIMITED;
const VERSION = (3 << 3) | VARINT;
const DENSE_PACKED = (4 << 3) | DELIMITED;
const DENSE_ONE = (4 << 3) | FIXED32;
const COLUMN = (5 << 3) | DELIMITED;
const ENTITY = (6 << 3) | DELIMITED;
const PREDICTION_ID = (7 << 3) | DELIMITED;
const PRIORITY = (8 << 3) | VARINT;
const OUTPUT = (9 << 3) | DELIMITED;
const EMPTY = new Uint8Array(0);

function text(bytes: Uint8Array, start: number, end: number, field: string): string {
  const value = checkUtf8Text(bytes, start, end);
  if (value === undefined) throw notUtf8(field);
  return value;
}

function notUtf8(field: string): AppError {
  return new AppError('REQUEST_INVALID', `Malformed protobuf: \`${field}\` is not UTF-8.`);
}

function writeText(writer: ProtoWriter, field: number, value: string): void {
  writer.tag(field, DELIMITED);
  writer.string(value);
}
