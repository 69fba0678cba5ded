import { AppError } from '@headrace/base/errors';
import { splitReference } from '@headrace/definitions/reference';
import { quoteName, rowTable } from './identifier.js';
import { arrival, fieldOf, groupByView, instant, known, probe, refuseRepeats, type Knowledge } from './point-in-time-probe.js';
import type { Field, View } from './view.js';
import { describeWindows, isWindow, typeOf, windowJoinsOf, type WindowJoin } from './window-joins.js';

export interface TrainingSetRequest {
  readonly project: string;
  readonly labelView: string;
  readonly labelFeature: string;
  /** `view:feature`, in the order of the columns. */
  readonly features: readonly string[];
  /** Instead of `features`: the name of a feature service, resolved before the plan is made. */
  readonly featureService?: string | undefined;
  /** What the columns of the features are called; unset = `view__feature`. */
  readonly columnNames?: readonly string[] | undefined;
  /** Indices of `features`: the event time of the row that each comes from is given too, as `<source>_time`. */
  readonly timed?: readonly number[] | undefined;
  /** Further features of the label view, given as columns of these names behind the label. */
  readonly labelFields?: readonly string[] | undefined;
  /** Label rows with from <= event time < to. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Only rows that had arrived by then are seen; undefined = all. */
  readonly asOfMs: number | undefined;
}

/** What is kept of a snapshot, beside its bytes. */
export interface TrainingSetRecord {
  /** sha256 of the Parquet bytes. */
  readonly hash: string;
  readonly rows: number;
  readonly bytes: number;
  readonly columns: readonly string[];
  /** The statement that made it. */
  readonly query: string;
  /** View -> content hash of the definition it was read with. */
  readonly viewHashes: Readonly<Record<string, string>>;
}

export interface PlanColumn {
  /** In the Parquet file. */
  readonly name: string;
  readonly type: Field['type'];
  /** In the result of the statement. */
  readonly source: string;
  readonly nullable: boolean;
}

export interface PointInTimePlan {
  /** Complete in itself: no parameters, so the record of a version can be run again by hand. */
  readonly sql: string;
  readonly columns: readonly PlanColumn[];
  readonly viewHashes: Readonly<Record<string, string>>;
  readonly windowJoins: readonly WindowJoin[];
  readonly knowledge: Knowledge;
}

/** One training row for each label row: every feature as it was known to the world at the label's event time (`probe`). */
export function planPointInTime(request: TrainingSetRequest, find: (view: string) => View): PointInTimePlan {
  const label = find(request.labelView);
  const labelField = fieldOf(label, request.labelFeature);
  const stored = request.features.filter((reference) => !isWindow(reference, find));
  const timed = (request.timed ?? []).map((i) => stored.indexOf(request.features[i]!));
  const joins = groupByView(stored, find, timed);
  const windowJoins = windowJoinsOf(request.features, find);
  const knowledge: Knowledge = request.asOfMs === undefined ? { kind: 'all' } : { kind: 'asOf', ms: request.asOfMs };
  const columns: PlanColumn[] = label.joinKeys.map((name, i) => ({ name, type: 'string', source: keyColumn(label, i), nullable: false }));
  columns.push({ name: 'event_time', type: 'timestamp', source: '_event_time', nullable: false });
  const selected: string[] = [];
  for (const [i, reference] of request.features.entries()) {
    const { view, feature } = splitReference(reference);
    const join = joins.find((j) => j.view.name === view && j.features.includes(feature));
    if (join) {
      selected.push(`${join.alias}.${quoteName(feature)} AS c${i}`);
      if (request.timed?.includes(i)) selected.push(`${join.alias}._event_time AS c${i}_time`);
    }
    columns.push({
      name: request.columnNames?.[i] ?? `${view}__${feature}`,
      type: typeOf(find(view), feature),
      source: `c${i}`,
      nullable: true,
    });
  }
  columns.push({ name: 'label', type: labelField.type, source: 'label', nullable: false });
  const further = (request.labelFields ?? []).map((name, i) => ({ name, source: `l${i}`, type: fieldOf(label, name).type }));
  columns.push(...further.map((column) => ({ ...column, nullable: true })));
  selected.push(...further.map(({ source }) => `s.${source}`));
  refuseRepeats(columns);
  const keys = label.joinKeys.length > 1 ? label.joinKeys.map((_, i) => `s._key_${i}`) : [];
  const entities = windowJoins.map(({ view, entitySource }) => `${entityOf(view, label)} AS ${entitySource}`);
  const sql = [
    ...spine(label, labelField, request, knowledge),
    `SELECT ${['s._entity', ...keys, 's._event_time', ...selected, ...entities, 's.label'].join(', ')}`,
    'FROM spine s',
    ...joins.flatMap((join) => probe(join, entityOf(join.view, label), 's._event_time', knowledge)),
    'ORDER BY s._entity, s._event_time',
    ...windowJoins.flatMap(describeWindows),
  ].join('\n');
  const viewHashes = Object.fromEntries(
    [label, ...[...joins, ...windowJoins].map((j) => j.view)].map((view) => [view.name, view.contentHash]),
  );
  return { sql, columns, viewHashes, windowJoins, knowledge };
}

/** The label rows: of several for one entity and instant the newest arrival; one whose label is null was withdrawn. */
function spine(label: View, field: Field, { fromMs, toMs, labelFields = [] }: TrainingSetRequest, knowledge: Knowledge): string[] {
  const further = labelFields.map((name, i) => `, ${quoteName(name)} AS l${i}`).join('');
  const keys = label.joinKeys.length > 1 ? label.joinKeys.map((_, i) => `_key_${i}, `).join('') : '';
  return [
    'WITH spine AS (',
    '  SELECT * FROM (',
    `    SELECT DISTINCT ON (_entity, _event_time) _entity, ${keys}_event_time, ${quoteName(field.name)} AS label${further}`,
    `    FROM ${rowTable(label.id)}`,
    `    WHERE _event_time >= ${instant(fromMs)} AND _event_time < ${instant(toMs)}${known('', knowledge)}`,
    `    ORDER BY _entity, _event_time, ${arrival('', knowledge)} DESC, _content DESC`,
    '  ) newest WHERE label IS NOT NULL',
    ')',
  ];
}

/** The view's joined key, made from the label's keys: the view may know its entity by fewer keys, or by another order. */
function entityOf(view: View, label: View): string {
  if (view.joinKeys.join() === label.joinKeys.join()) return 's._entity';
  const columns = view.joinKeys.map((name) => {
    const i = label.joinKeys.indexOf(name);
    if (i < 0) {
      throw new AppError(
        'REQUEST_INVALID',
        `view ${view.name} is keyed by ${view.joinKeys.join(', ')}, but label view ${label.name} only has ${label.joinKeys.join(', ')}; they cannot be joined`,
      );
    }
    return keyColumn(label, i, 's.');
  });
  if (label.joinKeys.length === 1) return columns[0]!;
  // The escaping of joinEntityKey, in SQL.
  return columns.map((column) => String.raw`replace(replace(${column}, E'\\', E'\\\\'), '|', E'\\|')`).join(" || '|' || ");
}

function keyColumn(label: View, i: number, prefix = ''): string {
  return label.joinKeys.length > 1 ? `${prefix}_key_${i}` : `${prefix}_entity`;
}
