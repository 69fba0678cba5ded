import type { ErrorCode } from '@headrace/base/errors';
import { NAME_PATTERN } from '@headrace/base/ids';
import type { LoggedColumnData, PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import { FUTURE_SKEW_MS } from './windows.js';

export interface BatchFault {
  readonly code: ErrorCode;
  readonly reason: string;
}

export const PREDICTION_ID_LENGTH_MAX = 200;

/** Why a log batch cannot be trusted, or undefined. A batch with one crooked list is refused whole: which row is which is then unknown. */
export function faultOf(batch: PredictionsLoggedData, nowMs: number): BatchFault | undefined {
  const malformed = (reason: string): BatchFault => ({
    code: 'EVENT_MALFORMED',
    reason: `prediction log of ${batch.model.slice(0, 80)}/${batch.version}: ${reason}`,
  });
  if (!NAME_PATTERN.test(batch.project)) return malformed('`project` is not a name');
  if (!NAME_PATTERN.test(batch.model)) return malformed('`model` is not a name');
  if (batch.version < 1 || batch.version > 2_147_483_647) return malformed('`version` must be a whole number from 1');
  const rows = batch.predictionIds.length;
  const crooked = crookedList(batch, rows);
  if (crooked) return malformed(crooked);
  for (let i = 0; i < rows; i++) {
    const id = batch.predictionIds[i]!;
    if (id === '' || id.length > PREDICTION_ID_LENGTH_MAX || id.includes('\u0000'))
      return malformed(`row ${i} needs a prediction id of 1 to ${PREDICTION_ID_LENGTH_MAX} characters`);
    const label = batch.labels[i]!;
    if (label !== 0 && label !== 1) return malformed(`row ${i} answers the label ${label}; a binary model answers 0 or 1`);
    const atMs = batch.predictedAtMs[i]!;
    if (!(atMs > 0)) return malformed(`row ${i} has no time of prediction`);
    if (atMs > nowMs + FUTURE_SKEW_MS)
      return {
        code: 'ROW_FUTURE_DATED',
        reason: `row ${i} was predicted at ${new Date(atMs).toISOString()}, more than ${FUTURE_SKEW_MS / 1000} s ahead of this clock`,
      };
  }
  return undefined;
}

/** All lists of rows run parallel; optional ones are empty or full. */
function crookedList(batch: PredictionsLoggedData, rows: number): string | undefined {
  const differs = (name: string, length: number): string => `\`${name}\` has ${length} entries for ${rows} prediction ids`;
  for (const name of ['predictedAtMs', 'scores', 'labels'] as const)
    if (batch[name].length !== rows) return differs(name, batch[name].length);
  for (const name of ['entities', 'stale', 'traceIds'] as const)
    if (batch[name].length !== 0 && batch[name].length !== rows) return differs(name, batch[name].length);
  const names = new Set<string>();
  for (const { name, tokens } of batch.redacted) {
    if (names.has(name)) return `column ${name.slice(0, 80)} is redacted twice`;
    names.add(name);
    if (tokens.length !== 0 && tokens.length !== rows) return differs(`tokens of ${name.slice(0, 80)}`, tokens.length);
  }
  for (const column of batch.columns) {
    if (names.has(column.name)) return `column ${column.name.slice(0, 80)} comes twice`;
    names.add(column.name);
    const { numbers, texts, missing } = column;
    const isNumbers = numbers.length === rows && texts.length === 0 && (missing.length === 0 || missing.length === rows);
    const isTexts = texts.length === rows && numbers.length === 0 && (missing.length === 0 || missing.length === rows);
    if (!isNumbers && !isTexts)
      return `column ${column.name.slice(0, 80)} has ${numbers.length} numbers, ${texts.length} texts and ${missing.length} missing flags for ${rows} prediction ids`;
  }
  return undefined;
}

/** One cell of a column that passed `faultOf`; undefined = missing. */
export function cellOf(column: LoggedColumnData, row: number): number | string | undefined {
  if (column.missing[row] === true) return undefined;
  return column.numbers.length > 0 ? column.numbers[row] : column.texts[row];
}
