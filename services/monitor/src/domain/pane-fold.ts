import type { LoggedColumnData, PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import { ColumnSketch } from '@headrace/stats/histogram';
import { SCORE, type Baseline, type ReferenceColumn } from './baseline.js';
import { GroupCounts, splitGroups } from './group-counts.js';
import { cellOf } from './prediction-batch.js';
import { countRedacted, type RedactionCounts } from './redaction-counts.js';

/** What some predictions add to one pane. Mergeable in any order. */
export interface PaneDelta {
  predictions: number;
  /** By column name; the score under `SCORE_KEY`. */
  readonly sketches: Map<string, ColumnSketch>;
  readonly groups: GroupCounts;
  readonly redacted: RedactionCounts;
}

/** Key of the score's sketch in a pane: not a legal feature name, so that a feature called `score` cannot meet it. */
export const SCORE_KEY = `:${SCORE}`;

export function emptyDelta(): PaneDelta {
  return { predictions: 0, sketches: new Map(), groups: new GroupCounts(), redacted: new Map() };
}

/** The rows of one batch that are new, each with its pane and its groups (joined). */
export interface NewRows {
  readonly rows: readonly number[];
  readonly paneStartMs: ArrayLike<number>;
  readonly groups: readonly string[];
}

/** Counts the new rows of a batch into the deltas of their panes. */
export function foldRows(
  into: Map<number, PaneDelta>,
  batch: PredictionsLoggedData,
  fresh: NewRows,
  baseline: Baseline,
  attributes: readonly string[],
): void {
  for (const [paneStartMs, rows] of rowsByPane(fresh)) {
    let delta = into.get(paneStartMs);
    if (!delta) into.set(paneStartMs, (delta = emptyDelta()));
    delta.predictions += rows.length;
    countRedacted(delta.redacted, batch, rows.length);
    for (const row of rows) delta.groups.count(attributes, splitGroups(fresh.groups[row]!), batch.labels[row] === 1, undefined);
    for (const column of batch.columns) {
      const reference = baseline.features.get(column.name);
      if (reference) sketchColumn(sketchOf(delta, column.name, reference), column, rows, batch.predictionIds.length);
    }
    if (baseline.score) sketchNumbers(sketchOf(delta, SCORE_KEY, baseline.score), Float32Array.from(batch.scores), rows);
  }
}

/** The layout under which a stored sketch was made. */
export function referenceOf(baseline: Baseline, key: string): ReferenceColumn | undefined {
  return key === SCORE_KEY ? baseline.score : baseline.features.get(key);
}

function rowsByPane({ rows, paneStartMs }: NewRows): Map<number, number[]> {
  const panes = new Map<number, number[]>();
  for (const row of rows) {
    const start = paneStartMs[row]!;
    const list = panes.get(start);
    if (list) list.push(row);
    else panes.set(start, [row]);
  }
  return panes;
}

function sketchOf(delta: PaneDelta, key: string, reference: ReferenceColumn): ColumnSketch {
  let sketch = delta.sketches.get(key);
  if (!sketch) delta.sketches.set(key, (sketch = new ColumnSketch(reference.layout)));
  return sketch;
}

function sketchColumn(sketch: ColumnSketch, column: LoggedColumnData, rows: readonly number[], batchRows: number): void {
  if (sketch.layout.kind === 'numeric' && column.numbers.length === batchRows && column.missing.length === 0)
    return sketchNumbers(sketch, column.numbers, rows);
  for (const row of rows) {
    const value = cellOf(column, row);
    sketch.add(value === '' ? undefined : value);
  }
}

function sketchNumbers(sketch: ColumnSketch, values: Float32Array, rows: readonly number[]): void {
  sketch.addAll(rows.length === values.length ? values : Float32Array.from(rows, (row) => values[row]!));
}
