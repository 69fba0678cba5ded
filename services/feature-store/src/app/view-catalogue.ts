import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { Log } from '@headrace/platform/log';
import { CLOCK } from '@headrace/platform/platform-module';
import type { Transform } from '../domain/transform.js';
import type { View } from '../domain/view.js';
import type { ProjectDefinitions } from '../domain/feature-search.js';
import type { FeatureService } from '../domain/feature-service.js';
import { vectorOf, type ServiceVector } from '../domain/service-vector.js';
import { featureServiceUnknown, viewUnknown } from '../errors.js';
import { DefinitionStore, type Loaded } from '../io/definition-store.js';

/** How long readers may trust what is in memory; another process may apply definitions meanwhile. */
const TRUST_MS = 1_000;

/** The views and services of one moment. */
export class Views {
  readonly #views: ReadonlyMap<string, View>;
  readonly #services: ReadonlyMap<string, FeatureService>;
  readonly #transforms: ReadonlyMap<string, Transform>;
  readonly epoch: number;
  readonly all: readonly View[];
  readonly transforms: readonly Transform[];
  readonly services: readonly FeatureService[];
  readonly vectors: readonly ServiceVector[];

  constructor({ epoch, views, transforms, services }: Loaded) {
    this.epoch = epoch;
    this.all = views;
    this.transforms = transforms;
    this.services = services;
    this.#transforms = new Map(transforms.map((transform) => [`${transform.project}/${transform.name}`, transform]));
    this.#services = new Map(services.map((service) => [`${service.project}/${service.name}`, service]));
    this.#views = new Map(views.map((view) => [`${view.project}/${view.name}`, view]));
    this.vectors = services.flatMap((service) => vectorOf(service, (view) => this.find(service.project, view)) ?? []);
  }

  /** Those that rows of the view are part of. */
  vectorsWith({ project, name }: View): ServiceVector[] {
    return this.vectors.filter((vector) => vector.project === project && vector.views.includes(name));
  }

  vector(project: string, service: string): ServiceVector | undefined {
    return this.vectors.find((vector) => vector.project === project && vector.service === service);
  }

  find(project: string, name: string): View | undefined {
    return this.#views.get(`${project}/${name}`);
  }

  /** @throws AppError VIEW_UNKNOWN */
  get(project: string, name: string): View {
    const view = this.find(project, name);
    if (!view) throw viewUnknown(project, name);
    return view;
  }

  transform(project: string, name: string): Transform | undefined {
    return this.#transforms.get(`${project}/${name}`);
  }

  /** All that a project has. */
  ofProject(project: string): ProjectDefinitions {
    const isOf = (one: { readonly project: string }): boolean => one.project === project;
    return { views: this.all.filter(isOf), transforms: this.transforms.filter(isOf), services: this.services.filter(isOf) };
  }

  /** @throws AppError FEATURE_SERVICE_UNKNOWN, DEFINITION_CONFLICT when a feature that it picks was taken away */
  service(project: string, name: string): FeatureService {
    const service = this.#services.get(`${project}/${name}`);
    if (!service) throw featureServiceUnknown(project, name);
    if (service.faults.length > 0)
      throw new AppError('DEFINITION_CONFLICT', `feature service ${name} is broken: ${service.faults.join('; ')}; apply it anew`);
    return service;
  }
}

/** Views in memory. Ingest asks for the newest; online reads take what is there, also while Postgres is away. */
@Injectable()
export class ViewCatalogue {
  #views: Views | undefined;
  #checkedMs = -Infinity;
  #loading: Promise<Views> | undefined;

  constructor(
    private readonly definitions: DefinitionStore,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** As stored now: one tiny query, and a load when something was applied since. */
  async newest(): Promise<Views> {
    const epoch = await this.definitions.epoch();
    if (this.#views?.epoch !== epoch) {
      this.#views = new Views(await this.definitions.load());
    }
    this.#checkedMs = this.clock.nowMs();
    return this.#views!;
  }

  /** What is in memory, undefined before the first load. When it is older than a second, newer ones are fetched in the background. */
  inMemory(): Views | undefined {
    if (this.clock.nowMs() - this.#checkedMs >= TRUST_MS)
      this.recent().catch((error: unknown) => this.log.warn('views could not be loaded', { error: messageOf(error) }));
    return this.#views;
  }

  /** At most a second old, or as old as the outage of Postgres. */
  async recent(): Promise<Views> {
    if (this.#views && this.clock.nowMs() - this.#checkedMs < TRUST_MS) return this.#views;
    const loading = (this.#loading ??= this.newest().finally(() => (this.#loading = undefined)));
    if (!this.#views) return loading;
    try {
      return await loading;
    } catch (error) {
      this.log.warn('views could not be refreshed; reading goes on with those in memory', { error: messageOf(error) });
      this.#checkedMs = this.clock.nowMs();
      return this.#views;
    }
  }
}
