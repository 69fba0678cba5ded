import type { PredictionsLoggedData, RedactedColumn } from '@headrace/codec/predictions-logged';
import { MISSING } from '@headrace/stats/group-tally';
import { groupValueOf, REDACTED } from './group-counts.js';

/** `<redaction> <column>` -> predictions that came without the value; names come from the log, so a Map. */
export type RedactionCounts = Map<string, number>;

/** Adds the rows of a batch that are new. */
export function countRedacted(into: RedactionCounts, { redacted }: Pick<PredictionsLoggedData, 'redacted'>, rows: number): void {
  for (const column of redacted) add(into, `${hasTokens(column) ? 'hash' : 'omit'} ${column.name}`, rows);
}

export function mergeRedacted(into: RedactionCounts, more: Iterable<readonly [string, number]>): RedactionCounts {
  for (const [key, rows] of more) add(into, key, rows);
  return into;
}

export function listRedacted(counts: RedactionCounts): { column: string; redaction: string; predictions: number }[] {
  return [...counts].map(([key, predictions]) => {
    const space = key.indexOf(' ');
    return { column: key.slice(space + 1), redaction: key.slice(0, space), predictions };
  });
}

/** The group of a prediction by an attribute that the log does not show: its token, so that equal values stay together, or one that is never compared. */
export function redactedGroupOf(column: RedactedColumn, row: number): string {
  if (!hasTokens(column)) return REDACTED;
  const token = column.tokens[row]!;
  return token === '' ? MISSING : groupValueOf(`#${token}`);
}

const hasTokens = ({ tokens }: RedactedColumn): boolean => tokens.length > 0;

function add(counts: RedactionCounts, key: string, rows: number): void {
  counts.set(key, (counts.get(key) ?? 0) + rows);
}
