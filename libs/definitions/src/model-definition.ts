import { z } from 'zod';
import { featureReference } from './reference.js';
import { duration, name } from './scalars.js';

const instant = z.iso.datetime({ offset: true });

/** Learners of the training runtime; parameters pass through to the library as they are. */
const learner = z.strictObject({
  kind: z.enum(['lightgbm', 'logistic_regression']).default('lightgbm'),
  params: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).default({}),
});

export const FAIRNESS_METRICS = ['equal_opportunity_difference', 'demographic_parity_difference', 'equalized_odds_difference'] as const;
export type FairnessMetric = (typeof FAIRNESS_METRICS)[number];

const fairnessRule = z.strictObject({
  attribute: name,
  metric: z.enum(FAIRNESS_METRICS).default('equal_opportunity_difference'),
  /** Gap between the groups that is no longer acceptable. */
  ceiling: z.number().positive().max(1),
});

export const TASKS = ['binary_classification', 'regression'] as const;
export type Task = (typeof TASKS)[number];

/** Metrics of the training runtime that a gate may look at, and of which task. Of these more is better. */
const RISING = {
  ...{ accuracy: 'binary_classification', auc: 'binary_classification', f1: 'binary_classification' },
  /** A skill is the share of the naive prediction's error that the model takes away: 1 - error / error of the naive one. */
  ...{ r2: 'regression', mae_skill: 'regression', rmse_skill: 'regression' },
} as const satisfies Record<string, Task>;
/** Errors in the unit of the label: less is better. */
const FALLING = { mae: 'regression', rmse: 'regression' } as const satisfies Record<string, Task>;
const TASK_OF_METRIC: Readonly<Record<string, Task>> = { ...RISING, ...FALLING };

const risingMetric = z.enum(Object.keys(RISING) as (keyof typeof RISING)[]);
const qualityRule = z.union([
  z.strictObject({ metric: risingMetric, floor: z.number() }),
  z.strictObject({ metric: z.enum(Object.keys(FALLING) as (keyof typeof FALLING)[]), ceiling: z.number().positive() }),
]);

/** What a version must show before it is blessed; see services/registry/src/domain/blessing-rules.ts. */
const gates = z.strictObject({
  quality: z.array(qualityRule).default([]),
  /** How far below the champion each metric may fall. */
  relative: z.array(z.strictObject({ metric: risingMetric, maxDrop: z.number().nonnegative() })).default([]),
  fairness: z.array(fairnessRule).default([]),
  /** Ceiling for the attribute that a mitigation names, whatever `fairness` lists. */
  mitigatedCeiling: z.number().positive().max(1).default(0.2),
});

const monitorPolicy = z.strictObject({
  /** Length of one pane: the grain in which sketches are kept. */
  pane: duration.default(60_000),
  /** Panes merged into one window of judgement. */
  panesPerWindow: z.int().min(1).max(1000).default(10),
  /** Fewer labelled rows in a group than this: reported, never compared. */
  minGroupSize: z.int().min(1).default(30),
  /** Fewer rows in a window than this: no verdict. */
  minSamples: z.int().min(1).default(500),
  drift: z
    .strictObject({
      psi: z.number().positive().default(0.2),
      ks: z.number().positive().max(1).default(0.2),
      fdr: z.number().positive().max(1).default(0.01),
    })
    .prefault({}),
  bias: z.array(fairnessRule).default([]),
  /** Lowest accuracy over the labelled rows of a window; unset = not watched. */
  accuracyFloor: z.number().min(0).max(1).optional(),
  /** An alert fires when at least k of the last n evaluations breached. */
  persistence: z.strictObject({ k: z.int().min(1), n: z.int().min(1).max(64) }).default({ k: 2, n: 3 }),
});

const retrainPolicy = z.strictObject({
  /** Kinds of alert that start a retraining by themselves. */
  on: z.array(z.enum(['bias', 'drift', 'performance'])).default([]),
  mitigation: z.enum(['none', 'reweighing']).default('none'),
  /** No second retraining of the model within this time. */
  cooldown: duration.default(3_600_000),
});

const rolloutPolicy = z.strictObject({
  /** `automatic`: a blessed version becomes champion at once; `manual`: a person sets the alias. */
  promotion: z.enum(['automatic', 'manual']).default('manual'),
});

const servingPolicy = z.strictObject({
  /** How long a request may wait for others, to run with them; at most a second. Unset = not beyond its turn of the event loop. */
  batchDelay: duration.refine((ms) => ms <= 1_000, 'at most 1s').default(0),
});

/** How a value stands in the prediction log in the place of itself: not at all, or as a keyed one-way token. */
export const REDACTIONS = ['omit', 'hash'] as const;
export type Redaction = (typeof REDACTIONS)[number];

const predictionLogPolicy = z.strictObject({
  /** Share of requests that are logged; unset = what the serving process was told. */
  sampleRate: z.number().min(0).max(1).optional(),
  /** By column name. Features marked `pii` are redacted whether they stand here or not. */
  redact: z.record(name, z.enum(REDACTIONS)).default({}),
  /** The entity keys that a request came with; unset = as they came. */
  entity: z.enum(REDACTIONS).optional(),
});

export const modelSpec = z
  .strictObject({
    description: z.string().default(''),
    owner: z.string().default(''),
    task: z.enum(TASKS).default('binary_classification'),
    entity: name,
    /** In the order of the tensor columns. */
    features: z.array(featureReference).min(1).max(1000),
    label: z.strictObject({ view: name, feature: name, positive: z.number().default(1) }),
    /** Regression: the feature whose value alone is the naive prediction that the model is measured against; unset = the mean label. */
    naive: featureReference.optional(),
    /** Attributes that predictions are watched by; logged with each prediction even when the model does not see them. */
    protected: z.array(featureReference).default([]),
    trainingWindow: z.strictObject({ from: instant, to: instant }),
    /** An answer at or above it is label 1: a probability, or of a regression a value in the unit of the label. */
    threshold: z.number().default(0.5),
    seed: z.int().default(7),
    holdout: z.number().min(0.05).max(0.5).default(0.2),
    learner: learner.prefault({}),
    /** What serving does for an entity whose features are missing: answer from nulls and flag it, take the defaults and flag it, or refuse it. */
    missingFeatures: z.enum(['null', 'default', 'refuse']).default('null'),
    /** By column name; only with `missingFeatures: default`. A feature without one is null. */
    defaults: z.record(name, z.union([z.number(), z.string()])).optional(),
    serving: servingPolicy.optional(),
    predictionLog: predictionLogPolicy.optional(),
    gates: gates.prefault({}),
    monitor: monitorPolicy.prefault({}),
    retrain: retrainPolicy.prefault({}),
    rollout: rolloutPolicy.prefault({}),
  })
  .superRefine((spec, context) => {
    const columns = spec.features.map((reference) => reference.split(':')[1]!);
    const repeated = columns.filter((column, i) => columns.indexOf(column) !== i);
    if (repeated.length > 0)
      context.addIssue({ code: 'custom', path: ['features'], message: `column names must be unique, repeated: ${repeated.join(', ')}` });
    if (spec.defaults && spec.missingFeatures !== 'default')
      context.addIssue({ code: 'custom', path: ['defaults'], message: 'defaults are only taken with `missingFeatures: default`' });
    for (const column of Object.keys(spec.defaults ?? {}).filter((one) => !columns.includes(one)))
      context.addIssue({ code: 'custom', path: ['defaults', column], message: `${column} is not among the features` });
    const watched = new Set(spec.protected.map((reference) => reference.split(':')[1]));
    for (const [at, rule] of [...spec.gates.fairness, ...spec.monitor.bias].entries()) {
      if (!watched.has(rule.attribute))
        context.addIssue({
          code: 'custom',
          path: ['protected', at],
          message: `a fairness rule names ${rule.attribute}, which is not under \`protected\``,
        });
    }
    for (const { path, message } of [...taskFaults(spec), ...redactionFaults(spec, columns, watched)])
      context.addIssue({ code: 'custom', path, message });
    if (Date.parse(spec.trainingWindow.from) >= Date.parse(spec.trainingWindow.to)) {
      context.addIssue({ code: 'custom', path: ['trainingWindow'], message: '`from` must lie before `to`' });
    }
  });

export type ModelSpec = z.output<typeof modelSpec>;

/** What the log is asked to hide that it does not hold, or that the monitor was told to watch. */
function redactionFaults(
  { predictionLog, monitor }: Pick<ModelSpec, 'predictionLog' | 'monitor'>,
  columns: readonly string[],
  watched: ReadonlySet<string | undefined>,
): { path: (string | number)[]; message: string }[] {
  return Object.entries(predictionLog?.redact ?? {}).flatMap(([column, redaction]) => {
    const path = ['predictionLog', 'redact', column];
    if (!columns.includes(column) && !watched.has(column))
      return [{ path, message: `${column} is neither among the features nor under \`protected\`` }];
    if (redaction === 'omit' && monitor.bias.some(({ attribute }) => attribute === column))
      return [{ path, message: `a rule under \`monitor.bias\` compares the groups of ${column}; take \`hash\`, which keeps them apart` }];
    return [];
  });
}

interface TaskParts {
  readonly task: Task;
  readonly threshold: number;
  readonly naive?: string | undefined;
  readonly learner: { readonly kind: string };
  readonly gates: { readonly quality: readonly { metric: string }[]; readonly relative: readonly { metric: string }[] };
  readonly retrain: { readonly mitigation: string };
}

/** What a definition asks for that its task does not have. */
function taskFaults({ task, threshold, naive, learner: { kind }, gates: { quality, relative }, retrain }: TaskParts) {
  const faults: { path: (string | number)[]; message: string }[] = [];
  for (const [list, rules] of Object.entries({ quality, relative }))
    for (const [at, { metric }] of rules.entries())
      if (TASK_OF_METRIC[metric] !== task)
        faults.push({ path: ['gates', list, at, 'metric'], message: `${metric} is not measured for a model with the task ${task}` });
  if (task === 'regression') {
    if (kind !== 'lightgbm') faults.push({ path: ['learner', 'kind'], message: `${kind} does no regression; take lightgbm` });
    if (retrain.mitigation !== 'none')
      faults.push({
        path: ['retrain', 'mitigation'],
        message: `${retrain.mitigation} weighs classes, and a regression has none; take none`,
      });
  } else {
    if (threshold < 0 || threshold > 1) faults.push({ path: ['threshold'], message: 'a probability lies between 0 and 1' });
    if (naive !== undefined) faults.push({ path: ['naive'], message: 'applies to the task regression; remove it' });
  }
  return faults;
}
