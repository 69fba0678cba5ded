import { AppError } from '@headrace/base/errors';
import { FeatureBlock } from './feature-block.js';
import { parseGoldenRows } from './golden-rows.js';
import { compileInputPlan, type ColumnSlot, type SignatureInput } from './input-plan.js';
import { openModel, refuseBadOnnx } from './open-model.js';

/** Rows of one run; the default of serving, so that offline scores come from runs of the same shapes. */
const BATCH_ROWS = 128;

export interface ScorerModel {
  /** `model/version`, for messages. */
  readonly name: string;
  /** The artefact; its hash has been checked by whoever fetched it. */
  readonly bytes: Uint8Array;
  readonly signature: { readonly features: readonly SignatureInput[]; readonly threshold: number };
  /** As the registry keeps them. */
  readonly golden: unknown;
}

/** Values of one feature, row by row; null and NaN = missing. */
export type TableColumn = ArrayLike<number | bigint | boolean | string | null>;

export interface TableScorer {
  /**
   * Scores of the positive class, bit for bit what serving answers for the same rows. A row for which the model gives no number is NaN.
   * @throws AppError INPUT_INVALID when a feature is missing, has another length, or the wrong type.
   */
  score(columns: Readonly<Record<string, TableColumn>>): Promise<Float32Array>;
  release(): void;
}

/** Offline scoring by the very session, input plan and checks that answer requests. @throws AppError ARTIFACT_REFUSED, MODEL_LOAD_FAILED */
export async function openTableScorer({ name, bytes, signature, golden }: ScorerModel, batchRowsMax = BATCH_ROWS): Promise<TableScorer> {
  const plan = compileInputPlan(signature.features, []);
  refuseBadOnnx(bytes, name);
  const threshold = Math.fround(signature.threshold);
  const session = await openModel({ name, bytes, plan, golden: parseGoldenRows(golden, name), threshold, batchRowsMax });
  const block = new FeatureBlock(plan, batchRowsMax);
  const slots = [...plan.numbers, ...plan.texts];
  return {
    score: async (columns) => {
      const total = rowsOf(columns, slots, name);
      const scores = new Float32Array(total);
      for (let from = 0; from < total; from += batchRowsMax) {
        const rows = Math.min(batchRowsMax, total - from);
        for (const slot of slots) fill(slot, columns[slot.name]!, from, rows, block);
        const answer = session.run(block, 0, rows);
        // Not awaited when it is there: the session's memory is good only until its next run.
        scores.set((answer instanceof Promise ? await answer : answer).subarray(0, rows), from);
      }
      return scores;
    },
    release: () => session.release(),
  };
}

function rowsOf(columns: Readonly<Record<string, TableColumn>>, slots: readonly ColumnSlot[], name: string): number {
  let rows: number | undefined;
  for (const slot of slots) {
    const column = Object.hasOwn(columns, slot.name) ? columns[slot.name] : undefined;
    if (!column) throw new AppError('INPUT_INVALID', `${name} needs the column ${slot.name}, which the table does not have`);
    rows ??= column.length;
    if (column.length !== rows)
      throw new AppError('INPUT_INVALID', `column ${slot.name} has ${column.length} rows where others have ${rows}`);
  }
  return rows ?? 0;
}

function fill(slot: ColumnSlot, column: TableColumn, from: number, rows: number, block: FeatureBlock): void {
  for (let row = 0; row < rows; row++) {
    const value = column[from + row] ?? null;
    const isText = typeof value === 'string';
    if (value !== null && isText !== (slot.kind === 'text'))
      throw new AppError('INPUT_INVALID', `row ${from + row} has ${JSON.stringify(String(value))} for ${slot.name}, which is ${slot.type}`);
    if (slot.kind === 'text') block.texts[slot.at]![row] = isText ? value : '';
    else block.numbers[row * block.width + slot.at] = value === null ? Number.NaN : Number(value);
  }
}
