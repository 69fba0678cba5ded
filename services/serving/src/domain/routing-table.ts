/**
 * Which version answers: an immutable table, replaced whole by one assignment, so that a request sees either the old or the
 * new routing and never a mixture. A/B, canary and shadow arms add rules to `ModelRoutes`; the caller only asks `choose`.
 */
export interface RoutedVersion {
  readonly project: string;
  readonly model: string;
  readonly version: number;
}

export interface ModelRoutes<V extends RoutedVersion> {
  readonly champion: V | undefined;
  /** All versions that may be asked for by number, the champion among them. */
  readonly versions: ReadonlyMap<number, V>;
}

export class RoutingTable<V extends RoutedVersion> {
  private constructor(readonly models: ReadonlyMap<string, ModelRoutes<V>>) {}

  static empty<V extends RoutedVersion>(): RoutingTable<V> {
    return new RoutingTable<V>(new Map());
  }

  routesOf(project: string, model: string): ModelRoutes<V> | undefined {
    return this.models.get(keyOf(project, model));
  }

  withChampion(version: V): RoutingTable<V> {
    const old = this.routesOf(version.project, version.model);
    const versions = new Map(old?.versions).set(version.version, version);
    return this.#with(version, { champion: version, versions });
  }

  /** Reachable by its number only. */
  withPinned(version: V): RoutingTable<V> {
    const old = this.routesOf(version.project, version.model);
    return this.#with(version, { champion: old?.champion, versions: new Map(old?.versions).set(version.version, version) });
  }

  without(version: V): RoutingTable<V> {
    const old = this.routesOf(version.project, version.model);
    if (old?.versions.get(version.version) !== version) return this;
    const versions = new Map(old.versions);
    versions.delete(version.version);
    return this.#with(version, { champion: old.champion === version ? undefined : old.champion, versions });
  }

  #with(key: RoutedVersion, routes: ModelRoutes<V>): RoutingTable<V> {
    const models = new Map(this.models);
    if (routes.versions.size === 0) models.delete(keyOf(key.project, key.model));
    else models.set(keyOf(key.project, key.model), routes);
    return new RoutingTable(models);
  }
}

/** `/` cannot be in a name (NAME_PATTERN), so the key is unambiguous. */
const keyOf = (project: string, model: string): string => `${project}/${model}`;
