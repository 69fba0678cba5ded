import { DELIMITED, FIXED32, ProtoReader, VARINT } from './reader.js';
import type { TextList } from './text-list.js';
import type { ProtoWriter } from './writer.js';

/**
 * headrace.events.v1.PredictionsLogged on the wire: a batch of the prediction log, one list per column.
 *
 *   batch   = 0x0a project 0x12 model 0x18 version 0x22 arm { 0x2a prediction_id:string } 0x32 predicted_at_ms:packed-varint
 *             0x3a scores:packed-f32 0x42 labels:packed-varint { 0x4a column } { 0x52 entity:string } [0x5a stale:packed-bool]
 *             0x62 account 0x6a instance { 0x72 trace_id:string } { 0x7a redacted } 0x82 0x01 entity_redaction
 *   redacted = 0x0a name:string 0x12 redaction:string { 0x1a token:string }
 *   column  = 0x0a name:string (0x12 numbers:packed-f32 | { 0x1a text:string } 0x22 missing:packed-bool)
 *   account = 0x08 answered 0x10 logged 0x18 sampled_out 0x20 dropped
 *
 * Row lists run parallel; `entities`, `stale` and `trace_ids` are absent when no row has one. The serving process collects its rows in the
 * form that they have here, so that a batch of thousands is written by a few copies: a pause of the event loop is seen by callers.
 */
export interface PredictionBatch {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly arm: string;
  readonly instance: string;
  readonly rows: number;
  /** Of field 5. */
  readonly predictionIds: TextList;
  readonly predictedAtMs: Float64Array;
  readonly scores: Float32Array;
  readonly labels: Uint8Array;
  readonly columns: readonly PredictionColumn[];
  /** Of field 10, one per row, '' where the row came without; undefined when none had one. */
  readonly entities: TextList | undefined;
  readonly stale: Uint8Array | undefined;
  /** Of field 14, as `entities`. */
  readonly traceIds: TextList | undefined;
  readonly account: PredictionAccount;
  /** Columns of which no value is in `columns`. */
  readonly redacted: readonly RedactedTokens[];
  /** What was done with the entity keys: omit | hash; '' = as they came. */
  readonly entityRedaction: string;
}

export interface RedactedTokens {
  readonly name: string;
  /** omit | hash */
  readonly redaction: string;
  /** Of field 3. Of hash one for each row, '' = missing; else undefined. */
  readonly tokens: TextList | undefined;
}

export type PredictionColumn =
  /** `values[first, first + rows)` */
  | { readonly name: string; readonly kind: 'numbers'; readonly values: Float32Array; readonly first: number }
  /** Texts of field 3; 1 in `missing` = no value. */
  | { readonly name: string; readonly kind: 'texts'; readonly values: TextList; readonly missing: Uint8Array };

export interface PredictionAccount {
  readonly answered: number;
  readonly logged: number;
  readonly sampledOut: number;
  readonly dropped: number;
}

export function encodePredictionsLogged(batch: PredictionBatch, writer: ProtoWriter): void {
  const { rows } = batch;
  writeText(writer, 1, batch.project);
  writeText(writer, 2, batch.model);
  writeNumber(writer, 3, batch.version);
  writeText(writer, 4, batch.arm);
  batch.predictionIds.writeTo(writer);
  if (rows > 0) {
    writer.tag(6, DELIMITED);
    writeTimes(writer, batch.predictedAtMs, rows);
    writer.tag(7, DELIMITED);
    writer.packedFloats(batch.scores, 0, rows);
    writer.tag(8, DELIMITED);
    writer.uint32(rows);
    writer.raw(batch.labels, 0, rows);
  }
  for (const column of batch.columns) writeColumn(writer, column, rows);
  batch.entities?.writeTo(writer);
  if (batch.stale && rows > 0) {
    writer.tag(11, DELIMITED);
    writer.uint32(rows);
    writer.raw(batch.stale, 0, rows);
  }
  writer.tag(12, DELIMITED);
  const account = writer.begin(32);
  writeNumber(writer, 1, batch.account.answered);
  writeNumber(writer, 2, batch.account.logged);
  writeNumber(writer, 3, batch.account.sampledOut);
  writeNumber(writer, 4, batch.account.dropped);
  writer.end(account);
  writeText(writer, 13, batch.instance);
  batch.traceIds?.writeTo(writer);
  for (const { name, redaction, tokens } of batch.redacted) {
    writer.tag(15, DELIMITED);
    const mark = writer.begin(name.length + rows * 24 + 16);
    writeText(writer, 1, name);
    writeText(writer, 2, redaction);
    tokens?.writeTo(writer);
    writer.end(mark);
  }
  writeText(writer, 16, batch.entityRedaction);
}

function writeColumn(writer: ProtoWriter, column: PredictionColumn, rows: number): void {
  writer.tag(9, DELIMITED);
  const mark = writer.begin(column.name.length + rows * 4 + 16);
  writeText(writer, 1, column.name);
  if (rows > 0 && column.kind === 'numbers') {
    writer.tag(2, DELIMITED);
    writer.packedFloats(column.values, column.first, rows);
  }
  if (rows > 0 && column.kind === 'texts') {
    column.values.writeTo(writer);
    writer.tag(4, DELIMITED);
    writer.uint32(rows);
    writer.raw(column.missing, 0, rows);
  }
  writer.end(mark);
}

/** Rows of one turn have the same time: what was written for the one before is written again. */
function writeTimes(writer: ProtoWriter, times: Float64Array, rows: number): void {
  const mark = writer.begin(rows * 6);
  let [lastMs, from, to] = [Number.NaN, 0, 0];
  for (let i = 0; i < rows; i++) {
    const timeMs = times[i]!;
    const start = writer.pos;
    if (timeMs === lastMs) writer.raw(writer.bytes, from, to);
    else writer.int64(timeMs);
    [lastMs, from, to] = [timeMs, start, writer.pos];
  }
  writer.end(mark);
}

/** A batch as a consumer reads it. */
export interface PredictionsLoggedData {
  project: string;
  model: string;
  version: number;
  arm: string;
  instance: string;
  predictionIds: string[];
  predictedAtMs: number[];
  scores: number[];
  labels: number[];
  columns: LoggedColumnData[];
  entities: string[];
  stale: boolean[];
  traceIds: string[];
  account: PredictionAccount | undefined;
  redacted: RedactedColumn[];
  entityRedaction: string;
}

export interface LoggedColumnData {
  name: string;
  /** NaN = missing. */
  numbers: Float32Array;
  texts: string[];
  missing: boolean[];
}

export interface RedactedColumn {
  readonly name: string;
  /** omit | hash */
  readonly redaction: string;
  /** Of hash one for each row, '' = missing; else none. */
  readonly tokens: readonly string[];
}

/** @throws AppError REQUEST_INVALID on malformed bytes. */
export function decodePredictionsLogged(bytes: Uint8Array): PredictionsLoggedData {
  const reader = new ProtoReader(bytes);
  const batch: PredictionsLoggedData = {
    project: '',
    model: '',
    version: 0,
    arm: '',
    instance: '',
    predictionIds: [],
    predictedAtMs: [],
    scores: [],
    labels: [],
    columns: [],
    entities: [],
    stale: [],
    traceIds: [],
    account: undefined,
    redacted: [],
    entityRedaction: '',
  };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) readField(reader, tag, batch);
  return batch;
}

function readField(reader: ProtoReader, tag: number, batch: PredictionsLoggedData): void {
  switch (tag) {
    case (1 << 3) | DELIMITED:
      batch.project = reader.string();
      return;
    case (2 << 3) | DELIMITED:
      batch.model = reader.string();
      return;
    case (3 << 3) | VARINT:
      batch.version = reader.uint32();
      return;
    case (4 << 3) | DELIMITED:
      batch.arm = reader.string();
      return;
    case (5 << 3) | DELIMITED:
      batch.predictionIds.push(reader.string());
      return;
    case (6 << 3) | DELIMITED:
    case (6 << 3) | VARINT:
      readMany(reader, tag, () => batch.predictedAtMs.push(reader.int64Number()));
      return;
    case (7 << 3) | DELIMITED:
    case (7 << 3) | FIXED32:
      readMany(reader, tag, () => batch.scores.push(reader.float()));
      return;
    case (8 << 3) | DELIMITED:
    case (8 << 3) | VARINT:
      readMany(reader, tag, () => batch.labels.push(reader.int64Number()));
      return;
    case (9 << 3) | DELIMITED:
      batch.columns.push(readColumn(reader));
      return;
    case (10 << 3) | DELIMITED:
      batch.entities.push(reader.string());
      return;
    case (11 << 3) | DELIMITED:
    case (11 << 3) | VARINT:
      readMany(reader, tag, () => batch.stale.push(reader.bool()));
      return;
    case (12 << 3) | DELIMITED:
      batch.account = readAccount(reader, batch.account);
      return;
    case (13 << 3) | DELIMITED:
      batch.instance = reader.string();
      return;
    case (14 << 3) | DELIMITED:
      batch.traceIds.push(reader.string());
      return;
    case (15 << 3) | DELIMITED:
      batch.redacted.push(readRedacted(reader));
      return;
    case (16 << 3) | DELIMITED:
      batch.entityRedaction = reader.string();
      return;
    default:
      reader.skip(tag);
  }
}

function readColumn(reader: ProtoReader): LoggedColumnData {
  const column: LoggedColumnData = { name: '', numbers: new Float32Array(0), texts: [], missing: [] };
  const numbers: number[] = [];
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) column.name = reader.string();
    else if (tag === ((2 << 3) | DELIMITED) || tag === ((2 << 3) | FIXED32)) readMany(reader, tag, () => numbers.push(reader.float()));
    else if (tag === ((3 << 3) | DELIMITED)) column.texts.push(reader.string());
    else if (tag === ((4 << 3) | DELIMITED) || tag === ((4 << 3) | VARINT)) readMany(reader, tag, () => column.missing.push(reader.bool()));
    else reader.skip(tag);
  }
  reader.leave(outer);
  column.numbers = Float32Array.from(numbers);
  return column;
}

function readRedacted(reader: ProtoReader): RedactedColumn {
  let [name, redaction] = ['', ''];
  const tokens: string[] = [];
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) name = reader.string();
    else if (tag === ((2 << 3) | DELIMITED)) redaction = reader.string();
    else if (tag === ((3 << 3) | DELIMITED)) tokens.push(reader.string());
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { name, redaction, tokens };
}

/** A message field that comes twice is merged, as protobuf wants. */
function readAccount(reader: ProtoReader, old: PredictionAccount | undefined): PredictionAccount {
  const account = { answered: 0, logged: 0, sampledOut: 0, dropped: 0, ...old };
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | VARINT)) account.answered = reader.int64Number();
    else if (tag === ((2 << 3) | VARINT)) account.logged = reader.int64Number();
    else if (tag === ((3 << 3) | VARINT)) account.sampledOut = reader.int64Number();
    else if (tag === ((4 << 3) | VARINT)) account.dropped = reader.int64Number();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return account;
}

/** A packed list (delimited) or one item of an unpacked one. */
function readMany(reader: ProtoReader, tag: number, readOne: () => void): void {
  if ((tag & 7) !== DELIMITED) {
    readOne();
    return;
  }
  const outer = reader.enter();
  while (reader.pos < reader.end) readOne();
  reader.leave(outer);
}

function writeText(writer: ProtoWriter, field: number, value: string): void {
  if (value !== '') writeItem(writer, field, value);
}

function writeItem(writer: ProtoWriter, field: number, value: string): void {
  writer.tag(field, DELIMITED);
  writer.string(value);
}

function writeNumber(writer: ProtoWriter, field: number, value: number): void {
  if (value === 0) return;
  writer.tag(field, VARINT);
  writer.int64(value);
}
