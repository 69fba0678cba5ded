import { describe, expect, it } from 'vitest';
import { RoutingTable, type RoutedVersion } from './routing-table.js';

const version = (number: number, model = 'm'): RoutedVersion => ({ project: 'p', model, version: number });

describe('routing table', () => {
  it('swaps the champion by making a new table; the old one still says what it said', () => {
    const [one, two] = [version(1), version(2)];
    const before = RoutingTable.empty<RoutedVersion>().withChampion(one);
    const after = before.withChampion(two).without(one);
    expect(before.routesOf('p', 'm')).toMatchObject({ champion: one, versions: new Map([[1, one]]) });
    expect(after.routesOf('p', 'm')).toMatchObject({ champion: two, versions: new Map([[2, two]]) });
  });

  it('reaches a pinned version by number, and keeps the champion', () => {
    const [one, two] = [version(1), version(2)];
    const routes = RoutingTable.empty<RoutedVersion>().withChampion(one).withPinned(two).routesOf('p', 'm');
    expect(routes?.champion).toBe(one);
    expect(routes?.versions.get(2)).toBe(two);
  });

  it('forgets a model with its last version, and ignores the removal of an object that it does not hold', () => {
    const one = version(1);
    const table = RoutingTable.empty<RoutedVersion>().withChampion(one);
    expect(table.without(version(1))).toBe(table);
    expect(table.without(one).routesOf('p', 'm')).toBeUndefined();
    expect(table.routesOf('p', 'other')).toBeUndefined();
    expect(table.routesOf('other', 'm')).toBeUndefined();
  });
});
