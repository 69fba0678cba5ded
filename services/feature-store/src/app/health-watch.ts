import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { sleep } from '@headrace/base/clock';
import { Log } from '@headrace/platform/log';
import { CLOCK } from '@headrace/platform/platform-module';
import type { Background } from '@headrace/platform/service';
import { LIMITS, type Limits } from '../config.js';
import type { Skew } from '../domain/consistency.js';
import { burnRates, SHORT_WINDOW_SHARE, type BurnRates, type FreshnessCount } from '../domain/freshness-objective.js';
import type { View } from '../domain/view.js';
import { requestInvalid } from '../errors.js';
import { HealthStore, type FeatureCounts, type Finding } from '../io/health-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { FeatureAlerts } from './feature-alerts.js';
import { InspectView, type Inspected } from './inspect-view.js';
import { ViewCatalogue } from './view-catalogue.js';
import { WriteOnline } from './write-online.js';

export interface ViewReport {
  readonly view: View;
  readonly counts: readonly FeatureCounts[];
  readonly findings: readonly Finding[];
  readonly freshness: (FreshnessCount & BurnRates) | undefined;
}

/** What an inspection leads to: counters, findings, alerts. */
@Injectable()
export class FeatureHealth {
  constructor(
    private readonly inspector: InspectView,
    private readonly store: HealthStore,
    private readonly alerts: FeatureAlerts,
    private readonly telemetry: FeatureTelemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async inspect(view: View, sample: number, signal?: AbortSignal): Promise<ViewReport> {
    const known = await this.store.findings(view);
    const inspected = await this.inspector.inspect(view, sample, [...new Set(known.map(({ entity }) => entity))], signal);
    const now = new Date(this.clock.nowMs());
    const found = inspected.skews.map(({ entity, skew }) => ({ entity, skew, ...texts(view, skew) }));
    // What was found before and is still so is counted again, but not listed twice.
    const listed = new Set(known.map(({ feature, entity, kind }) => JSON.stringify([feature, entity, kind])));
    const unlisted = found.filter(({ entity, skew }) => !listed.has(JSON.stringify([skew.feature, entity, skew.kind])));
    await this.store.record(view, inspected.checked, found, unlisted, now);
    this.telemetry.inspected(
      view.name,
      inspected.checked,
      inspected.skews.map(({ skew }) => skew),
    );
    await this.#settleSkew(view, inspected);
    await this.#measureFreshness(view, inspected, now);
    const counts = view.spec.features.map(({ name }) => countsOf(name, inspected));
    const findings = found.map(({ entity, skew, served, expected }): Finding => ({
      feature: skew.feature,
      entity,
      kind: skew.kind,
      served,
      expected,
      eventTime: skew.eventTimeMs === undefined ? undefined : new Date(skew.eventTimeMs),
      foundAt: now,
    }));
    return { view, counts, findings, freshness: await this.#freshness(view) };
  }

  nowMs(): number {
    return this.clock.nowMs();
  }

  async report(view: View): Promise<ViewReport> {
    return {
      view,
      counts: await this.store.counts(view),
      findings: await this.store.findings(view),
      freshness: await this.#freshness(view),
    };
  }

  async #settleSkew(view: View, { checked, skews }: Inspected): Promise<void> {
    const firing = await this.alerts.firing(view.project, view.name, 'skew');
    const skewed = new Set(skews.map(({ skew }) => skew.feature));
    for (const feature of new Set([...firing, ...skewed])) {
      const count = skews.filter(({ skew }) => skew.feature === feature).length;
      await this.alerts.settle({
        project: view.project,
        view: view.name,
        feature,
        kind: 'skew',
        metric: 'online_offline_skew',
        value: count / Math.max(1, checked),
        threshold: 0,
        samples: checked,
        bad: count > 0,
        sentence:
          count > 0
            ? `${count} of ${checked} sampled entities were served ${view.name}:${feature} otherwise than the offline store says`
            : `all ${checked} sampled entities were served ${view.name}:${feature} as the offline store says`,
      });
    }
  }

  async #measureFreshness(view: View, { checked, servedTimesMs }: Inspected, now: Date): Promise<void> {
    const objective = view.spec.freshness;
    if (!objective || checked === 0) return;
    const young = servedTimesMs.filter((ms) => now.getTime() - ms <= objective.maxAge).length;
    await this.store.addFreshness(view, now, { young, sampled: servedTimesMs.length }, objective.window);
    const burn = (await this.#freshness(view))!;
    this.telemetry.freshness(view.name, burn);
    await this.alerts.settle({
      project: view.project,
      view: view.name,
      feature: '',
      kind: 'freshness',
      metric: 'freshness_burn_rate',
      value: burn.long,
      threshold: 1,
      samples: burn.sampled,
      bad: burn.long > 1 && burn.short > 1,
      sentence: `${burn.young} of ${burn.sampled} sampled entities of ${view.name} were younger than ${objective.maxAge} ms over ${objective.window} ms; ${objective.fraction} is the objective`,
    });
  }

  async #freshness(view: View): Promise<(FreshnessCount & BurnRates) | undefined> {
    const objective = view.spec.freshness;
    if (!objective) return undefined;
    const since = (ms: number): Date => new Date(this.clock.nowMs() - ms);
    const long = await this.store.freshness(view, since(objective.window));
    const short = await this.store.freshness(view, since(objective.window * SHORT_WINDOW_SHARE));
    return { ...long, ...burnRates(objective.fraction, long, short) };
  }
}

function countsOf(feature: string, { checked, skews }: Inspected): FeatureCounts {
  const count = (kind: Skew['kind']): number => skews.filter(({ skew }) => skew.feature === feature && skew.kind === kind).length;
  return { feature, checked, mismatched: count('mismatch'), missing: count('missing'), extra: count('extra') };
}

/** Values as JSON; what is marked pii stays in the stores. */
function texts(view: View, { feature, served, expected }: Skew): { served: string; expected: string } {
  const hidden = view.spec.features.find(({ name }) => name === feature)?.pii ?? false;
  return hidden ? { served: '"(hidden)"', expected: '"(hidden)"' } : { served: JSON.stringify(served), expected: JSON.stringify(expected) };
}

/** Inspects every online view in turn, and takes what is past its time to live out of the online store. */
@Injectable()
export class HealthWatch implements Background {
  readonly name = 'feature-health';
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly health: FeatureHealth,
    private readonly online: WriteOnline,
    @Inject(LIMITS) private readonly limits: Limits,
    private readonly log: Log,
  ) {}

  start(): Promise<void> {
    this.#running = this.#follow();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'));
    await this.#running;
  }

  /** Now, for a caller. @param name empty = every online view of the project. */
  async inspect(project: string, name: string): Promise<ViewReport[]> {
    const reports: ViewReport[] = [];
    for (const view of await this.#views(project, name)) reports.push(await this.health.inspect(view, this.limits.inspectSample));
    return reports;
  }

  async report(project: string, name: string): Promise<ViewReport[]> {
    const reports: ViewReport[] = [];
    for (const view of await this.#views(project, name)) reports.push(await this.health.report(view));
    return reports;
  }

  async #views(project: string, name: string): Promise<View[]> {
    const views = await this.catalogue.newest();
    if (name === '') return views.all.filter((view) => view.project === project && view.spec.online);
    const view = views.get(project, name);
    if (!view.spec.online) throw requestInvalid(`view ${name} is kept offline only; nothing of it is served`);
    return [view];
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.limits.inspectEveryMs, signal).catch(() => undefined); // stopped, not failed
      if (signal.aborted) return;
      try {
        const { all } = await this.catalogue.newest();
        for (const view of all) if (view.spec.online && !signal.aborted) await this.health.inspect(view, this.limits.inspectSample, signal);
        const removed = await this.online.removeExpired(all, this.health.nowMs());
        if (removed > 0) this.log.info('expired values removed from the online store', { removed });
      } catch (error) {
        if (!signal.aborted) this.log.warn('views could not be inspected; it will be tried again', { error });
      }
    }
  }
}
