import { describe, expect, it } from 'vitest';
import { CHAMPION_ONLY, type RoutePolicy, type SplitArm } from './route-policy.js';
import { seedOf, shareOf } from './routing-hash.js';
import { armOf, RoutingTable, type ModelRoutes, type RoutedVersion } from './routing-table.js';

const version = (number: number, model = 'm'): RoutedVersion => ({ project: 'p', model, version: number });
const [one, two, three] = [version(1), version(2), version(3)];
const table = RoutingTable.empty<RoutedVersion>().withChampion(one).withPinned(two).withPinned(three);
const canary = (percent: number, of = 2): RoutePolicy => ({
  traffic: { kind: 'canary', version: of, percent, salt: '' },
  shadow: undefined,
});
const split = (...weights: number[]): RoutePolicy => ({
  traffic: { kind: 'split', arms: weights.map((weight, i): SplitArm => ({ name: 'abc'[i]!, version: i + 1, weight })), salt: '' },
  shadow: undefined,
});
const routed = (policy: RoutePolicy): ModelRoutes<RoutedVersion> => table.withPolicy('p', 'm', policy).routesOf('p', 'm')!;
const chosen = (routes: ModelRoutes<RoutedVersion>, share: number): string => {
  const arm = armOf(routes, share);
  return arm ? `${arm.name}/${arm.version!.version}` : `champion/${routes.champion?.version}`;
};

describe('routing table', () => {
  it('swaps the champion by making a new table; the old one still says what it said', () => {
    const before = RoutingTable.empty<RoutedVersion>().withChampion(one);
    const after = before.withChampion(two).without(one);
    expect(before.routesOf('p', 'm')).toMatchObject({ champion: one, versions: new Map([[1, one]]) });
    expect(after.routesOf('p', 'm')).toMatchObject({ champion: two, versions: new Map([[2, two]]) });
  });

  it('reaches a pinned version by number, and keeps the champion', () => {
    const routes = RoutingTable.empty<RoutedVersion>().withChampion(one).withPinned(two).routesOf('p', 'm');
    expect(routes?.champion).toBe(one);
    expect(routes?.versions.get(2)).toBe(two);
  });

  it('forgets a model with its last version, and ignores the removal of an object that it does not hold', () => {
    const only = RoutingTable.empty<RoutedVersion>().withChampion(one);
    expect(only.without(version(1))).toBe(only);
    expect(only.without(one).routesOf('p', 'm')).toBeUndefined();
    expect(only.routesOf('p', 'other')).toBeUndefined();
    expect(only.routesOf('other', 'm')).toBeUndefined();
  });

  // The whole table: who has each share under each policy.
  it.each<[string, RoutePolicy, Record<number, string>]>([
    ['champion', CHAMPION_ONLY, { 0: 'champion/1', 0.5: 'champion/1', 0.999999: 'champion/1' }],
    ['canary 0%', canary(0), { 0: 'champion/1', 0.5: 'champion/1' }],
    ['canary 5%', canary(5), { 0: 'canary/2', 0.0499: 'canary/2', 0.05: 'champion/1', 0.999999: 'champion/1' }],
    ['canary 100%', canary(100), { 0: 'canary/2', 0.999999: 'canary/2' }],
    ['split 1:1', split(1, 1), { 0: 'a/1', 0.4999: 'a/1', 0.5: 'b/2', 0.999999: 'b/2' }],
    ['split 2:1:1', split(2, 1, 1), { 0: 'a/1', 0.4999: 'a/1', 0.5: 'b/2', 0.7499: 'b/2', 0.75: 'c/3', 0.999999: 'c/3' }],
    ['canary of a version that is gone', canary(50, 9), { 0: 'champion/1', 0.6: 'champion/1' }],
  ])('%s', (_, policy, expected) => {
    for (const [share, who] of Object.entries(expected)) expect([share, chosen(routed(policy), Number(share))]).toEqual([share, who]);
  });

  it('gives the shares of an arm that went to the champion, never to another arm, and gives them back with it', () => {
    const policy = split(2, 1, 1);
    const without = table.withPolicy('p', 'm', policy).without(two);
    expect(chosen(without.routesOf('p', 'm')!, 0.6)).toBe('champion/1');
    expect(chosen(without.routesOf('p', 'm')!, 0.8)).toBe('c/3');
    expect(chosen(without.withPinned(two).routesOf('p', 'm')!, 0.6)).toBe('b/2');
  });

  it('keeps a policy while nothing of its model is loaded, as after a restart', () => {
    const empty = RoutingTable.empty<RoutedVersion>().withPolicy('p', 'm', canary(50));
    expect(empty.routesOf('p', 'm')).toBeUndefined();
    expect(empty.listPolicies()).toEqual([{ project: 'p', model: 'm', policy: canary(50) }]);
    const routes = empty.withChampion(one).withPinned(two).routesOf('p', 'm')!;
    expect([chosen(routes, 0.4), chosen(routes, 0.6)]).toEqual(['canary/2', 'champion/1']);
    expect(empty.withPolicy('p', 'm', CHAMPION_ONLY).listPolicies()).toEqual([]);
  });

  it('drops the canary rule when the canary becomes champion', () => {
    const routes = table.withPolicy('p', 'm', canary(20)).withChampion(two).routesOf('p', 'm')!;
    expect(routes.policy).toEqual(CHAMPION_ONLY);
    expect(chosen(routes, 0)).toBe('champion/2');
  });

  it('copies to a shadow that is loaded and has a percentage, by a share of its own', () => {
    const shadowed = (percent: number, of: number): ModelRoutes<RoutedVersion> =>
      routed({ ...CHAMPION_ONLY, shadow: { version: of, percent } });
    expect(shadowed(25, 3).shadow).toEqual({ version: three, upTo: 0.25, seed: expect.any(Number) });
    expect(shadowed(25, 3).shadow!.seed).not.toBe(shadowed(25, 3).seed);
    expect(shadowed(0, 3).shadow).toBeUndefined();
    expect(shadowed(25, 9).shadow).toBeUndefined();
  });

  describe('over many keys', () => {
    const keys = Array.from({ length: 100_000 }, (_, i) => new TextEncoder().encode(`person-${i}`));
    const counts = (routes: ModelRoutes<RoutedVersion>): Map<string, number> => {
      const found = new Map<string, number>();
      for (const key of keys) {
        const who = chosen(routes, shareOf(routes.seed, key));
        found.set(who, (found.get(who) ?? 0) + 1);
      }
      return found;
    };

    it('keeps the weights: each arm within four standard errors of its share', () => {
      const found = counts(routed(split(5, 3, 2)));
      for (const [who, p] of [
        ['a/1', 0.5],
        ['b/2', 0.3],
        ['c/3', 0.2],
      ] as const)
        expect(Math.abs(found.get(who)! / keys.length - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / keys.length));
    });

    it('is sticky: a growing canary only adds keys, and a key has one answer for ever', () => {
      let inside = new Set<number>();
      for (const percent of [1, 5, 20, 60, 100]) {
        const routes = routed(canary(percent));
        const now = new Set(keys.flatMap((key, i) => (chosen(routes, shareOf(routes.seed, key)) === 'canary/2' ? [i] : [])));
        expect([...inside].every((key) => now.has(key))).toBe(true);
        expect(now.size / keys.length).toBeCloseTo(percent / 100, 2);
        inside = now;
      }
    });

    it('shuffles with another salt, and models apart without one', () => {
      const salted = (salt: string): RoutePolicy => ({ traffic: { kind: 'canary', version: 2, percent: 50, salt }, shadow: undefined });
      expect(routed(salted('')).seed).toBe(seedOf('m'));
      const [a, b] = [routed(salted('x')), routed(salted('y'))];
      const same = keys.filter((key) => chosen(a, shareOf(a.seed, key)) === chosen(b, shareOf(b.seed, key))).length;
      expect(same / keys.length).toBeCloseTo(0.5, 1);
    });
  });
});
