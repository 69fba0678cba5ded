import type { InputPlan } from './input-plan.js';

/**
 * Values of some rows, laid out as the model wants them: one row-major matrix of float32 (NaN = missing), a list for each
 * string input ('' = missing), and the extras for the log. Made once per batch lane or per large request, never per row.
 */
export class FeatureBlock {
  readonly width: number;
  readonly numbers: Float32Array;
  readonly texts: string[][];
  readonly extraWidth: number;
  readonly extraNumbers: Float32Array;
  readonly extraTexts: string[][];

  constructor(
    readonly plan: InputPlan,
    readonly capacity: number,
  ) {
    this.width = plan.numbers.length;
    this.extraWidth = plan.extraNumbers.length;
    this.numbers = new Float32Array(capacity * this.width);
    this.extraNumbers = new Float32Array(capacity * this.extraWidth);
    this.texts = plan.texts.map(() => new Array<string>(capacity).fill(''));
    this.extraTexts = plan.extraTexts.map(() => new Array<string>(capacity).fill(''));
  }

  /** Marks every value of the rows as missing. */
  clear(from: number, rows: number): void {
    this.numbers.fill(Number.NaN, from * this.width, (from + rows) * this.width);
    this.clearBeside(from, rows);
  }

  /** As `clear`, for rows whose matrix is about to be written whole. */
  clearBeside(from: number, rows: number): void {
    if (this.extraWidth > 0) this.extraNumbers.fill(Number.NaN, from * this.extraWidth, (from + rows) * this.extraWidth);
    for (const column of this.texts) column.fill('', from, from + rows);
    for (const column of this.extraTexts) column.fill('', from, from + rows);
  }

  copyFrom(source: FeatureBlock, sourceRow: number, targetRow: number, rows: number): void {
    copyRows(source.numbers, sourceRow, this.numbers, targetRow, rows, this.width);
    copyRows(source.extraNumbers, sourceRow, this.extraNumbers, targetRow, rows, this.extraWidth);
    copyTexts(source.texts, sourceRow, this.texts, targetRow, rows);
    copyTexts(source.extraTexts, sourceRow, this.extraTexts, targetRow, rows);
  }
}

/** A loop, because `subarray` + `set` allocates a view and most calls copy one row. */
function copyRows(source: Float32Array, sourceRow: number, target: Float32Array, targetRow: number, rows: number, width: number): void {
  const shift = (targetRow - sourceRow) * width;
  const end = (sourceRow + rows) * width;
  for (let i = sourceRow * width; i < end; i++) target[i + shift] = source[i]!;
}

function copyTexts(source: readonly string[][], sourceRow: number, target: string[][], targetRow: number, rows: number): void {
  for (let column = 0; column < source.length; column++) {
    for (let i = 0; i < rows; i++) target[column]![targetRow + i] = source[column]![sourceRow + i]!;
  }
}
