import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import type { FeatureValue } from '@headrace/codec/feature-blob';
import { featureField } from '@headrace/definitions/feature-field';
import { featureReference, splitReference } from '@headrace/definitions/reference';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import { planDerived, type DerivedColumn, type DerivedPlan, type DerivedRow } from '../domain/derived-features.js';
import { referencesOf } from '../domain/feature-service.js';
import { isValueFault, readField } from '../domain/feature-value.js';
import type { FieldStatus, OnlineValue } from '../domain/online-vector.js';
import { requestInvalid } from '../errors.js';
import { FeatureTelemetry } from '../telemetry.js';
import { GetOnlineFeatures, type OnlineAnswer, type OnlineRequest } from './get-online-features.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';

export interface ReadRequest extends OnlineRequest {
  /** For each entity, values that on-demand views want from the request; an empty list = none. */
  readonly request: readonly Readonly<Record<string, unknown>>[];
}

/** Online features, stored and derived: derived ones are computed from what the store gave, by the code that training sets use. */
@Injectable()
export class ReadFeatures {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly online: GetOnlineFeatures,
    private readonly telemetry: FeatureTelemetry,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws AppError REQUEST_INVALID, VIEW_UNKNOWN, FEATURE_SERVICE_UNKNOWN */
  async get(request: ReadRequest): Promise<OnlineAnswer> {
    const recent = await this.catalogue.recent();
    const asked = planOf(recent, request) ?? planOf(await this.catalogue.newest(), request);
    const answer = await this.#read(request, asked);
    const views = [...(asked?.references ?? []), ...(asked?.plan?.base ?? [])].map((reference) => splitReference(reference).view);
    this.telemetry.usage.add(this.telemetry.usage.of(request.project, views, request.featureService), request.entities.length);
    return answer;
  }

  async #read(request: ReadRequest, asked: Asked | undefined): Promise<OnlineAnswer> {
    // What is not known, or is stored whole, is answered or refused by the plain way.
    if (!asked || asked.plan === undefined) return this.online.get(request);
    const { plan, names } = asked;
    const given = request.entities.map((_, i) => requestValues(plan, request.request[i] ?? {}, i, this.limits));
    const { vectors } =
      plan.base.length > 0 ? await this.online.get({ ...request, featureService: undefined, features: plan.base }) : { vectors: [] };
    const nowMs = this.clock.nowMs();
    const types = plan.columns.map(({ type }) => type);
    return { names, types, vectors: request.entities.map((_, i) => derive(plan, vectors[i] ?? [], given[i]!, nowMs)) };
  }
}

/** What on-demand views want from the request. @throws AppError REQUEST_INVALID */
export function requestValues(
  { request }: DerivedPlan,
  given: Readonly<Record<string, unknown>>,
  entity: number,
  limits: Limits,
): Record<string, FeatureValue> {
  const values: Record<string, FeatureValue> = {};
  for (const { name, type } of request) {
    if (!Object.hasOwn(given, name)) throw requestInvalid(`entity ${entity} lacks the request value ${name}; send it, or null`);
    const value = readField(featureField.parse({ name, type }), given[name], limits);
    if (isValueFault(value)) throw requestInvalid(`entity ${entity}: the request value ${value.fault}`);
    values[name] = value;
  }
  return values;
}

/** What a request comes to: without plan when all is stored. */
interface Asked {
  readonly plan: DerivedPlan | undefined;
  readonly names: readonly string[];
  readonly references: readonly string[];
}

/** Undefined when something is not known among these views. */
function planOf(views: Views, { project, features, featureService }: OnlineRequest): Asked | undefined {
  const service = featureService && features.length === 0 ? findService(views, project, featureService) : undefined;
  if (featureService && !service) return undefined;
  const references = service ? referencesOf(service) : features;
  if (references.some((reference) => !featureReference.safeParse(reference).success)) return { plan: undefined, names: [], references: [] };
  const isKnown = (reference: string): boolean => {
    const name = reference.slice(0, reference.indexOf(':'));
    return views.find(project, name) !== undefined || views.transform(project, name) !== undefined;
  };
  if (!references.every(isKnown)) return undefined;
  const plan = planDerived(references, {
    view: (name) => views.find(project, name),
    transform: (name) => views.transform(project, name),
  });
  return { plan, names: service ? service.features.map((f) => f.name) : references, references };
}

function findService(views: Views, project: string, name: string): ReturnType<Views['service']> | undefined {
  try {
    return views.service(project, name);
  } catch (error) {
    if (error instanceof AppError && error.code === 'FEATURE_SERVICE_UNKNOWN') return undefined;
    throw error;
  }
}

/** The values asked for, from those that the plan wants of the stores. */
export function derive(plan: DerivedPlan, base: readonly OnlineValue[], request: DerivedRow['request'], nowMs: number): OnlineValue[] {
  const row: DerivedRow = {
    values: base.map((one) => one.value),
    eventTimesMs: base.map((one) => (one.status === 'present' || one.status === 'null_value' ? one.eventTimeMs : undefined)),
    request,
    nowMs,
  };
  return plan.columns.map((column) => (column.isDerived ? deriveOne(column, base, row) : base[column.inputs[0]!]!));
}

/** A null is explained by the worst of its inputs; the time is that of the oldest. */
function deriveOne(column: DerivedColumn, base: readonly OnlineValue[], row: DerivedRow): OnlineValue {
  const value = column.value(row);
  const inputs = column.inputs.map((i) => base[i]!);
  const times = inputs.flatMap(({ eventTimeMs }) => eventTimeMs ?? []);
  const missing = (['not_found', 'outside_max_age'] as const).find((status) => inputs.some((input) => input.status === status));
  const status: FieldStatus = value === null ? (missing ?? 'null_value') : 'present';
  return { value, status, eventTimeMs: times.length > 0 ? Math.min(...times) : undefined };
}
