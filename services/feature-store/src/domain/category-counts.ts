import { murmur3 } from '@headrace/windows/distinct-sketch';

/** Categories that are counted; a feature with more is counted for a sample of them. */
const CATEGORIES_MAX = 256;
/** Of a text, in UTF-16 units; what is longer is cut, and told apart by its hash nevertheless. */
const LABEL_MAX = 100;
/** Hashes have 53 bits: whole numbers that a float64 holds. */
const HASHES = 2 ** 53;

export interface CategoryCount {
  readonly label: string;
  readonly count: number;
}

/** Every category whose hash lies below `below`, as [hash, label, count]. */
export interface CategoryCountsJson {
  readonly below: number;
  readonly counts: readonly (readonly [number, string, number])[];
}

/**
 * How often each category was seen. Up to 256 of them all are counted. With more, those with the 256 smallest hashes are, and each count is
 * still exact: a category that is kept in the end was among the smallest all the time (bottom-k sampling; Cohen, Kaplan, PODC 2007).
 * So the counts do not depend on order or grouping, and two sets can be compared where both have counted everything.
 */
export class CategoryCounts {
  #below = HASHES;
  readonly #counts = new Map<number, { label: string; count: number }>();

  add(value: string | number | boolean, count: number): void {
    const text = String(value);
    this.#add(hashOf(text), text.length > LABEL_MAX ? `${text.slice(0, LABEL_MAX).toWellFormed()}...` : text, count);
    if (this.#counts.size > 4 * CATEGORIES_MAX) this.#trim();
  }

  merge({ below, counts }: CategoryCountsJson): void {
    if (below < this.#below) this.#cut(below);
    for (const [hash, label, count] of counts) this.#add(hash, label, count);
    this.#trim();
  }

  /** Most frequent first. */
  list(): CategoryCount[] {
    this.#trim();
    return [...this.#counts.values()].sort((a, b) => b.count - a.count || (a.label < b.label ? -1 : 1));
  }

  /** All categories are counted, not a sample of them. */
  get isExact(): boolean {
    this.#trim();
    return this.#below === HASHES;
  }

  /** Exact up to 256; beyond it the estimate of the k smallest hashes, with a standard error of 1 / sqrt(254) = 6.3 %. */
  distinct(): number {
    return this.isExact ? this.#counts.size : Math.round(this.#counts.size / (this.#below / HASHES));
  }

  /** Counts of both sides for each category that both would have counted, most frequent on this side first. */
  against(reference: CategoryCounts): { label: string; current: number; reference: number }[] {
    this.#trim();
    reference.#trim();
    const below = Math.min(this.#below, reference.#below);
    const hashes = new Set([...this.#counts.keys(), ...reference.#counts.keys()].filter((hash) => hash < below));
    return [...hashes]
      .map((hash) => {
        const [mine, theirs] = [this.#counts.get(hash), reference.#counts.get(hash)];
        return { label: (mine ?? theirs)!.label, current: mine?.count ?? 0, reference: theirs?.count ?? 0 };
      })
      .sort((a, b) => b.current - a.current || b.reference - a.reference || (a.label < b.label ? -1 : 1));
  }

  toJSON(): CategoryCountsJson {
    this.#trim();
    const counts = [...this.#counts].sort(([a], [b]) => a - b);
    return { below: this.#below, counts: counts.map(([hash, { label, count }]) => [hash, label, count] as const) };
  }

  #add(hash: number, label: string, count: number): void {
    if (hash >= this.#below) return;
    const known = this.#counts.get(hash);
    if (known) known.count += count;
    else this.#counts.set(hash, { label, count });
  }

  #trim(): void {
    if (this.#counts.size <= CATEGORIES_MAX) return;
    this.#cut(Float64Array.from(this.#counts.keys()).sort()[CATEGORIES_MAX]!);
  }

  #cut(below: number): void {
    this.#below = below;
    for (const hash of this.#counts.keys()) if (hash >= below) this.#counts.delete(hash);
  }
}

function hashOf(text: string): number {
  const bytes = Buffer.from(text);
  return (murmur3(bytes, 0x2545f491) >>> 11) * 2 ** 32 + murmur3(bytes, 0x9e3779b9);
}
