import { seededRandom } from '@headrace/base/random';
import type { PredictionsLogged } from '@headrace/contracts/events/v1/events';

/** A made-up person, what the model answered, and what was true. */
export interface Answered {
  readonly id: string;
  readonly atMs: number;
  readonly AGEP: number;
  readonly DIS: number;
  readonly SEX: number;
  readonly score: number;
  readonly label: number;
  readonly truth: number;
}

export interface Crowd {
  readonly seed: number;
  readonly rows: number;
  readonly fromMs: number;
  readonly spreadMs: number;
  readonly prefix: string;
  /** Share of those who work that the model finds, by DIS. */
  readonly found: Readonly<Record<1 | 2, number>>;
  /** Uniform ages from here on; 20 is what the baseline has. */
  readonly youngest?: number;
}

export function crowd({ seed, rows, fromMs, spreadMs, prefix, found, youngest = 20 }: Crowd): Answered[] {
  const random = seededRandom(seed);
  return Array.from({ length: rows }, (_, i) => {
    const DIS = random() < 0.2 ? 1 : 2;
    const truth = random() < 0.5 ? 1 : 0;
    const label = truth === 1 ? Number(random() < found[DIS]) : Number(random() < 0.1);
    return {
      id: `${prefix}-${i}`,
      atMs: Math.floor(fromMs + (i / rows) * spreadMs),
      AGEP: youngest + Math.floor(random() * 50),
      DIS,
      SEX: random() < 0.5 ? 1 : 2,
      score: 0.5 * label + 0.5 * random(),
      label,
      truth,
    };
  });
}

/** The log as serving writes it, in batches. */
export function logOf(
  people: readonly Answered[],
  at: { readonly project: string; readonly model: string; readonly version: number },
  batchRows = 500,
): PredictionsLogged[] {
  return chunks(people, batchRows).map((part) => ({
    ...at,
    arm: 'champion',
    predictionIds: part.map((p) => p.id),
    predictedAtMs: part.map((p) => p.atMs),
    scores: part.map((p) => p.score),
    labels: part.map((p) => p.label),
    columns: (['AGEP', 'DIS', 'SEX'] as const).map((name) => ({ name, numbers: part.map((p) => p[name]), texts: [], missing: [] })),
    entities: part.map((p) => p.id),
    stale: [],
    account: undefined,
    instance: 'test',
    traceIds: [],
    redacted: [],
    entityRedaction: '',
  }));
}

export const outcomesOf = (people: readonly Answered[]): { predictionId: string; label: number; observedAt: Date }[] =>
  people.map((p) => ({ predictionId: p.id, label: p.truth, observedAt: new Date(p.atMs + 1) }));

export function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Slow, plain counts: what the monitor must find. */
export function bruteForce(people: readonly Answered[], attribute: 'DIS' | 'SEX') {
  const groups = Object.fromEntries(
    [...new Set(people.map((p) => p[attribute]))].sort().map((value) => {
      const group = people.filter((p) => p[attribute] === value);
      const working = group.filter((p) => p.truth === 1);
      return [
        String(value),
        {
          predictions: group.length,
          positives: working.length,
          truePositiveRate: working.filter((p) => p.label === 1).length / working.length,
          selectionRate: group.filter((p) => p.label === 1).length / group.length,
        },
      ];
    }),
  );
  const rates = Object.values(groups).map((g) => g.truePositiveRate);
  return {
    groups,
    gap: Math.max(...rates) - Math.min(...rates),
    accuracy: people.filter((p) => p.label === p.truth).length / people.length,
  };
}

/** The baseline of a crowd with the usual ages, as the training runtime would write it. */
export function baselineOf(people: readonly Answered[]): Record<string, unknown> {
  const categorical = (name: 'DIS' | 'SEX') => ({
    name,
    kind: 'categorical',
    categories: ['1', '2'],
    counts: [1, 2].map((v) => people.filter((p) => p[name] === v).length),
    nulls: 0,
  });
  const numeric = (name: string, values: readonly number[], edges: readonly number[]) => ({
    name,
    kind: 'numeric',
    edges,
    counts: Array.from(
      { length: edges.length + 1 },
      (_, i) => values.filter((v) => v > (edges[i - 1] ?? -Infinity) && v <= (edges[i] ?? Infinity)).length,
    ),
    nulls: 0,
    mean: values.reduce((a, b) => a + b, 0) / values.length,
    std: 10,
    min: Math.min(...values),
    max: Math.max(...values),
  });
  return {
    rows: people.length,
    features: [
      numeric(
        'AGEP',
        people.map((p) => p.AGEP),
        [24, 29, 34, 39, 44, 49, 54, 59, 64],
      ),
      categorical('DIS'),
      categorical('SEX'),
    ],
    scores: numeric(
      'score',
      people.map((p) => p.score),
      [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    ),
    label: { positives: people.filter((p) => p.truth === 1).length, n: people.length },
  };
}

/** A Model spec like the employment example's, small windows. */
export function specOf(
  more: { readonly monitor?: Record<string, unknown>; readonly retrain?: Record<string, unknown> } = {},
): Record<string, unknown> {
  return {
    entity: 'person',
    features: ['person:AGEP', 'person:DIS', 'person:SEX'],
    label: { view: 'employment', feature: 'employed' },
    protected: ['person:DIS', 'person:SEX'],
    trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
    monitor: {
      pane: '1s',
      panesPerWindow: 60,
      minSamples: 500,
      minGroupSize: 30,
      bias: [
        { attribute: 'DIS', ceiling: 0.2 },
        { attribute: 'SEX', ceiling: 0.2 },
      ],
      accuracyFloor: 0.5,
      persistence: { k: 2, n: 3 },
      ...more.monitor,
    },
    retrain: { on: ['bias'], mitigation: 'reweighing', cooldown: '10m', ...more.retrain },
  };
}
