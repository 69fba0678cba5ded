import { AppError } from '@headrace/base/errors';
import type { BuildTrainingSetRequest } from '@headrace/contracts/features/v1/features';
import type { SignatureFeature } from '@headrace/contracts/registry/v1/registry';
import { servedFeatures, type ServedFeature } from '@headrace/definitions/served-features';
import type { FeatureViewDefinition, ModelDefinition } from '@headrace/definitions/definition';
import { splitReference } from '@headrace/definitions/reference';
import type { Mitigation } from './admission.js';

/** What is to be read and learnt, worked out before anything is asked of another service. */
export interface TrainingPlan {
  readonly features: readonly SignatureFeature[];
  readonly protectedFeatures: readonly SignatureFeature[];
  readonly trainingSet: Omit<BuildTrainingSetRequest, 'project' | 'asOf' | 'featureService'>;
}

/** Columns of a training set that are neither features nor keys. */
const EVENT_TIME = 'event_time';
const LABEL = 'label';
const NUMBERS: readonly string[] = ['int64', 'float64'];

/** @throws AppError VIEW_UNKNOWN | DEFINITION_INVALID naming what the model asks for and the views do not have */
export function planTraining({ name, spec }: ModelDefinition, views: ReadonlyMap<string, FeatureViewDefinition>): TrainingPlan {
  const resolve = (reference: string): SignatureFeature => signatureFeature(name, reference, views);
  const features = spec.features.map(resolve);
  const protectedFeatures = spec.protected.map(resolve);
  field(name, `${spec.label.view}:${spec.label.feature}`, views);
  if (spec.naive !== undefined && !NUMBERS.includes(resolve(spec.naive).type))
    throw new AppError(
      'DEFINITION_INVALID',
      `model ${name}: naive is ${spec.naive}, which is no number; take the feature that is the naive answer`,
    );
  return {
    features,
    protectedFeatures,
    trainingSet: {
      labelView: spec.label.view,
      labelFeature: spec.label.feature,
      features: [...new Set([...spec.features, ...spec.protected, ...(spec.naive === undefined ? [] : [spec.naive])])],
      from: new Date(spec.trainingWindow.from),
      to: new Date(spec.trainingWindow.to),
    },
  };
}

/** The keys are what stands before the event time; a set with other columns than were asked for is refused. @throws AppError */
export function entityColumns(columns: readonly string[], plan: TrainingPlan): string[] {
  const wanted = [...plan.trainingSet.features.map(columnOf), EVENT_TIME, LABEL];
  const missing = wanted.filter((column) => !columns.includes(column));
  const keys = columns.filter((column) => !wanted.includes(column));
  if (missing.length === 0 && keys.length > 0) return keys;
  throw new AppError(
    'TRAINING_FAILED',
    `the training set has the columns [${columns.join(', ')}]; ${missing.length > 0 ? `missing: ${missing.join(', ')}` : 'no entity key is among them'}`,
  );
}

export interface SpecFacts {
  readonly runId: string;
  readonly project: string;
  readonly path: string;
  readonly sha256: string;
  readonly keys: readonly string[];
  readonly mitigation: Mitigation | undefined;
}

/** The document that the training runtime reads; its keys are those of services/trainer/python/README.md. */
export function runtimeSpec({ name, spec }: ModelDefinition, plan: TrainingPlan, facts: SpecFacts): Record<string, unknown> {
  return {
    runId: facts.runId,
    project: facts.project,
    model: name,
    trainingSet: { path: facts.path, sha256: facts.sha256 },
    entityColumns: facts.keys,
    eventTimeColumn: EVENT_TIME,
    features: plan.features.map((f) => ({ name: f.name, column: columnOf(f.reference), type: f.type, categorical: f.categorical })),
    label: spec.task === 'regression' ? { column: LABEL } : { column: LABEL, positive: spec.label.positive },
    ...(spec.naive === undefined ? {} : { naive: { column: columnOf(spec.naive) } }),
    protected: plan.protectedFeatures.map((f) => ({ name: f.name, column: columnOf(f.reference) })),
    task: spec.task,
    learner: spec.learner,
    seed: spec.seed,
    threshold: spec.threshold,
    holdout: { fraction: spec.holdout },
    mitigation: facts.mitigation ?? null,
  };
}

function columnOf(reference: string): string {
  const { view, feature } = splitReference(reference);
  return `${view}__${feature}`;
}

function signatureFeature(model: string, reference: string, views: ReadonlyMap<string, FeatureViewDefinition>): SignatureFeature {
  const { name, type, categorical } = field(model, reference, views);
  if (type === 'embedding')
    throw new AppError(
      'DEFINITION_INVALID',
      `model ${model}: ${reference} is an embedding, which no learner takes as it is; publish its components as features of their own`,
    );
  if (type === 'timestamp')
    throw new AppError(
      'DEFINITION_INVALID',
      `model ${model}: ${reference} is a timestamp, which no learner takes as it is; declare a number made from it`,
    );
  return { name, reference, type, categorical };
}

function field(
  model: string,
  reference: string,
  views: ReadonlyMap<string, FeatureViewDefinition>,
): Pick<ServedFeature, 'name' | 'type'> & { readonly categorical: boolean } {
  const { view, feature } = splitReference(reference);
  const definition = views.get(view);
  if (!definition)
    throw new AppError('VIEW_UNKNOWN', `model ${model} reads ${reference}, but there is no feature view ${view}; apply it first`, {
      details: { model, view },
    });
  const served = servedFeatures(definition.spec);
  const found = served.find((f) => f.name === feature);
  if (found) return { ...found, categorical: definition.spec.features.some((f) => f.name === feature && f.categorical) };
  throw new AppError(
    'DEFINITION_INVALID',
    `model ${model} reads ${reference}, but the view ${view} has no feature ${feature}; it has ${served.map((f) => f.name).join(', ')}`,
  );
}
