import { assert } from '@headrace/base/assert';
import { countDecision, countLateLabel, emptyConfusion, mergeConfusion, type Confusion } from './confusion.js';

/** Values of the protected attributes of one decision, by attribute name. Missing ones count under `MISSING`. */
export type AttributeValues = Readonly<Record<string, string | number | boolean | null | undefined>>;

export const MISSING = '(missing)';
/** Receives what comes after `groupsMax` distinct groups of a grouping; such a report is incomplete and `overflowed` says so. */
export const OVERFLOW = '(other)';

/**
 * Confusions of one window for every protected attribute and for their intersection, counted as decisions and labels come.
 * Mergeable in any order (as long as no grouping overflows) and bounded: at most `groupsMax` groups a grouping.
 */
export class GroupTally {
  readonly attributes: readonly string[];
  readonly groupsMax: number;
  /** Grouping name -> group key -> confusion. Groupings: each attribute, and all of them joined by `*` when there are several. */
  readonly groupings: ReadonlyMap<string, Map<string, Confusion>>;

  constructor(attributes: readonly string[], groupsMax = 256) {
    this.attributes = attributes;
    this.groupsMax = groupsMax;
    const names = attributes.length > 1 ? [...attributes, intersectionName(attributes)] : attributes;
    this.groupings = new Map(names.map((name) => [name, new Map<string, Confusion>()]));
  }

  /** Counts one decision; label undefined = not known yet. */
  add(values: AttributeValues, selected: boolean, label: boolean | undefined): void {
    this.forEachGroup(values, (confusion) => countDecision(confusion, selected, label));
  }

  /** A label came for a decision that this tally counted without one. */
  addLateLabel(values: AttributeValues, selected: boolean, label: boolean): void {
    this.forEachGroup(values, (confusion) => countLateLabel(confusion, selected, label));
  }

  /** Groupings that met more than `groupsMax` groups. */
  get overflowed(): readonly string[] {
    return [...this.groupings].filter(([, groups]) => groups.has(OVERFLOW)).map(([name]) => name);
  }

  merge(other: GroupTally): this {
    assert(
      other.attributes.join() === this.attributes.join(),
      `tallies of ${this.attributes.join()} and ${other.attributes.join()} have the same attributes`,
    );
    for (const [name, groups] of other.groupings) {
      for (const [key, confusion] of groups) mergeConfusion(this.groupOf(name, key), confusion);
    }
    return this;
  }

  /** [grouping, [key, tp, fp, tn, fn, unlabelled selected, unlabelled rejected], ...]. */
  toJSON(): GroupTallyJson {
    const rows = (groups: Map<string, Confusion>): GroupTallyRow[] =>
      [...groups].map(([key, c]) => [key, c.tp, c.fp, c.tn, c.fn, c.unlabelledSelected, c.unlabelledRejected]);
    return { a: [...this.attributes], m: this.groupsMax, g: [...this.groupings].map(([name, groups]) => [name, rows(groups)]) };
  }

  static fromJSON(json: GroupTallyJson): GroupTally {
    const tally = new GroupTally(json.a, json.m);
    for (const [name, rows] of json.g) {
      for (const [key, tp, fp, tn, fn, unlabelledSelected, unlabelledRejected] of rows)
        mergeConfusion(tally.groupOf(name, key), { tp, fp, tn, fn, unlabelledSelected, unlabelledRejected });
    }
    return tally;
  }

  private forEachGroup(values: AttributeValues, count: (confusion: Confusion) => void): void {
    for (const attribute of this.attributes) count(this.groupOf(attribute, groupKey([values[attribute]])));
    if (this.attributes.length > 1) {
      const key = groupKey(this.attributes.map((attribute) => values[attribute]));
      count(this.groupOf(intersectionName(this.attributes), key));
    }
  }

  private groupOf(grouping: string, key: string): Confusion {
    const groups = this.groupings.get(grouping);
    assert(groups !== undefined, `grouping ${grouping} is one of ${[...this.groupings.keys()].join(', ')}`);
    const known = groups.get(key);
    if (known !== undefined) return known;
    const full = groups.size >= this.groupsMax && key !== OVERFLOW;
    if (full) return this.groupOf(grouping, OVERFLOW);
    const fresh = emptyConfusion();
    groups.set(key, fresh);
    return fresh;
  }
}

export type GroupTallyRow = [
  key: string,
  tp: number,
  fp: number,
  tn: number,
  fn: number,
  unlabelledSelected: number,
  unlabelledRejected: number,
];

/** a: attributes, m: groupsMax, g: groupings with their rows. */
export interface GroupTallyJson {
  a: string[];
  m: number;
  g: [string, GroupTallyRow[]][];
}

/** Name of the grouping by all attributes at once. */
export function intersectionName(attributes: readonly string[]): string {
  return attributes.join('*');
}

/** Key of a group: its value; of an intersection: the values joined by ` & `. A value that holds the joint itself is quoted, so keys never collide. */
export function groupKey(values: readonly AttributeValues[string][]): string {
  const texts = values.map((value) => (value === null || value === undefined ? MISSING : String(value)));
  return texts.length === 1 ? texts[0]! : texts.map((text) => (/[&"]/.test(text) ? JSON.stringify(text) : text)).join(' & ');
}
