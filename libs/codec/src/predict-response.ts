import { AppError } from '@headrace/base/errors';
import { DELIMITED, ProtoReader, VARINT } from './reader.js';
import { readOutputColumn, writeOutputColumn, type OutputColumnData, type ReadOutputColumn } from './predict-output.js';
import { ShortBytes } from './short-bytes.js';
import { ProtoWriter } from './writer.js';

/**
 * headrace.serving.v1.PredictResponse on the wire, in the order that we write:
 *
 *   response = 0x0a model:string 0x10 version:varint 0x1a arm:string 0x22 prediction_id:string
 *              0x2a labels:packed-varint 0x32 scores:packed-f32 [0x3a feature_times:packed-varint 0x42 stale:packed-bool]
 *              { 0x52 OutputColumn }
 *
 * Empty texts and lists are left out, as proto3 does. `feature_times` and `stale` stand only in answers to requests by entity
 * key; a reader takes 0 and false where they are absent.
 */
export interface PredictResponseFields {
  /** The first three fields, of `encodeAnswerer`: the same in all answers of a version. */
  readonly answerer: ShortBytes;
  readonly predictionId: ShortBytes;
  readonly rows: number;
  /** Index of the first row in `scores`. */
  readonly firstScore: number;
  readonly scores: Float32Array;
  /** A score at or above it is label 1. */
  readonly threshold: number;
  /** ms since the epoch, one per row; undefined when nothing was looked up. */
  readonly featureTimes: Float64Array | undefined;
  /** 1 = stale, one per row. */
  readonly stale: Uint8Array | undefined;
  /** Further outputs of the graph; undefined when none were asked for. */
  readonly outputs: readonly OutputColumnData[] | undefined;
}

/** Who answers, as bytes for `PredictResponseFields.answerer`. */
export function encodeAnswerer({ model, version, arm }: Pick<PredictResponseData, 'model' | 'version' | 'arm'>): ShortBytes {
  const writer = new ProtoWriter(64);
  if (model) writeText(writer, 1, model);
  if (version !== 0) {
    writer.tag(2, VARINT);
    writer.uint32(version);
  }
  if (arm) writeText(writer, 3, arm);
  return ShortBytes.of(writer.finish());
}

export function encodePredictResponse(fields: PredictResponseFields, writer: ProtoWriter): void {
  const { rows, firstScore, scores, threshold } = fields;
  writer.rawShort(fields.answerer);
  if (fields.predictionId.length > 0) {
    writer.tag(4, DELIMITED);
    writer.delimitedShort(fields.predictionId);
  }
  if (rows === 0) return;
  writer.tag(5, DELIMITED);
  writer.uint32(rows);
  writer.reserve(rows);
  for (let i = 0; i < rows; i++) writer.bytes[writer.pos++] = scores[firstScore + i]! >= threshold ? 1 : 0;
  writer.tag(6, DELIMITED);
  writer.packedFloats(scores, firstScore, rows);
  if (fields.featureTimes) {
    writer.tag(7, DELIMITED);
    const mark = writer.begin(rows * 6);
    for (let i = 0; i < rows; i++) writer.int64(fields.featureTimes[i]!);
    writer.end(mark);
  }
  if (fields.stale) {
    writer.tag(8, DELIMITED);
    writer.uint32(rows);
    writer.raw(fields.stale, 0, rows);
  }
  for (const output of fields.outputs ?? NO_OUTPUTS) {
    writer.tag(10, DELIMITED);
    writeOutputColumn(writer, output);
  }
}

/** An answer as a client reads it; the per-row lists run parallel, or are empty. */
export interface PredictResponseData {
  model: string;
  version: number;
  arm: string;
  predictionId: string;
  labels: number[];
  scores: Float32Array;
  featureTimes: number[];
  stale: boolean[];
  outputs: ReadOutputColumn[];
}

const NO_OUTPUTS: readonly OutputColumnData[] = [];

/** @throws AppError REQUEST_INVALID on malformed bytes. */
export function decodePredictResponse(bytes: Uint8Array, start = 0, end = bytes.length): PredictResponseData {
  const reader = new ProtoReader(bytes, start, end);
  const response: PredictResponseData = {
    model: '',
    version: 0,
    arm: '',
    predictionId: '',
    labels: [],
    scores: new Float32Array(0),
    featureTimes: [],
    stale: [],
    outputs: [],
  };
  const looseScores: number[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case (1 << 3) | DELIMITED:
        response.model = reader.string();
        break;
      case (2 << 3) | VARINT:
        response.version = reader.uint32();
        break;
      case (3 << 3) | DELIMITED:
        response.arm = reader.string();
        break;
      case (4 << 3) | DELIMITED:
        response.predictionId = reader.string();
        break;
      case (5 << 3) | DELIMITED:
        readPacked(reader, () => response.labels.push(reader.int64Number()));
        break;
      case (5 << 3) | VARINT:
        response.labels.push(reader.int64Number());
        break;
      case (6 << 3) | DELIMITED:
        readPacked(reader, () => looseScores.push(reader.float()));
        break;
      case (6 << 3) | 5:
        looseScores.push(reader.float());
        break;
      case (7 << 3) | DELIMITED:
        readPacked(reader, () => response.featureTimes.push(reader.int64Number()));
        break;
      case (7 << 3) | VARINT:
        response.featureTimes.push(reader.int64Number());
        break;
      case (8 << 3) | DELIMITED:
        readPacked(reader, () => response.stale.push(reader.bool()));
        break;
      case (8 << 3) | VARINT:
        response.stale.push(reader.bool());
        break;
      case (10 << 3) | DELIMITED:
        response.outputs.push(readOutputColumn(reader));
        break;
      default:
        reader.skip(tag);
    }
  }
  response.scores = Float32Array.from(looseScores);
  if (response.labels.length !== response.scores.length) {
    throw new AppError('REQUEST_INVALID', `Malformed answer: ${response.labels.length} labels beside ${response.scores.length} scores.`);
  }
  return response;
}

function readPacked(reader: ProtoReader, readOne: () => void): void {
  const outer = reader.enter();
  while (reader.pos < reader.end) readOne();
  reader.leave(outer);
}

function writeText(writer: ProtoWriter, field: number, value: string): void {
  writer.tag(field, DELIMITED);
  writer.string(value);
}
