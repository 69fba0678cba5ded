import type { FeatureValue } from '@headrace/codec/feature-blob';
import type { ValueType } from '@headrace/definitions/feature-field';
import { splitReference } from '@headrace/definitions/reference';
import { servedFeatures } from '@headrace/definitions/served-features';
import { timeFeatureValue, type TimeFeature } from '@headrace/definitions/time-feature';
import type { Transform } from './transform.js';
import type { View } from './view.js';

/** One entity at one moment, as the stores gave it: what derived features are computed from, online and offline alike. */
export interface DerivedRow {
  /** In the order of `base`. */
  readonly values: readonly FeatureValue[];
  /** Event time of the row that each base value comes from; undefined when there is none or it is too old. */
  readonly eventTimesMs: readonly (number | undefined)[];
  /** Values of the request by name, of the types that were declared. */
  readonly request: Readonly<Record<string, FeatureValue>>;
  readonly nowMs: number;
}

export interface DerivedColumn {
  readonly reference: string;
  readonly type: ValueType;
  /** The base values that it is made of. */
  readonly inputs: readonly number[];
  readonly isDerived: boolean;
  /** The same function in both paths. */
  readonly value: (row: DerivedRow) => FeatureValue;
}

export interface DerivedPlan {
  /** References that the stores are asked for. */
  readonly base: readonly string[];
  /** Of the base values: those whose event time is needed. */
  readonly timed: readonly number[];
  readonly request: readonly { readonly name: string; readonly type: ValueType }[];
  /** In the order of the references. */
  readonly columns: readonly DerivedColumn[];
  /** On-demand views that take part. */
  readonly transforms: readonly Transform[];
}

export interface Definitions {
  view(name: string): View | undefined;
  transform(name: string): Transform | undefined;
}

/** How the features asked for are made of what is stored; undefined when all of them are stored, or one of them is not known. */
export function planDerived(references: readonly string[], definitions: Definitions): DerivedPlan | undefined {
  const builder = new PlanBuilder(definitions);
  const columns: DerivedColumn[] = [];
  for (const reference of references) {
    const column = builder.column(reference);
    if (!column) return undefined;
    columns.push(column);
  }
  if (!columns.some((column) => column.isDerived)) return undefined;
  const { base, timed, request, transforms } = builder;
  return { base, timed: [...timed], request: [...request.values()], columns, transforms: [...transforms] };
}

class PlanBuilder {
  readonly base: string[] = [];
  readonly timed = new Set<number>();
  readonly request = new Map<string, { readonly name: string; readonly type: ValueType }>();
  readonly transforms = new Set<Transform>();

  constructor(private readonly definitions: Definitions) {}

  column(reference: string): DerivedColumn | undefined {
    const { view: name, feature } = splitReference(reference);
    const view = this.definitions.view(name);
    if (view) return this.#ofView(view, feature, reference);
    const transform = this.definitions.transform(name);
    return transform && this.#ofTransform(transform, feature, reference);
  }

  #ofView(view: View, feature: string, reference: string): DerivedColumn | undefined {
    const served = servedFeatures(view.spec).find((f) => f.name === feature);
    if (!served) return undefined;
    const time = view.spec.timeFeatures?.find((f) => f.name === feature);
    if (time && time.kind !== 'frequency') return this.#ofTime(view, time, reference, served.type);
    const at = this.#baseOf(reference);
    return { reference, type: served.type, inputs: [at], isDerived: false, value: ({ values }) => values[at] ?? null };
  }

  #ofTime(view: View, feature: Exclude<TimeFeature, { kind: 'frequency' }>, reference: string, type: ValueType): DerivedColumn {
    const isColumn = feature.of !== 'event_time' && feature.of !== 'now';
    // Any stored feature tells when its row became true.
    const at = this.#baseOf(`${view.name}:${isColumn ? feature.of : view.spec.features[0]!.name}`);
    this.timed.add(at);
    const value = ({ values, eventTimesMs, nowMs }: DerivedRow): FeatureValue =>
      timeFeatureValue(feature, { eventTimeMs: eventTimesMs[at], nowMs, columnMs: isColumn ? (values[at] as number | null) : null });
    return { reference, type, inputs: [at], isDerived: true, value };
  }

  #ofTransform(transform: Transform, feature: string, reference: string): DerivedColumn | undefined {
    const { inputs, request, features } = transform.compiled;
    const found = features.find((f) => f.name === feature);
    if (!found) return undefined;
    const columns = inputs.map((input) => this.column(input.reference)!);
    for (const field of request) this.request.set(field.name, field);
    this.transforms.add(transform);
    const { evaluate, reads } = found.expression;
    const value = (row: DerivedRow): FeatureValue =>
      evaluate([...columns.map((column) => column.value(row)), ...request.map((field) => row.request[field.name] ?? null), row.nowMs]);
    const read = reads.filter((i) => i < columns.length).flatMap((i) => columns[i]!.inputs);
    return { reference, type: found.type, inputs: [...new Set(read)], isDerived: true, value };
  }

  #baseOf(reference: string): number {
    const known = this.base.indexOf(reference);
    return known >= 0 ? known : this.base.push(reference) - 1;
  }
}
