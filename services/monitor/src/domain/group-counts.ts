import { countDecision, emptyConfusion, mergeConfusion, type Confusion } from '@headrace/stats/confusion';
import { MISSING, OVERFLOW } from '@headrace/stats/group-tally';

/** Attribute (or OVERALL) and group value -> counts. Counts may be negative: then this is a change to be added to stored ones. */
export class GroupCounts {
  readonly #byAttribute = new Map<string, Map<string, Confusion>>();

  /** @param values of `attributes`, in their order. @param weight of the decision; negative takes it back. */
  count(attributes: readonly string[], values: readonly string[], selected: boolean, label: boolean | undefined, weight = 1): void {
    countDecision(this.#of(OVERALL, ''), selected, label, weight);
    for (let i = 0; i < attributes.length; i++) countDecision(this.#of(attributes[i]!, values[i] ?? MISSING), selected, label, weight);
  }

  /** A label came for decisions that were counted without one, or with another. */
  relabel(
    attributes: readonly string[],
    values: readonly string[],
    selected: boolean,
    before: boolean | undefined,
    after: boolean,
    weight = 1,
  ): void {
    this.count(attributes, values, selected, before, -weight);
    this.count(attributes, values, selected, after, weight);
  }

  add(attribute: string, group: string, confusion: Confusion): void {
    mergeConfusion(this.#of(attribute, group), confusion);
  }

  /** Groups of one attribute; empty when nothing was counted. */
  groups(attribute: string): ReadonlyMap<string, Confusion> {
    return this.#byAttribute.get(attribute) ?? new Map<string, Confusion>();
  }

  get overall(): Confusion {
    return this.#byAttribute.get(OVERALL)?.get('') ?? emptyConfusion();
  }

  *rows(): Generator<{ readonly attribute: string; readonly group: string; readonly counts: Confusion }> {
    for (const [attribute, groups] of this.#byAttribute) for (const [group, counts] of groups) yield { attribute, group, counts };
  }

  #of(attribute: string, group: string): Confusion {
    let groups = this.#byAttribute.get(attribute);
    if (!groups) this.#byAttribute.set(attribute, (groups = new Map<string, Confusion>()));
    let confusion = groups.get(group);
    if (!confusion) groups.set(group, (confusion = emptyConfusion()));
    return confusion;
  }
}

/** The attribute name under which all rows are counted. */
export const OVERALL = '';

/** Groups of one attribute that get counts of their own; what comes after shares `(other)`. An age in years fits, an id does not. */
export const GROUPS_MAX = 256;

/** Group of the predictions whose value the log omits. */
export const REDACTED = '(redacted)';

/** Groups that stand for somebody. `(other)` mixes what came too late to be told apart, `(redacted)` what nobody may tell apart. */
export function comparableGroups(groups: ReadonlyMap<string, Confusion>): ReadonlyMap<string, Confusion> {
  return new Map([...groups].filter(([group]) => group !== OVERFLOW && group !== REDACTED));
}

const VALUE_LENGTH_MAX = 64;
/** Joins the group values of one prediction; cannot occur in a value. */
const SEPARATOR = '\u001f';

/** A logged value as a group's name. NaN and '' are missing. Whole numbers lose nothing: float32 1 is `1`. */
export function groupValueOf(value: number | string | undefined): string {
  if (value === undefined || value === '' || (typeof value === 'number' && Number.isNaN(value))) return MISSING;
  // Postgres refuses U+0000, and U+001F is our separator.
  return String(value)
    .slice(0, VALUE_LENGTH_MAX)
    .replaceAll(/[\u0000\u001f]/g, '\ufffd');
}

/** Remembers the groups of one attribute and keeps them bounded. */
export function boundedGroup(known: Set<string>, value: string): string {
  if (known.has(value)) return value;
  if (known.size >= GROUPS_MAX) return OVERFLOW;
  known.add(value);
  return value;
}

export const joinGroups = (values: readonly string[]): string => values.join(SEPARATOR);
export const splitGroups = (joined: string): readonly string[] => joined.split(SEPARATOR);
