import { expect, it } from 'vitest';
import { printRoute, routeOf } from './route.js';

it('reads a canary, a split and a shadow from the options', () => {
  expect(routeOf({ champion: true })).toEqual({ traffic: undefined, shadow: undefined });
  expect(routeOf({ canary: '3', percent: '12.5', shadow: '4' })).toEqual({
    traffic: { $case: 'canary', value: { version: 3, percent: 12.5, salt: '' } },
    shadow: { version: 4, percent: 100 },
  });
  expect(routeOf({ split: ['a=3:1', 'b=4:2.5'], salt: 'x', shadow: '5', shadowPercent: '10' })).toEqual({
    traffic: {
      $case: 'split',
      value: {
        arms: [
          { name: 'a', version: 3, weight: 1 },
          { name: 'b', version: 4, weight: 2.5 },
        ],
        salt: 'x',
      },
    },
    shadow: { version: 5, percent: 10 },
  });
});

it.each([
  [{}, /one of --champion, --canary with --percent, --split/],
  [{ champion: true, canary: '1', percent: '1' }, /one of --champion/],
  [{ canary: '1' }, /--canary and --percent go together/],
  [{ champion: true, percent: '1' }, /--canary and --percent go together/],
  [{ canary: 'x', percent: '1' }, /is no version/],
  [{ canary: '0', percent: '1' }, /versions count from 1/],
  [{ canary: '1', percent: '101' }, /more than all/],
  [{ canary: '1', percent: '-1' }, /is no number from 0 on/],
  [{ split: ['a=1'] }, /write name=version:weight/],
  [{ split: ['a=1:1.2.3'] }, /is no number/],
  [{ champion: true, shadowPercent: '5' }, /needs --shadow/],
  [{ champion: true, salt: 'x' }, /--salt is for/],
])('refuses %j', (options, message) => {
  expect(() => routeOf(options)).toThrow(message);
});

it('shows who answers in one line', () => {
  const route = { project: 'default', model: 'm', shadow: undefined, champion: 2, loaded: [2, 3] };
  expect(printRoute({ ...route, traffic: undefined })).toBe('m: champion 2 for all\n  loaded: 2, 3');
  expect(
    printRoute({
      ...route,
      traffic: { $case: 'canary', value: { version: 3, percent: 5, salt: '' } },
      shadow: { version: 3, percent: 50 },
    }),
  ).toBe('m: canary 3 for 5 % of the keys, champion 2 for the others\n  shadow: version 3, 50 % of the requests\n  loaded: 2, 3');
  const arms = [
    { name: 'a', version: 2, weight: 1 },
    { name: 'b', version: 3, weight: 2 },
  ];
  expect(printRoute({ ...route, champion: 0, loaded: [], traffic: { $case: 'split', value: { arms, salt: '' } } })).toBe(
    'm: split a = version 2 (33.33 %), b = version 3 (66.67 %)\n  loaded: none',
  );
});
