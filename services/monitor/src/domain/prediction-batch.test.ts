import { describe, expect, it } from 'vitest';
import type { PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import { seededRandom } from '@headrace/base/random';
import { readBaseline } from './baseline.js';
import { boundedGroup, GroupCounts, groupValueOf, GROUPS_MAX, joinGroups, splitGroups } from './group-counts.js';
import { foldRows, SCORE_KEY, type PaneDelta } from './pane-fold.js';
import { faultOf } from './prediction-batch.js';
import { listRedacted, mergeRedacted, redactedGroupOf } from './redaction-counts.js';

const NOW = Date.UTC(2026, 0, 1);

function batch(rows = 2, more: Partial<PredictionsLoggedData> = {}): PredictionsLoggedData {
  const each = <T>(make: (i: number) => T): T[] => Array.from({ length: rows }, (_, i) => make(i));
  return {
    project: 'default',
    model: 'employment',
    version: 1,
    arm: '',
    instance: 's',
    predictionIds: each((i) => `p${i}`),
    predictedAtMs: each((i) => NOW - 10_000 + i),
    scores: each((i) => i / rows),
    labels: each((i) => i % 2),
    columns: [{ name: 'DIS', numbers: Float32Array.from(each((i) => 1 + (i % 2))), texts: [], missing: [] }],
    entities: [],
    stale: [],
    traceIds: [],
    account: undefined,
    redacted: [],
    entityRedaction: '',
    ...more,
  };
}

describe('a log batch', () => {
  it('is accepted when its lists run parallel, with texts, with all optional lists, and empty', () => {
    expect(faultOf(batch(), NOW)).toBeUndefined();
    expect(
      faultOf(
        batch(2, {
          columns: [{ name: 't', numbers: new Float32Array(), texts: ['a', ''], missing: [false, true] }],
          entities: ['e', 'f'],
          stale: [true, false],
          traceIds: ['', ''],
        }),
        NOW,
      ),
    ).toBeUndefined();
    expect(faultOf(batch(0), NOW)).toBeUndefined();
  });

  it.each([
    ['scores of another length', batch(2, { scores: [1] }), '`scores` has 1 entries for 2 prediction ids'],
    ['labels of another length', batch(2, { labels: [1, 0, 1] }), '`labels` has 3'],
    ['times of another length', batch(2, { predictedAtMs: [] }), '`predictedAtMs` has 0'],
    ['entities of another length', batch(2, { entities: ['e'] }), '`entities` has 1'],
    [
      'a short column',
      batch(2, { columns: [{ name: 'DIS', numbers: Float32Array.of(1), texts: [], missing: [] }] }),
      'column DIS has 1 numbers',
    ],
    [
      'a column of both kinds',
      batch(2, { columns: [{ name: 'DIS', numbers: Float32Array.of(1, 2), texts: ['a', 'b'], missing: [] }] }),
      'column DIS has 2 numbers, 2 texts',
    ],
    ['a column that comes twice', batch(2, { columns: [...batch().columns, ...batch().columns] }), 'comes twice'],
    ['an empty prediction id', batch(2, { predictionIds: ['a', ''] }), 'row 1 needs a prediction id'],
    ['a label that is no class', batch(2, { labels: [0, 7] }), 'the label 7'],
    ['no version', batch(2, { version: 0 }), '`version`'],
    ['a model that is no name', batch(2, { model: '../x' }), '`model`'],
    ['a time of prediction of 0', batch(2, { predictedAtMs: [0, NOW] }), 'no time of prediction'],
    ['the future', batch(2, { predictedAtMs: [NOW, NOW + 3_600_000] }), 'ahead of this clock'],
  ])('is refused with %s', (_name, bad, reason) => {
    expect(faultOf(bad, NOW)?.reason).toContain(reason);
  });
});

describe('folding rows into panes', () => {
  const baseline = readBaseline({
    features: [{ name: 'DIS', kind: 'categorical', categories: ['1', '2'], counts: [5, 5], nulls: 0 }],
    scores: { name: 'score', kind: 'numeric', edges: [0.5], counts: [5, 5], nulls: 0, mean: 0.5, std: 0.1, min: 0, max: 1 },
  });

  it('equals a brute-force count, whatever the cut into batches (seeded)', () => {
    const random = seededRandom(3);
    for (let round = 0; round < 30; round++) {
      const panes = new Map<number, PaneDelta>();
      const truth = new Map<string, number>();
      for (let part = 0; part < 4; part++) {
        const data = batch(1 + Math.floor(random() * 40));
        const rows = data.predictionIds.map((_, i) => i).filter(() => random() < 0.7);
        const paneStartMs = data.predictionIds.map(() => Math.floor(random() * 3) * 1000);
        const groups = data.predictionIds.map((_, i) => groupValueOf(data.columns[0]!.numbers[i]));
        for (const row of rows)
          truth.set(
            `${paneStartMs[row]}/${groups[row]}/${data.labels[row]}`,
            (truth.get(`${paneStartMs[row]}/${groups[row]}/${data.labels[row]}`) ?? 0) + 1,
          );
        foldRows(panes, data, { rows, paneStartMs, groups }, baseline, ['DIS']);
      }
      for (const [start, delta] of panes) {
        let sum = 0;
        for (const [group, counts] of delta.groups.groups('DIS')) {
          expect(counts.unlabelledSelected).toBe(truth.get(`${start}/${group}/1`) ?? 0);
          expect(counts.unlabelledRejected).toBe(truth.get(`${start}/${group}/0`) ?? 0);
          expect(delta.sketches.get('DIS')!.counts[group === '1' ? 0 : 1]).toBe(counts.unlabelledSelected + counts.unlabelledRejected);
          sum += counts.unlabelledSelected + counts.unlabelledRejected;
        }
        expect([delta.predictions, delta.sketches.get(SCORE_KEY)!.count]).toEqual([sum, sum]);
      }
    }
  });
});

describe('a redacted column', () => {
  const hashed = { name: 'DIS', redaction: 'hash', tokens: ['aa', 'bb', ''] };
  const omitted = { name: 'SEX', redaction: 'omit', tokens: [] };

  it('is accepted beside the others, and refused when it comes twice, in clear too, or with tokens of other rows', () => {
    expect(faultOf(batch(3, { columns: [], redacted: [hashed, omitted] }), NOW)).toBeUndefined();
    expect(faultOf(batch(3, { redacted: [hashed] }), NOW)?.reason).toContain('column DIS comes twice');
    expect(faultOf(batch(3, { redacted: [omitted, omitted] }), NOW)?.reason).toContain('column SEX is redacted twice');
    expect(faultOf(batch(2, { columns: [], redacted: [hashed] }), NOW)?.reason).toContain('`tokens of DIS` has 3 entries for 2');
  });

  it('puts equal tokens into one group, what is missing with the missing, and what is omitted apart', () => {
    expect([0, 1, 2].map((row) => redactedGroupOf(hashed, row))).toEqual(['#aa', '#bb', '(missing)']);
    expect(redactedGroupOf(omitted, 0)).toBe('(redacted)');
  });

  it('is counted by pane, whatever its name, and leaves no sketch', () => {
    const panes = new Map<number, PaneDelta>();
    const hostile = { name: '__proto__', redaction: 'omit', tokens: [] };
    const data = batch(3, { columns: [], redacted: [hashed, hostile] });
    foldRows(panes, data, { rows: [0, 2], paneStartMs: [0, 0, 0], groups: ['', '', ''] }, readBaseline({}), []);
    const { redacted, sketches } = panes.get(0)!;
    expect(listRedacted(mergeRedacted(new Map(redacted), redacted))).toEqual([
      { column: 'DIS', redaction: 'hash', predictions: 4 },
      { column: '__proto__', redaction: 'omit', predictions: 4 },
    ]);
    expect(sketches.size).toBe(0);
  });
});

describe('groups', () => {
  it('are named by whole numbers, with one name for everything missing', () => {
    expect([
      groupValueOf(1),
      groupValueOf(2.5),
      groupValueOf('x'),
      groupValueOf(Number.NaN),
      groupValueOf(''),
      groupValueOf(undefined),
    ]).toEqual(['1', '2.5', 'x', '(missing)', '(missing)', '(missing)']);
  });

  it('survive being joined, whatever a value holds', () => {
    const values = [groupValueOf('a\u001fb'), groupValueOf('\u0000'), '1'];
    expect(splitGroups(joinGroups(values))).toEqual(values);
  });

  it('are bounded', () => {
    const known = new Set<string>();
    for (let i = 0; i < 1000; i++) boundedGroup(known, String(i));
    expect(known.size).toBe(GROUPS_MAX);
    expect([boundedGroup(known, '5'), boundedGroup(known, '999')]).toEqual(['5', '(other)']);
  });

  it('move between labels without a trace', () => {
    const counts = new GroupCounts();
    counts.count(['a'], ['x'], true, undefined, 3);
    counts.relabel(['a'], ['x'], true, undefined, true, 3);
    counts.relabel(['a'], ['x'], true, true, false, 1);
    expect(counts.groups('a').get('x')).toEqual({ tp: 2, fp: 1, tn: 0, fn: 0, unlabelledSelected: 0, unlabelledRejected: 0 });
    expect(counts.overall).toEqual(counts.groups('a').get('x'));
  });
});
