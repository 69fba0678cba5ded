import { describe, expect, it } from 'vitest';
import { afterPromotion, checkPolicy, CHAMPION_ONLY, describePolicy, versionsIn, type RoutePolicy, type SplitArm } from './route-policy.js';

const loaded = new Map([1, 2, 3].map((version) => [version, true]));
const canary = (version: number, percent: number, salt = ''): RoutePolicy => ({
  traffic: { kind: 'canary', version, percent, salt },
  shadow: undefined,
});
const split = (...arms: SplitArm[]): RoutePolicy => ({ traffic: { kind: 'split', arms, salt: '' }, shadow: undefined });
const shadow = (version: number, percent: number, traffic: RoutePolicy['traffic'] = { kind: 'champion' }): RoutePolicy => ({
  traffic,
  shadow: { version, percent },
});
const arm = (name: string, version: number, weight = 1): SplitArm => ({ name, version, weight });

describe('a route policy', () => {
  it.each<[string, RoutePolicy]>([
    ['the champion alone', CHAMPION_ONLY],
    ['a canary from 0', canary(2, 0)],
    ['a canary to 100 percent', canary(2, 100)],
    ['a fraction of a percent', canary(2, 0.5, 'summer')],
    ['a split with the champion in it', split(arm('a', 1, 3), arm('b', 2))],
    ['a shadow', shadow(3, 100)],
    ['a shadow beside a canary', shadow(3, 10, { kind: 'canary', version: 2, percent: 5, salt: '' })],
    ['a shadow that is an arm of the split: requests of the other arm are copied', shadow(2, 10, split(arm('a', 1), arm('b', 2)).traffic)],
  ])('may be %s', (_, policy) => {
    expect(() => checkPolicy(policy, loaded, 1)).not.toThrow();
  });

  it.each<[string, RoutePolicy, RegExp]>([
    [
      'a canary that is not loaded',
      canary(9, 5),
      /^VERSION_UNKNOWN: canary.version names version 9, which is not loaded here \(1, 2, 3 is\); load it/,
    ],
    ['a canary that is champion', canary(1, 5), /^REQUEST_INVALID: canary.version is 1, which is the champion already/],
    ['a percentage below 0', canary(2, -0.1), /canary.percent is -0.1; a percentage lies from 0 to 100/],
    ['a percentage above 100', canary(2, 100.1), /canary.percent is 100.1/],
    ['a percentage that is no number', canary(2, Number.NaN), /canary.percent is NaN/],
    ['a salt as long as a book', canary(2, 5, 'x'.repeat(101)), /salt has 101 characters/],
    ['a split of one', split(arm('a', 1)), /split.arms has 1 entries; a split has 2 to 8/],
    ['a split of nine', split(...Array.from({ length: 9 }, (_, i) => arm(`a${i}`, i))), /has 9 entries/],
    ['two arms of one name', split(arm('a', 1), arm('a', 2)), /split.arms.1.name is a for the second time/],
    ['two arms of one version', split(arm('a', 1), arm('b', 1)), /split.arms.1.version is 1 for the second time/],
    ['an arm with a reserved name', split(arm('canary', 1), arm('b', 2)), /split.arms.0.name is "canary"/],
    ['an arm without a name', split(arm('', 1), arm('b', 2)), /split.arms.0.name is ""/],
    ['a weight of 0', split(arm('a', 1, 0), arm('b', 2)), /split.arms.0.weight is 0/],
    ['an infinite weight', split(arm('a', 1, Infinity), arm('b', 2)), /split.arms.0.weight is Infinity/],
    ['an arm that is not loaded', split(arm('a', 1), arm('b', 7)), /^VERSION_UNKNOWN: split.arms.1.version names version 7/],
    ['a shadow of itself', shadow(1, 10), /shadow.version is 1, which is the champion/],
    ['a shadow that is not loaded', shadow(8, 10), /^VERSION_UNKNOWN: shadow.version/],
    ['a shadow of 200 percent', shadow(2, 200), /shadow.percent is 200/],
  ])('may not be %s', (_, policy, fault) => {
    const refusal = (): string => {
      try {
        checkPolicy(policy, loaded, 1);
        return 'accepted';
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        return `${code}: ${message}`;
      }
    };
    expect(refusal()).toMatch(fault);
  });

  it('may not be a canary where nobody is champion', () => {
    expect(() => checkPolicy(canary(2, 5), loaded, 0)).toThrow(/needs a champion/);
  });

  it('loses its canary and its shadow when these become champion, and keeps all else', () => {
    const both = shadow(3, 10, canary(2, 5).traffic);
    expect(afterPromotion(both, 2)).toEqual(shadow(3, 10));
    expect(afterPromotion(both, 3)).toEqual(canary(2, 5));
    expect(afterPromotion(both, 4)).toEqual(both);
    const arms = split(arm('a', 1), arm('b', 2));
    expect(afterPromotion(arms, 2)).toEqual(arms);
  });

  it('names its versions once, and says in a sentence what it does', () => {
    const policy = shadow(2, 50, split(arm('a', 1, 3), arm('b', 2)).traffic);
    expect(versionsIn(policy)).toEqual([1, 2]);
    expect(describePolicy(policy)).toBe('split by weight: a = version 1 x 3, b = version 2 x 1; 50% copied to version 2 as shadow');
    expect(describePolicy(canary(2, 5))).toBe('5% to version 2 as canary, the others to the champion');
    expect(describePolicy(CHAMPION_ONLY)).toBe('all requests to the champion');
  });
});
