import { describe, expect, it } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { ColumnSketch } from '@headrace/stats/histogram';
import { readBaseline } from './baseline.js';
import { judgeBias } from './bias-policy.js';
import { judgeColumns } from './drift-policy.js';
import { GroupCounts } from './group-counts.js';
import { SCORE_KEY } from './pane-fold.js';
import { judgeAccuracy } from './performance-policy.js';
import { decideRetrain } from './retrain-policy.js';
import { remember, standingOf } from './standing.js';
import { paneStartOf, windowEndingWith } from './windows.js';

const SPAN = { fromMs: 0, toMs: 1000 };
const LIMITS = { minGroupSize: 30, minSamples: 100 };

/** n people with the outcome in each group, of whom `found` are found. */
function counts(groups: Record<string, { n: number; found: number }>): GroupCounts {
  const tally = new GroupCounts();
  for (const [group, { n, found }] of Object.entries(groups)) {
    tally.count(['DIS'], [group], true, true, found);
    tally.count(['DIS'], [group], false, true, n - found);
  }
  return tally;
}

const EOD = { attribute: 'DIS', metric: 'equal_opportunity_difference', ceiling: 0.2 } as const;

describe('the bias policy', () => {
  it('says the gap, its interval and both groups in one sentence', () => {
    const finding = judgeBias(EOD, counts({ '1': { n: 1000, found: 310 }, '2': { n: 9000, found: 8100 } }), LIMITS, 1, SPAN);
    expect(finding).toMatchObject({
      verdict: 'breach',
      threshold: 0.2,
      samples: 10_000,
      evidence: { attribute: 'DIS', group: '1', selected: false, label: true },
    });
    expect(finding.value).toBeCloseTo(0.59, 12);
    expect(finding.sentence).toBe(
      'Equal-opportunity difference on DIS is 0.59 (95 % interval 0.56..0.62), ceiling 0.20: of the people who have the outcome, version 1 finds 0.31 of DIS=1 (n=1000) and 0.90 of DIS=2 (n=9000)',
    );
  });

  it.each([
    ['clean under the ceiling', { '1': { n: 1000, found: 750 }, '2': { n: 1000, found: 880 } }, 'clean'],
    [
      'unclear when the gap is over the ceiling but its interval is not',
      { '1': { n: 60, found: 36 }, '2': { n: 1000, found: 880 } },
      'unclear',
    ],
    ['insufficient when one group is too small', { '1': { n: 29, found: 0 }, '2': { n: 1000, found: 880 } }, 'insufficient'],
    ['insufficient when all are too few', { '1': { n: 40, found: 0 }, '2': { n: 59, found: 59 } }, 'insufficient'],
  ] as const)('%s', (_name, groups, verdict) => {
    expect(judgeBias(EOD, counts(groups), LIMITS, 1, SPAN).verdict).toBe(verdict);
  });

  it('never compares those whose attribute the log omits, and says why it cannot judge', () => {
    const omitted = judgeBias(EOD, counts({ '(redacted)': { n: 1000, found: 0 } }), LIMITS, 1, SPAN);
    expect(omitted).toMatchObject({
      verdict: 'insufficient',
      sentence:
        'Equal-opportunity difference on DIS: the prediction log omits the attribute of 1000 predictions, so their groups cannot be compared; redact it by `hash`',
    });
    const mixed = counts({ '(redacted)': { n: 1000, found: 0 }, '#x': { n: 500, found: 400 }, '#y': { n: 500, found: 400 } });
    expect(judgeBias(EOD, mixed, LIMITS, 1, SPAN)).toMatchObject({ verdict: 'clean', value: 0 });
  });

  it('takes the wider of the two gaps for equalized odds, and judges selection without labels', () => {
    const tally = counts({ a: { n: 500, found: 400 }, b: { n: 500, found: 400 } });
    tally.count(['DIS'], ['a'], true, false, 250);
    tally.count(['DIS'], ['a'], false, false, 250);
    tally.count(['DIS'], ['b'], false, false, 500);
    const odds = judgeBias({ ...EOD, metric: 'equalized_odds_difference' }, tally, LIMITS, 1, SPAN);
    expect(odds).toMatchObject({ value: 0.5, verdict: 'breach', evidence: { group: 'a', selected: true, label: false } });
    const unlabelled = new GroupCounts();
    unlabelled.count(['DIS'], ['a'], true, undefined, 500);
    unlabelled.count(['DIS'], ['b'], false, undefined, 500);
    expect(judgeBias({ ...EOD, metric: 'demographic_parity_difference' }, unlabelled, LIMITS, 1, SPAN)).toMatchObject({
      value: 1,
      samples: 1000,
      verdict: 'breach',
    });
  });
});

describe('the drift policy', () => {
  const baseline = readBaseline({
    features: [
      {
        name: 'age',
        kind: 'numeric',
        edges: [10, 20, 30, 40],
        counts: [2000, 2000, 2000, 2000, 2000],
        nulls: 0,
        mean: 25,
        std: 14,
        min: 0,
        max: 50,
      },
      { name: 'sex', kind: 'categorical', categories: ['1', '2'], counts: [5000, 5000], nulls: 0 },
    ],
    scores: { name: 'score', kind: 'numeric', edges: [0.5], counts: [5000, 5000], nulls: 0, mean: 0.5, std: 0.3, min: 0, max: 1 },
  });
  const POLICY = { psi: 0.2, ks: 0.2, fdr: 0.01 };
  function sketches(seed: number, rows: number, age: (u: number) => number): Map<string, ColumnSketch> {
    const random = seededRandom(seed);
    const all = new Map(
      [
        ['age', baseline.features.get('age')!],
        ['sex', baseline.features.get('sex')!],
        [SCORE_KEY, baseline.score!],
      ].map(([key, column]) => [key as string, new ColumnSketch((column as NonNullable<typeof baseline.score>).layout)]),
    );
    for (let i = 0; i < rows; i++) {
      all.get('age')!.add(age(random()));
      all.get('sex')!.add(random() < 0.5 ? 1 : 2);
      all.get(SCORE_KEY)!.add(random());
    }
    return all;
  }

  it('finds the one column that moved', () => {
    const found = judgeColumns(
      sketches(1, 2000, (u) => 25 + 25 * u),
      baseline,
      POLICY,
      500,
    );
    expect(Object.fromEntries(found.map((c) => [c.column, c.verdict]))).toEqual({ age: 'breach', sex: 'clean', score: 'clean' });
  });

  it('raises no alarm on 200 windows of the training distribution (seeded)', () => {
    for (let seed = 0; seed < 200; seed++)
      for (const column of judgeColumns(
        sketches(seed, 600, (u) => 50 * u),
        baseline,
        POLICY,
        500,
      ))
        expect(column.verdict).toBe('clean');
  });

  it('does not take a significant but tiny shift for drift, and says nothing of few rows', () => {
    const many = judgeColumns(
      sketches(3, 50_000, (u) => Math.min(50, 50 * u + 1)),
      baseline,
      POLICY,
      500,
    ).find((c) => c.column === 'age')!;
    expect(many.pValue).toBeLessThan(0.01);
    expect(many.verdict).toBe('clean');
    expect(
      judgeColumns(
        sketches(4, 499, () => 45),
        baseline,
        POLICY,
        500,
      ).map((c) => c.verdict),
    ).toEqual(['insufficient', 'insufficient', 'insufficient']);
  });
});

it('calls accuracy a breach only when its interval lies under the floor', () => {
  const overall = (right: number, wrong: number) => ({ tp: right, fp: wrong, tn: 0, fn: 0, unlabelledSelected: 9, unlabelledRejected: 9 });
  expect(judgeAccuracy(overall(600, 400), 0.7, 500, 1, SPAN).verdict).toBe('breach');
  expect(judgeAccuracy(overall(690, 310), 0.7, 500, 1, SPAN).verdict).toBe('unclear');
  expect(judgeAccuracy(overall(700, 300), 0.7, 500, 1, SPAN).verdict).toBe('clean');
  expect(judgeAccuracy(overall(100, 399), 0.7, 500, 1, SPAN).verdict).toBe('insufficient');
});

describe('persistence', () => {
  const RULE = { k: 2, n: 3 };
  it.each([
    ['b', 'open'],
    ['bb', 'persisted'],
    ['bcb', 'persisted'],
    ['bcc', 'cleared'],
    ['cub', 'open'],
    ['ccb', 'open'],
    ['cuc', 'cleared'],
    ['cc', 'cleared'],
    ['cbu', 'open'],
    ['', 'open'],
  ] as const)('after %s it stands %s', (history, standing) => {
    expect(standingOf(history, RULE)).toBe(standing);
  });

  it('keeps the last n, and forgets nothing for a judgement without enough data', () => {
    expect(remember('bcu', 'breach', RULE)).toBe('cub');
    expect(remember('bcu', 'insufficient', RULE)).toBe('bcu');
  });
});

it('asks for a retraining once, with the mitigation of the biased attribute', () => {
  const policy = { on: ['bias', 'drift'] as const, mitigation: 'reweighing', cooldown: 1000 } as const;
  const bias = { kind: 'bias', subject: 'DIS' } as const;
  expect(decideRetrain(policy, bias, { lastAskedMs: undefined, underWay: false }, 5000)).toEqual({
    kind: 'ask',
    mitigation: { method: 'reweighing', attribute: 'DIS' },
  });
  expect(decideRetrain(policy, { kind: 'drift', subject: 'AGEP' }, { lastAskedMs: 4000, underWay: false }, 5000)).toEqual({
    kind: 'ask',
    mitigation: undefined,
  });
  expect(decideRetrain(policy, bias, { lastAskedMs: 4001, underWay: false }, 5000).kind).toBe('wait');
  expect(decideRetrain(policy, bias, { lastAskedMs: undefined, underWay: true }, 5000).kind).toBe('wait');
  expect(decideRetrain({ ...policy, mitigation: 'none' }, bias, { lastAskedMs: undefined, underWay: false }, 5000)).toEqual({
    kind: 'ask',
    mitigation: undefined,
  });
  expect(decideRetrain(policy, { kind: 'performance', subject: 'accuracy' }, { lastAskedMs: undefined, underWay: false }, 5000)).toEqual({
    kind: 'never',
  });
});

it('tumbles panes without gap or overlap, also before the epoch, and windows hold whole panes', () => {
  const random = seededRandom(11);
  const policy = { pane: 2000, panesPerWindow: 30 };
  for (let i = 0; i < 1000; i++) {
    const atMs = Math.floor((random() - 0.1) * 1e12);
    const start = paneStartOf(atMs, policy);
    expect(start <= atMs && atMs < start + 2000 && start % 2000 === 0).toBe(true);
    const { fromMs, toMs } = windowEndingWith(start, policy);
    expect([toMs - fromMs, toMs]).toEqual([60_000, start + 2000]);
  }
});
