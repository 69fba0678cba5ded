import type { Confusion } from '@headrace/stats/confusion';
import { ColumnSketch } from '@headrace/stats/histogram';
import type { Tx } from '@headrace/platform/postgres/postgres';
import type { Baseline } from '../domain/baseline.js';
import { GroupCounts } from '../domain/group-counts.js';
import { referenceOf, type PaneDelta } from '../domain/pane-fold.js';
import { mergeRedacted, type RedactionCounts } from '../domain/redaction-counts.js';
import type { Span } from '../domain/windows.js';

interface PaneKey {
  readonly project: string;
  readonly versionId: number;
}

/** Adds sketches to their panes. Read, merge, write under the row's lock; panes in one order, so that two writers cannot deadlock. */
export async function addToPanes(
  tx: Tx,
  { project, versionId }: PaneKey,
  deltas: ReadonlyMap<number, PaneDelta>,
  baseline: Baseline,
): Promise<void> {
  const starts = [...deltas.keys()].sort((a, b) => a - b);
  await tx.execute(
    `INSERT INTO pane (version_id, project, pane_start_ms, predictions, sketches) SELECT $1, $2, start, 0, '{}' FROM unnest($3::bigint[]) AS s (start) ON CONFLICT DO NOTHING`,
    [versionId, project, starts],
  );
  const rows = await tx.query<{ pane_start_ms: number; sketches: StoredSketches; redacted: StoredCounts }>(
    'SELECT pane_start_ms, sketches, redacted FROM pane WHERE version_id = $1 AND pane_start_ms = ANY ($2::bigint[]) ORDER BY pane_start_ms FOR UPDATE',
    [versionId, starts],
  );
  const merged = rows.map((row) => JSON.stringify(mergedSketches(row.sketches, deltas.get(row.pane_start_ms)!, baseline)));
  const redacted = rows.map((row) =>
    JSON.stringify(Object.fromEntries(mergeRedacted(new Map(Object.entries(row.redacted)), deltas.get(row.pane_start_ms)!.redacted))),
  );
  await tx.execute(
    `UPDATE pane p SET predictions = p.predictions + n.predictions, sketches = n.sketches, redacted = n.redacted
     FROM unnest($2::bigint[], $3::bigint[], $4::jsonb[], $5::jsonb[]) AS n (pane_start_ms, predictions, sketches, redacted)
     WHERE p.version_id = $1 AND p.pane_start_ms = n.pane_start_ms`,
    [versionId, starts, starts.map((start) => deltas.get(start)!.predictions), merged, redacted],
  );
}

/** What `ColumnSketch.toJSON` writes, by column. */
type StoredSketches = Readonly<Record<string, unknown>>;
/** `RedactionCounts` as an object. */
type StoredCounts = Readonly<Record<string, number>>;

function mergedSketches(stored: StoredSketches, delta: PaneDelta, baseline: Baseline): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...stored };
  for (const [key, sketch] of delta.sketches) {
    const old = stored[key];
    merged[key] = old === undefined ? sketch : ColumnSketch.fromJSON(referenceOf(baseline, key)!.layout, old).merge(sketch);
  }
  return merged;
}

/** Adds group counts (also negative ones) to their panes, all in one statement and one order. */
export async function addToGroups(tx: Tx, { project, versionId }: PaneKey, deltas: ReadonlyMap<number, GroupCounts>): Promise<void> {
  const rows = [...deltas].flatMap(([paneStartMs, counts]) => [...counts.rows()].map((row) => ({ paneStartMs, ...row })));
  const order = (row: (typeof rows)[number]): string =>
    `${row.attribute}\u0000${row.group}\u0000${String(row.paneStartMs).padStart(16, '0')}`;
  rows.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const counts = (field: keyof Confusion): number[] => rows.map((row) => row.counts[field]);
  await tx.execute(
    `INSERT INTO pane_group AS g (version_id, project, attribute, group_value, pane_start_ms, tp, fp, tn, fn, unlabelled_selected, unlabelled_rejected)
     SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
     ON CONFLICT (version_id, attribute, group_value, pane_start_ms) DO UPDATE SET
       tp = g.tp + EXCLUDED.tp, fp = g.fp + EXCLUDED.fp, tn = g.tn + EXCLUDED.tn, fn = g.fn + EXCLUDED.fn,
       unlabelled_selected = g.unlabelled_selected + EXCLUDED.unlabelled_selected, unlabelled_rejected = g.unlabelled_rejected + EXCLUDED.unlabelled_rejected`,
    [
      versionId,
      project,
      rows.map((row) => row.attribute),
      rows.map((row) => row.group),
      rows.map((row) => row.paneStartMs),
      counts('tp'),
      counts('fp'),
      counts('tn'),
      counts('fn'),
      counts('unlabelledSelected'),
      counts('unlabelledRejected'),
    ],
  );
}

/** Group names that an attribute has already, per attribute. */
export async function knownGroups(tx: Tx, versionId: number): Promise<Map<string, Set<string>>> {
  const rows = await tx.query<{ attribute: string; group_value: string }>(
    'SELECT DISTINCT attribute, group_value FROM pane_group WHERE version_id = $1',
    [versionId],
  );
  const known = new Map<string, Set<string>>();
  for (const { attribute, group_value } of rows) known.set(attribute, (known.get(attribute) ?? new Set()).add(group_value));
  return known;
}

/** Start of the newest pane with predictions, or with labels; undefined when there is none. */
export async function newestPane(tx: Tx, versionId: number, having: 'predictions' | 'labels'): Promise<number | undefined> {
  const sql =
    having === 'predictions'
      ? 'SELECT pane_start_ms FROM pane WHERE version_id = $1 ORDER BY pane_start_ms DESC LIMIT 1'
      : `SELECT pane_start_ms FROM pane_group WHERE version_id = $1 AND attribute = '' AND group_value = '' AND tp + fp + tn + fn > 0 ORDER BY pane_start_ms DESC LIMIT 1`;
  return (await tx.query<{ pane_start_ms: number }>(sql, [versionId]))[0]?.pane_start_ms;
}

/** Counts of several versions over the panes that begin in the span, summed by Postgres. */
export async function readGroups(tx: Tx, versionIds: readonly number[], span: Span): Promise<GroupCounts> {
  const rows = await tx.query<{
    attribute: string;
    group_value: string;
    tp: number;
    fp: number;
    tn: number;
    fn: number;
    us: number;
    ur: number;
  }>(
    `SELECT attribute, group_value, sum(tp) AS tp, sum(fp) AS fp, sum(tn) AS tn, sum(fn) AS fn, sum(unlabelled_selected) AS us, sum(unlabelled_rejected) AS ur
     FROM pane_group WHERE version_id = ANY ($1::int[]) AND pane_start_ms >= $2 AND pane_start_ms < $3 GROUP BY 1, 2 ORDER BY 1, 2`,
    [versionIds, span.fromMs, span.toMs],
  );
  const counts = new GroupCounts();
  for (const { attribute, group_value, tp, fp, tn, fn, us, ur } of rows)
    counts.add(attribute, group_value, { tp, fp, tn, fn, unlabelledSelected: us, unlabelledRejected: ur });
  return counts;
}

/** Panes read at a time; some 20 kB each. */
const PANES_PER_FETCH = 200;

/** Sketches of one version over a span, merged. @param panesMax newest ones only, so that a report of a year stays bounded */
export async function readSketches(
  tx: Tx,
  versionId: number,
  span: Span,
  baseline: Baseline,
  panesMax: number,
): Promise<{ readonly predictions: number; readonly sketches: Map<string, ColumnSketch>; readonly redacted: RedactionCounts }> {
  const sketches = new Map<string, ColumnSketch>();
  const redacted: RedactionCounts = new Map();
  let predictions = 0;
  for (let toMs = span.toMs, left = panesMax; left > 0;) {
    const rows = await tx.query<{ pane_start_ms: number; predictions: number; sketches: StoredSketches; redacted: StoredCounts }>(
      'SELECT pane_start_ms, predictions, sketches, redacted FROM pane WHERE version_id = $1 AND pane_start_ms >= $2 AND pane_start_ms < $3 ORDER BY pane_start_ms DESC LIMIT $4',
      [versionId, span.fromMs, toMs, Math.min(left, PANES_PER_FETCH)],
    );
    for (const row of rows) {
      predictions += row.predictions;
      mergeRedacted(redacted, Object.entries(row.redacted));
      for (const [key, json] of Object.entries(row.sketches)) mergeStored(sketches, key, json, baseline);
    }
    left -= rows.length;
    if (rows.length < PANES_PER_FETCH) break;
    toMs = rows.at(-1)!.pane_start_ms;
  }
  return { predictions, sketches, redacted };
}

function mergeStored(into: Map<string, ColumnSketch>, key: string, json: unknown, baseline: Baseline): void {
  const reference = referenceOf(baseline, key);
  if (!reference) return;
  const sketch = ColumnSketch.fromJSON(reference.layout, json);
  const merged = into.get(key);
  if (merged) merged.merge(sketch);
  else into.set(key, sketch);
}
