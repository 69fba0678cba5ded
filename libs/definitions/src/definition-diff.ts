import { canonicalJson } from '@headrace/base/canonical-json';

/** One difference between two specs. A list of named things is compared by name, so that an order alone is no difference of its members. */
export interface FieldDifference {
  /** Such as `features.age.max`. */
  readonly path: string;
  /** JSON; empty = it was not there. */
  readonly before: string;
  /** JSON; empty = it is gone. */
  readonly after: string;
}

/** What changes from one spec to the other, in the order of their keys; without `before`, nothing. */
export function diffSpecs(before: unknown, after: unknown): FieldDifference[] {
  const differences: FieldDifference[] = [];
  compare('', before, after, differences);
  return differences;
}

function compare(path: string, before: unknown, after: unknown, into: FieldDifference[]): void {
  if (canonicalJson(before) === canonicalJson(after)) return;
  const [a, b] = [entriesOf(before), entriesOf(after)];
  if (!a || !b) {
    into.push({ path, before: text(before), after: text(after) });
    return;
  }
  const differing = into.length;
  for (const key of new Set([...a.keys(), ...b.keys()])) compare(path === '' ? key : `${path}.${key}`, a.get(key), b.get(key), into);
  // The same members in another order.
  if (into.length === differing) into.push({ path, before: text([...a.keys()]), after: text([...b.keys()]) });
}

/** Members of an object by key, or of a list whose members all have a name of their own. */
function entriesOf(value: unknown): Map<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value).filter(([, member]) => member !== undefined));
  const named = value.map((member: unknown) => [(member as { name?: unknown } | null)?.name, member] as const);
  const names = new Set(named.map(([name]) => name));
  return value.length > 0 && names.size === value.length && named.every(([name]) => typeof name === 'string')
    ? new Map(named as [string, unknown][])
    : undefined;
}

function text(value: unknown): string {
  return value === undefined ? '' : canonicalJson(value);
}
