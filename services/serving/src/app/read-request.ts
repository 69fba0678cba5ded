import { AppError } from '@headrace/base/errors';
import type { PredictRequestView } from '@headrace/codec/predict-request';
import type { NamedColumnData } from '@headrace/codec/predict-column';
import { FeatureBlock } from '@headrace/executor/feature-block';
import type { InputPlan } from '@headrace/executor/input-plan';
import { checkOutputs } from '../domain/predict-outputs.js';
import { nameOf } from '../domain/version-description.js';
import type { ColumnValues, PredictJob, ServedModel } from '../domain/predict-job.js';

/** More rows in one request belong into several, or into a batch run. */
export const REQUEST_ROWS_MAX = 10_000;

/**
 * How many rows a request has; all its forms must say the same. @throws AppError INPUT_INVALID for none, too many, or a shape
 * that does not fit the signature.
 */
export function countRows(view: PredictRequestView, model: ServedModel): number {
  const { plan, isPredictable } = model.parts;
  if (!isPredictable)
    throw new AppError('INPUT_INVALID', `${nameOf(model)} has no features, it takes tensors: ask it by the Open Inference Protocol`);
  const width = plan.numbers.length;
  let rows = view.entityCount;
  if (view.denseCount > 0) {
    const denseRows = view.denseCount / width;
    if (!Number.isInteger(denseRows))
      throw new AppError(
        'INPUT_INVALID',
        `${nameOf(model)} has ${width} numeric features; ${view.denseCount} dense values are no whole number of rows`,
      );
    if (rows > 0 && denseRows !== rows) throw new AppError('INPUT_INVALID', `the request has ${denseRows} dense rows and ${rows} entities`);
    rows = denseRows;
  }
  if (rows > REQUEST_ROWS_MAX) throw tooMany(rows);
  return rows;
}

/** Floats straight to where the model reads them. @throws AppError INPUT_INVALID on an infinity; NaN is a missing value. */
export function copyDense(view: PredictRequestView, model: ServedModel, target: Float32Array, at: number): void {
  view.copyDense(target, at);
  const end = at + view.denseCount;
  for (let i = at; i < end; i++) {
    const value = target[i]!;
    // Only infinities differ from themselves by NaN without being NaN.
    if (value - value !== 0 && value === value) {
      const { numbers } = model.parts.plan;
      throw new AppError(
        'INPUT_INVALID',
        `row ${Math.floor((i - at) / numbers.length)}: ${numbers[(i - at) % numbers.length]!.name} is infinite; send NaN for a missing value`,
      );
    }
  }
}

/** Reads a request that is not simply dense rows into memory of its own. @throws AppError INPUT_INVALID */
export function readIntoBlock(view: PredictRequestView, model: ServedModel, job: PredictJob): void {
  const { plan, lookup } = model.parts;
  const named = view.columnCount > 0 ? view.readColumns() : [];
  const rows = job.rows > 0 ? job.rows : lengthOf(named[0]);
  if (rows === 0)
    throw new AppError('INPUT_INVALID', `the request for ${nameOf(model)} has no rows: send dense values, columns or entities`);
  if (rows > REQUEST_ROWS_MAX) throw tooMany(rows);
  const columns = named.map((column) => checkColumn(column, rows, plan, nameOf(model)));
  const isAsked = view.entityCount > 0;
  if (isAsked && !lookup) throw new AppError('INPUT_INVALID', `${nameOf(model)} has no entity; send dense values or columns`);
  if (!isAsked) refuseAbsent(columns, plan, view.denseCount > 0, nameOf(model));
  job.rows = rows;
  job.columns = columns;
  job.loaded = model;
  job.block = new FeatureBlock(plan, rows);
  if (view.denseCount > 0) {
    job.dense = new Float32Array(view.denseCount);
    copyDense(view, model, job.dense, 0);
  }
  if (isAsked) job.entities = view.readEntities();
  // A shadow's scores are compared, and nothing else of it.
  if (view.outputCount > 0 && !job.isShadow) job.outputs = checkOutputs(view.readOutputs(), model.parts.tensors.outputs, nameOf(model));
  clearBlock(job);
}

/** What an entity's features are before they are looked up: missing, or the defaults of the model. */
export function clearBlock({ block, rows, entities, loaded }: PredictJob): void {
  block!.clear(0, rows);
  if (!entities) return;
  for (const { slot, value } of loaded.parts.defaults) {
    if (typeof value === 'string') block!.texts[slot.at]!.fill(value, 0, rows);
    else for (let row = 0; row < rows; row++) block!.numbers[row * block!.width + slot.at] = value;
  }
}

/** Looked-up values stand in the block already: what the request says itself goes over them. */
export function overlay(job: PredictJob): void {
  const block = job.block!;
  if (job.dense) block.numbers.set(job.dense);
  for (const { slot, numbers, texts } of job.columns) {
    if (texts) {
      const target = (slot.kind === 'text' ? block.texts : block.extraTexts)[slot.at]!;
      for (let row = 0; row < job.rows; row++) target[row] = texts[row]!;
    } else {
      const [target, width] = slot.kind === 'number' ? [block.numbers, block.width] : [block.extraNumbers, block.extraWidth];
      for (let row = 0; row < job.rows; row++) target[row * width + slot.at] = numbers![row]!;
    }
  }
}

function checkColumn(column: NamedColumnData, rows: number, plan: InputPlan, name: string): ColumnValues {
  const slot = plan.byName.get(column.name);
  if (!slot)
    throw new AppError(
      'INPUT_INVALID',
      `${name} has no column ${JSON.stringify(column.name)}; it has ${[...plan.byName.keys()].join(', ')}`,
      { details: { column: column.name } },
    );
  const lists = [column.floats, column.ints, column.strings].filter((list) => list.length > 0);
  if (lists.length > 1)
    throw new AppError('INPUT_INVALID', `column ${column.name} has values in more than one of floats, ints and strings`);
  const length = lists[0]?.length ?? 0;
  if (length !== rows) throw new AppError('INPUT_INVALID', `column ${column.name} has ${length} values for ${rows} row(s)`);
  const isText = slot.type === 'string';
  if (isText !== column.strings.length > 0)
    throw new AppError(
      'INPUT_INVALID',
      `column ${column.name} is ${slot.type}; it was sent as ${column.strings.length > 0 ? 'strings' : 'numbers'}`,
    );
  if (isText) return { slot, numbers: undefined, texts: column.strings };
  const infinite = column.floats.findIndex((value) => Math.abs(value) === Infinity);
  if (infinite >= 0) throw new AppError('INPUT_INVALID', `row ${infinite}: ${column.name} is infinite; send NaN for a missing value`);
  return { slot, numbers: column.floats.length > 0 ? column.floats : column.ints, texts: undefined };
}

/** Without an entity nobody else can give a feature, and a forgotten column must not become a silent missing value. */
function refuseAbsent(columns: readonly ColumnValues[], plan: InputPlan, hasDense: boolean, name: string): void {
  const given = new Set(columns.map((column) => column.slot));
  const absent = [...(hasDense ? [] : plan.numbers), ...plan.texts].filter((slot) => !given.has(slot));
  if (absent.length > 0)
    throw new AppError(
      'INPUT_INVALID',
      `${name} needs ${absent.map((s) => s.name).join(', ')}; send them as columns (NaN or '' for a missing value), or ask by entity`,
    );
}

function lengthOf(column: NamedColumnData | undefined): number {
  return column ? Math.max(column.floats.length, column.ints.length, column.strings.length) : 0;
}

function tooMany(rows: number): AppError {
  return new AppError('INPUT_INVALID', `${rows} rows in one request; at most ${REQUEST_ROWS_MAX} are taken, split it`);
}
