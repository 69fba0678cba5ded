/** What is counted: a view (on-demand views included), or a feature service as a whole. */
export type UsedKind = 'view' | 'service';

/** Reads of one view or service since they were stored last. One object for ever, so that a compiled read can keep it. */
export interface UsageCount {
  readonly project: string;
  readonly kind: UsedKind;
  readonly name: string;
  /** Calls, and the entities that they asked for. */
  reads: number;
  entities: number;
}

/**
 * Online reads, counted in memory: for each call two additions a view, nothing for its rows. There is one count for each view and
 * service that was read, so the definitions bound it.
 */
export class UsageCounts {
  readonly #counts = new Map<string, UsageCount>();

  /** The counts that a read of these adds to. @param service empty = none. */
  of(project: string, views: readonly string[], service = ''): readonly UsageCount[] {
    const counts = [...new Set(views)].map((view) => this.#count(project, 'view', view));
    return service === '' ? counts : [...counts, this.#count(project, 'service', service)];
  }

  add(counts: readonly UsageCount[], entities: number): void {
    for (const count of counts) {
      count.reads++;
      count.entities += entities;
    }
  }

  /** What was counted since the last time; from here on it counts from 0. */
  take(): UsageCount[] {
    const taken = [...this.#counts.values()].filter(({ reads }) => reads > 0).map((count) => ({ ...count }));
    for (const count of this.#counts.values()) count.reads = count.entities = 0;
    return taken;
  }

  /** What could not be stored is stored with the next. */
  putBack(counts: readonly UsageCount[]): void {
    for (const { project, kind, name, reads, entities } of counts) {
      const count = this.#count(project, kind, name);
      count.reads += reads;
      count.entities += entities;
    }
  }

  #count(project: string, kind: UsedKind, name: string): UsageCount {
    const key = `${project}/${kind}/${name}`;
    const known = this.#counts.get(key);
    if (known) return known;
    const count: UsageCount = { project, kind, name, reads: 0, entities: 0 };
    this.#counts.set(key, count);
    return count;
  }
}
