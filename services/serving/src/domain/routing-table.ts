import { afterPromotion, CHAMPION_ONLY, isChampionOnly, type RoutePolicy, type Traffic } from './route-policy.js';
import { seedOf } from './routing-hash.js';

/**
 * Which version answers: an immutable table, replaced whole by one assignment, so that a request sees either the old or the
 * new routing and never a mixture.
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
  readonly policy: RoutePolicy;
  /** Ascending by `upTo`; what lies beyond the last is the champion's. Empty = the champion answers all. */
  readonly arms: readonly Arm<V>[];
  readonly seed: number;
  readonly shadow: Shadow<V> | undefined;
}

export interface Arm<V> {
  readonly name: string;
  /** undefined = named by the policy and not loaded (now, after a restart): the champion answers in its place. */
  readonly version: V | undefined;
  /** The arm has the shares below it that no arm before it has. */
  readonly upTo: number;
}

export interface Shadow<V> {
  readonly version: V;
  readonly upTo: number;
  readonly seed: number;
}

/** The arm of a key by its share in [0, 1); undefined = the champion's. */
export function armOf<V extends RoutedVersion>({ arms }: ModelRoutes<V>, share: number): Arm<V> | undefined {
  for (const arm of arms) if (share < arm.upTo) return arm.version && arm;
  return undefined;
}

export class RoutingTable<V extends RoutedVersion> {
  private constructor(
    readonly models: ReadonlyMap<string, ModelRoutes<V>>,
    /** By model; also of models of which nothing is loaded now. */
    private readonly policies: ReadonlyMap<string, RoutePolicy>,
  ) {}

  static empty<V extends RoutedVersion>(): RoutingTable<V> {
    return new RoutingTable<V>(new Map(), new Map());
  }

  routesOf(project: string, model: string): ModelRoutes<V> | undefined {
    return this.models.get(keyOf(project, model));
  }

  withChampion(version: V): RoutingTable<V> {
    const versions = new Map(this.routesOf(version.project, version.model)?.versions).set(version.version, version);
    return this.#with(version, version, versions, afterPromotion(this.#policyOf(version), version.version));
  }

  /** Reachable by its number, and by the policy where that names it. */
  withPinned(version: V): RoutingTable<V> {
    const old = this.routesOf(version.project, version.model);
    return this.#with(version, old?.champion, new Map(old?.versions).set(version.version, version), this.#policyOf(version));
  }

  /** Kept whatever is loaded: what it names takes part from when it is there. */
  withPolicy(project: string, model: string, policy: RoutePolicy): RoutingTable<V> {
    const old = this.routesOf(project, model);
    return this.#with({ project, model }, old?.champion, old?.versions ?? new Map<number, V>(), policy);
  }

  /** Policies of models whose champion does not answer alone. */
  listPolicies(): { project: string; model: string; policy: RoutePolicy }[] {
    return [...this.policies].map(([key, policy]) => {
      const [project, model] = key.split('/') as [string, string];
      return { project, model, policy };
    });
  }

  without(version: V): RoutingTable<V> {
    const old = this.routesOf(version.project, version.model);
    if (old?.versions.get(version.version) !== version) return this;
    const versions = new Map(old.versions);
    versions.delete(version.version);
    return this.#with(version, old.champion === version ? undefined : old.champion, versions, this.#policyOf(version));
  }

  #with({ project, model }: ModelName, champion: V | undefined, versions: ReadonlyMap<number, V>, policy: RoutePolicy): RoutingTable<V> {
    const models = new Map(this.models);
    const key = keyOf(project, model);
    if (versions.size === 0) models.delete(key);
    else models.set(key, compile(model, champion, versions, policy));
    const policies = new Map(this.policies);
    if (isChampionOnly(policy)) policies.delete(key);
    else policies.set(key, policy);
    return new RoutingTable(models, policies);
  }

  #policyOf({ project, model }: ModelName): RoutePolicy {
    return this.policies.get(keyOf(project, model)) ?? CHAMPION_ONLY;
  }
}

type ModelName = Pick<RoutedVersion, 'project' | 'model'>;

function compile<V extends RoutedVersion>(
  model: string,
  champion: V | undefined,
  versions: ReadonlyMap<number, V>,
  policy: RoutePolicy,
): ModelRoutes<V> {
  const { traffic, shadow } = policy;
  const salt = (traffic.kind !== 'champion' && traffic.salt) || model;
  const copied = shadow && versions.get(shadow.version);
  return {
    champion,
    versions,
    policy,
    arms: armsOf(traffic, versions),
    seed: seedOf(salt),
    shadow: copied && shadow.percent > 0 ? { version: copied, upTo: shadow.percent / 100, seed: seedOf(`${salt}/shadow`) } : undefined,
  };
}

function armsOf<V>(traffic: Traffic, versions: ReadonlyMap<number, V>): Arm<V>[] {
  switch (traffic.kind) {
    case 'champion':
      return [];
    case 'canary':
      return [{ name: 'canary', version: versions.get(traffic.version), upTo: traffic.percent / 100 }];
    case 'split': {
      const sum = traffic.arms.reduce((total, arm) => total + arm.weight, 0);
      let before = 0;
      // The last bound is 1 whatever was lost in rounding: no share is left over.
      return traffic.arms.map(({ name, version, weight }, i) => ({
        name,
        version: versions.get(version),
        upTo: i === traffic.arms.length - 1 ? 1 : (before += weight) / sum,
      }));
    }
  }
}

/** `/` cannot be in a name (NAME_PATTERN), so the key is unambiguous. */
const keyOf = (project: string, model: string): string => `${project}/${model}`;
