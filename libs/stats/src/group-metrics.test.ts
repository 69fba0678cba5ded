import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectClose, golden } from '../golden/read-golden.js';
import { rateOf, type Confusion, type RateName } from './confusion.js';
import { disparity, fairnessSummary, groupRates, pairMetrics, poolGroups, type FairnessSummary } from './group-metrics.js';
import { GroupTally, MISSING, OVERFLOW } from './group-tally.js';
import { newcombeInterval } from './intervals.js';

type Named = Record<'between_groups' | 'to_overall', Record<Exclude<keyof FairnessSummary, 'disparities'>, number>>;
interface Fairness {
  group: string[];
  sex: string[];
  label: number[];
  decided: number[];
  groupings: Record<string, { byGroup: Record<string, Record<RateName, number>>; named: Named }>;
  aif360: Record<'statisticalParityDifference' | 'disparateImpact' | 'averageOddsDifference' | 'equalOpportunityDifference', number>;
}

const fairness = golden<Fairness>('fairness');
const tally = new GroupTally(['group', 'sex']);
fairness.label.forEach((label, i) => tally.add({ group: fairness.group[i], sex: fairness.sex[i] }, fairness.decided[i] === 1, label === 1));

describe.each(Object.entries(fairness.groupings))('grouping %s', (name, expected) => {
  const groups = tally.groupings.get(name)!;

  it("gives Fairlearn's rates of each group", () => {
    expect([...groups.keys()].sort()).toEqual(Object.keys(expected.byGroup).sort());
    for (const [key, rates] of Object.entries(expected.byGroup))
      for (const [rate, value] of Object.entries(rates))
        expectClose(rateOf(groups.get(key)!, rate as RateName).value, value, 1e-12, `${key} ${rate}`);
  });

  it.each(['between_groups', 'to_overall'] as const)("gives Fairlearn's named metrics, method %s", (method) => {
    const summary = fairnessSummary(groups, { method, minGroupSize: 1 });
    for (const [metric, value] of Object.entries(expected.named[method]))
      expectClose(summary[metric as keyof Named['to_overall']], value, 1e-12, metric);
  });
});

it("gives AIF360's signed metrics of everybody else against the privileged group", () => {
  const groups = tally.groupings.get('group')!;
  const metrics = pairMetrics(groups.get('a')!, poolGroups(groups, ['b', 'c & d']));
  for (const [name, value] of Object.entries(fairness.aif360)) expectClose(metrics[name as keyof Fairness['aif360']], value, 1e-12, name);
  expect(metrics.statisticalParityInterval.low).toBeLessThan(metrics.statisticalParityDifference);
  expect(metrics.equalOpportunityInterval.high).toBeLessThan(0);
});

const confusion = (tp: number, fp: number, tn: number, fn: number): Confusion => ({
  tp,
  fp,
  tn,
  fn,
  unlabelledSelected: 0,
  unlabelledRejected: 0,
});

it('reports a small group without comparing it, and asks each rate for its own rows', () => {
  const groups = new Map([
    ['many', confusion(90, 5, 95, 10)],
    ['some', confusion(40, 30, 70, 60)],
    ['few', confusion(0, 0, 40, 3)],
  ]);
  const tpr = disparity(groups, 'truePositiveRate', { minGroupSize: 30 });
  expect(tpr).toMatchObject({ lowest: 'some', highest: 'many', tooSmall: ['few'], significant: true });
  expectClose(tpr.difference, 0.5);
  // Its 40 negatives are enough for the false positive rate.
  expect(disparity(groups, 'falsePositiveRate', { minGroupSize: 30 })).toMatchObject({ lowest: 'few', tooSmall: [] });
  expect(groupRates(groups, ['truePositiveRate']).get('few')?.['truePositiveRate']).toMatchObject({ value: 0, n: 3 });
});

it('widens the interval of the largest gap for all the pairs it was picked from', () => {
  const two = new Map([
    ['a', confusion(60, 0, 0, 40)],
    ['b', confusion(45, 0, 0, 55)],
  ]);
  const three = new Map([...two, ['c', confusion(50, 0, 0, 50)]]);
  expect(disparity(two, 'truePositiveRate').interval).toEqual(newcombeInterval(60, 100, 45, 100, 0.95));
  expect(disparity(three, 'truePositiveRate').interval).toEqual(newcombeInterval(60, 100, 45, 100, 1 - 0.05 / 3));
  expect([disparity(two, 'truePositiveRate').significant, disparity(three, 'truePositiveRate').significant]).toEqual([true, false]);
});

it('does not know a rate that has no rows, where Fairlearn would say 0', () => {
  const groups = new Map([
    ['a', confusion(50, 0, 0, 0)],
    ['b', confusion(0, 10, 40, 0)],
  ]);
  const summary = fairnessSummary(groups, { minGroupSize: 1 });
  expect(summary.equalOpportunityDifference).toBeNaN();
  expect(summary.equalizedOddsDifference).toBeNaN();
  expect(summary.disparities.truePositiveRate).toMatchObject({ tooSmall: ['b'], significant: false });
  expectClose(summary.demographicParityDifference, 0.8);
});

const decision = fc.record({
  group: fc.constantFrom('a', 'b & c', 'd"', null),
  sex: fc.constantFrom(1, 2),
  selected: fc.boolean(),
  label: fc.constantFrom(true, false, undefined),
});
type Decision = { group: string | null; sex: number; selected: boolean; label: boolean | undefined };

function tallyOf(rows: readonly Decision[]): GroupTally {
  const tally = new GroupTally(['group', 'sex']);
  for (const row of rows) tally.add(row, row.selected, row.label);
  return tally;
}

function contents(tally: GroupTally): unknown {
  return [...tally.groupings].map(([name, groups]) => [name, [...groups].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

it('merges tallies in any order to what one pass counts, and survives JSON', () => {
  fc.assert(
    fc.property(fc.array(decision, { maxLength: 40 }), fc.array(decision, { maxLength: 40 }), (a, b) => {
      const whole = contents(tallyOf([...a, ...b]));
      expect(contents(tallyOf(a).merge(tallyOf(b)))).toEqual(whole);
      expect(contents(tallyOf(b).merge(tallyOf(a)))).toEqual(whole);
      expect(contents(GroupTally.fromJSON(JSON.parse(JSON.stringify(tallyOf([...a, ...b])))))).toEqual(whole);
    }),
    { seed: 41, numRuns: 200 },
  );
});

it('ends in the same counts whether labels come with the decision or later', () => {
  fc.assert(
    fc.property(fc.array(decision, { maxLength: 40 }), (rows) => {
      const late = tallyOf(rows.map((row) => ({ ...row, label: undefined })));
      for (const row of rows) if (row.label !== undefined) late.addLateLabel(row, row.selected, row.label);
      expect(contents(late)).toEqual(contents(tallyOf(rows)));
    }),
    { seed: 42, numRuns: 200 },
  );
});

it('counts a missing attribute as a group of its own and groups past the bound together', () => {
  const tally = new GroupTally(['zip'], 3);
  for (const zip of ['1', '2', null, '3', '4', '5']) tally.add({ zip }, true, true);
  const groups = tally.groupings.get('zip')!;
  expect([...groups.keys()]).toEqual(['1', '2', MISSING, OVERFLOW]);
  expect(groups.get(OVERFLOW)?.tp).toBe(3);
  expect(tally.overflowed).toEqual(['zip']);
});
