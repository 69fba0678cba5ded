import { AppError } from '@headrace/base/errors';
import { splitReference } from '@headrace/definitions/reference';
import { rowTable } from './identifier.js';
import { fieldOf } from './point-in-time-probe.js';
import type { Field, View } from './view.js';

/** Windows of one view, to be filled into each row as of its event time: see io/window-history.ts. */
export interface WindowJoin {
  readonly view: View;
  /** In the result of the statement: the joined key of the view's entity. */
  readonly entitySource: string;
  /** `feature` is an index into the features of the view's window plan. */
  readonly features: readonly { readonly feature: number; readonly source: string }[];
}

/** The windows among the references, one element for each view. Reference i fills column `c<i>`. @throws AppError VIEW_UNKNOWN, REQUEST_INVALID */
export function windowJoinsOf(references: readonly string[], find: (view: string) => View): WindowJoin[] {
  const joins = new Map<string, { view: View; entitySource: string; features: { feature: number; source: string }[] }>();
  for (const [i, reference] of references.entries()) {
    if (!isWindow(reference, find)) continue;
    const name = splitReference(reference);
    const view = find(name.view);
    if (view.spec.labels)
      throw new AppError('REQUEST_INVALID', `view ${view.name} holds labels, and a model must not see the answer; ask for other features`);
    const join = joins.get(name.view) ?? { view, entitySource: `w${joins.size}`, features: [] };
    join.features.push({ feature: view.windows!.indexOf.get(name.feature)!, source: `c${i}` });
    joins.set(name.view, join);
  }
  return [...joins.values()];
}

export function isWindow(reference: string, find: (view: string) => View): boolean {
  const { view, feature } = splitReference(reference);
  return find(view).windows?.indexOf.has(feature) === true;
}

/** Of a stored feature or of a window. @throws AppError REQUEST_INVALID */
export function typeOf(view: View, feature: string): Field['type'] {
  const window = view.windows?.indexOf.get(feature);
  return window === undefined ? fieldOf(view, feature).type : view.aggregations[window]!.type;
}

/** For the record: what the statement alone does not say. */
export function describeWindows({ view, entitySource, features }: WindowJoin): string[] {
  const table = rowTable(view.id);
  return features.map(({ feature, source }) => {
    const { name, function: of, column, windowMs } = view.aggregations[feature]!;
    return `-- ${source} is ${view.name}:${name}: ${of}(${column ?? '*'}) over ${windowMs} ms of ${table} of entity ${entitySource} up to s._event_time, by libs/windows`;
  });
}
