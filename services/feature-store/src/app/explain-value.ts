import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import type { FeatureValue } from '@headrace/codec/feature-blob';
import { featureReference, splitReference } from '@headrace/definitions/reference';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import { planDerived, type DerivedPlan } from '../domain/derived-features.js';
import { byName } from '../domain/feature-search.js';
import type { OnlineValue } from '../domain/online-vector.js';
import { isPersonal } from '../domain/personal.js';
import { computedReason, reasonOf } from '../domain/value-reason.js';
import { requestInvalid } from '../errors.js';
import { derive, requestValues } from './read-features.js';
import { ServedValues } from './served-values.js';
import { ValueOrigins, type ValueOrigin } from './value-origins.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';

export interface ExplainRequest {
  readonly project: string;
  /** `view:feature` */
  readonly feature: string;
  readonly entity: Readonly<Record<string, string>>;
  /** Undefined = now, as the online store serves it. */
  readonly atMs: number | undefined;
  /** Only rows that had arrived by then; undefined = all. */
  readonly asOfMs: number | undefined;
  /** Values that on-demand views want from the request. */
  readonly request: Readonly<Record<string, unknown>>;
}

export interface ExplainedOrigin extends ValueOrigin {
  readonly isPersonal: boolean;
  readonly reason: string;
  /** What the online store serves now; undefined when another moment is asked about, or it cannot be read. */
  readonly served: (OnlineValue & { readonly agrees: boolean }) | undefined;
}

export interface Explanation extends OnlineValue {
  readonly feature: string;
  readonly atMs: number;
  readonly isPersonal: boolean;
  readonly reason: string;
  /** One for each stored feature and window that takes part. */
  readonly origins: readonly ExplainedOrigin[];
}

/** Why a feature has the value that it has, for one entity at one moment. */
@Injectable()
export class ExplainValue {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly origins: ValueOrigins,
    private readonly served: ServedValues,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws AppError VIEW_UNKNOWN, REQUEST_INVALID */
  async explain(asked: ExplainRequest): Promise<Explanation> {
    const { project, feature, atMs = this.clock.nowMs() } = asked;
    if (!featureReference.safeParse(feature).success)
      throw requestInvalid(`${JSON.stringify(feature)} is no feature reference; write \`view:feature\``);
    const views = await this.catalogue.newest();
    const definitions = byName(views.ofProject(project));
    const plan = planDerived([feature], definitions);
    const { view: name } = splitReference(feature);
    if (!plan && views.transform(project, name))
      throw requestInvalid(`on-demand view ${name} has no such feature as ${feature}; search for those that it has`);
    const personal = isPersonal(feature, definitions);
    const explainOne = (reference: string): Promise<ExplainedOrigin> =>
      this.#explainOne(views, reference, asked, atMs, isPersonal(reference, definitions));
    if (!plan) {
      const origin = await explainOne(feature);
      return { ...valueOf(origin), feature, atMs, isPersonal: personal, reason: origin.reason, origins: [origin] };
    }
    const given = requestValues(plan, asked.request, 0, this.limits);
    const [column] = plan.columns;
    const base = plan.base.map(() => NOT_READ);
    const origins: ExplainedOrigin[] = [];
    for (const i of column!.inputs) {
      const origin = await explainOne(plan.base[i]!);
      base[i] = valueOf(origin);
      origins.push(origin);
    }
    const [value] = derive(plan, base, given, atMs);
    const reason = computedReason(column!, howComputed(views, project, feature, plan), origins);
    return { ...value!, feature, atMs, isPersonal: personal, reason, origins };
  }

  async #explainOne(
    views: Views,
    reference: string,
    { project, entity, atMs, asOfMs }: ExplainRequest,
    nowMs: number,
    personal: boolean,
  ): Promise<ExplainedOrigin> {
    const view = views.get(project, splitReference(reference).view);
    // The online store holds the newest row, also one that is dated a little ahead.
    const isServed = atMs === undefined && asOfMs === undefined && view.spec.online;
    const origin = await this.origins.of(view, reference, entity, { untilMs: isServed ? undefined : nowMs, nowMs, asOfMs });
    const served = isServed ? await this.served.of(project, reference, entity) : undefined;
    return { ...origin, isPersonal: personal, reason: reasonOf(origin), served: served && { ...served, agrees: isSame(served, origin) } };
  }
}

/** In the place of an input of the view that this feature does not read. */
const NOT_READ: OnlineValue = { value: null, status: 'not_found', eventTimeMs: undefined };

function valueOf({ value, status, eventTimeMs }: OnlineValue): OnlineValue {
  return { value, status, eventTimeMs };
}

/** In the words of the definition. */
function howComputed(views: Views, project: string, reference: string, { request }: DerivedPlan): string {
  const { view: name, feature } = splitReference(reference);
  const time = views.find(project, name)?.spec.timeFeatures?.find((one) => one.name === feature);
  if (time && time.kind !== 'frequency') return `${time.kind === 'recency' ? 'recency' : time.part} of ${time.of}`;
  const transform = views.transform(project, name)!;
  const { expression } = transform.spec.features.find((one) => one.name === feature)!;
  const inputs = Object.entries(transform.spec.inputs).map(([variable, input]) => `${variable} is ${input}`);
  const asked = request.map((one) => `${one.name} comes with the request`);
  return `${expression}, where ${[...inputs, ...asked, '`now` is the moment'].join(', ')}`;
}

/** A value that was written between the two looks is no difference for long: look again. */
function isSame(served: OnlineValue, expected: OnlineValue): boolean {
  const [a, b]: FeatureValue[] = [served.value, expected.value];
  const isList = Array.isArray(a) && Array.isArray(b);
  const sameValue = isList ? a.length === b.length && a.every((one, i) => Object.is(one, b[i])) : Object.is(a, b);
  return sameValue && served.status === expected.status && served.eventTimeMs === expected.eventTimeMs;
}
