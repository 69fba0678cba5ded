import { AppError } from '@headrace/base/errors';
import type { FeatureValue } from '@headrace/codec/feature-blob';
import { planDerived, type DerivedPlan, type DerivedRow } from './derived-features.js';
import { referencesOf, type FeatureService } from './feature-service.js';
import { planPointInTime, type PlanColumn, type PointInTimePlan, type TrainingSetRequest } from './point-in-time-plan.js';
import type { Transform } from './transform.js';
import type { View } from './view.js';

/** A row of the join as Postgres gives it, by the source of its column. */
type JoinedRow = Readonly<Record<string, unknown>>;
type Batches = AsyncIterable<readonly JoinedRow[]>;

export interface TrainingSetPlan extends PointInTimePlan {
  /** Adds what is computed to the joined rows. */
  readonly rows: (joined: Batches) => Batches;
}

/** The views, on-demand views and services of a project. */
export interface TrainingSetDefinitions {
  get(project: string, view: string): View;
  find(project: string, view: string): View | undefined;
  transform(project: string, name: string): Transform | undefined;
  service(project: string, name: string): FeatureService;
}

/**
 * The point-in-time join of what is stored, and behind it the derived features, computed row by row by the code of the online read:
 * there `now` is the moment of the request, here it is the event time of the label row.
 */
export function planTrainingSet(request: TrainingSetRequest, definitions: TrainingSetDefinitions): TrainingSetPlan {
  const { project, featureService, labelView } = request;
  const service = featureService ? definitions.service(project, featureService) : undefined;
  const features = service ? referencesOf(service) : request.features;
  const columnNames = service?.features.map((f) => f.name);
  const find = (view: string): View => definitions.get(project, view);
  const derived = planDerived(features, {
    view: (name) => definitions.find(project, name),
    transform: (name) => definitions.transform(project, name),
  });
  if (!derived) return { ...planPointInTime({ ...request, features, columnNames }, find), rows: (joined) => joined };
  const labelFields = labelFieldsOf(derived, find(labelView));
  const joined = planPointInTime({ ...request, features: derived.base, columnNames: undefined, timed: derived.timed, labelFields }, find);
  const columns = finalColumns(joined, derived, columnNames);
  refuseRepeats(columns);
  return {
    ...joined,
    columns,
    viewHashes: { ...joined.viewHashes, ...Object.fromEntries(derived.transforms.map((t) => [t.name, t.contentHash])) },
    rows: (batches) => deriveAll(batches, derived, joined.columns),
  };
}

/** In a training set the request is the label row: it must have been stored with it. */
function labelFieldsOf({ request }: DerivedPlan, label: View): string[] {
  for (const { name, type } of request) {
    const field = label.spec.features.find((f) => f.name === name);
    if (field?.type !== type)
      throw new AppError(
        'REQUEST_INVALID',
        `an on-demand view wants the request value ${name} (${type}); in a training set it comes from label view ${label.name}, which has ${field ? `it as ${field.type}` : 'no such feature'}`,
      );
  }
  return request.map(({ name }) => name);
}

/** Keys and event time, then what was asked for, then the label; base values and what came with the label are not shown. */
function finalColumns({ columns }: PointInTimePlan, { columns: asked }: DerivedPlan, names: readonly string[] | undefined): PlanColumn[] {
  const isBase = (column: PlanColumn): boolean => /^c\d+$/.test(column.source) || /^l\d+$/.test(column.source);
  const outer = columns.filter((column) => !isBase(column));
  const inner = asked.map(({ reference, type, isDerived, inputs }, i): PlanColumn => {
    const source = isDerived ? `d${i}` : `c${inputs[0]!}`;
    return { name: names?.[i] ?? reference.replace(':', '__'), type, source, nullable: true };
  });
  return [...outer.slice(0, -1), ...inner, outer.at(-1)!];
}

async function* deriveAll(batches: Batches, plan: DerivedPlan, joined: readonly PlanColumn[]): Batches {
  const sources = plan.base.map((_, i) => `c${i}`);
  const request = plan.request.map(({ name }, i) => ({ name, source: `l${i}`, type: joined.find((c) => c.source === `l${i}`)!.type }));
  const derived = plan.columns.flatMap((column, i) => (column.isDerived ? [{ source: `d${i}`, column }] : []));
  for await (const batch of batches) {
    yield batch.map((row): JoinedRow => {
      const input: DerivedRow = {
        values: sources.map((source) => fromPostgres(row[source])),
        eventTimesMs: sources.map((source) => (row[`${source}_time`] as Date | null | undefined)?.getTime()),
        request: Object.fromEntries(request.map(({ name, source }) => [name, fromPostgres(row[source])])),
        nowMs: (row['_event_time'] as Date).getTime(),
      };
      const added = derived.map(({ source, column }) => [source, toPostgres(column.type, column.value(input))]);
      return { ...row, ...(Object.fromEntries(added) as JoinedRow) };
    });
  }
}

/** As the online store holds it: times in milliseconds, 32-bit floats with their own bits. */
function fromPostgres(value: unknown): FeatureValue {
  if (value instanceof Date) return value.getTime();
  return Array.isArray(value) ? (value as number[]).map(Math.fround) : ((value ?? null) as FeatureValue);
}

function toPostgres(type: PlanColumn['type'], value: FeatureValue): unknown {
  return type === 'timestamp' && value !== null ? new Date(value as number) : value;
}

function refuseRepeats(columns: readonly PlanColumn[]): void {
  const names = columns.map(({ name }) => name);
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined)
    throw new AppError(
      'REQUEST_INVALID',
      `the training set would have two columns ${repeated}; ask for each feature once, under a name of its own`,
    );
}
