import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { sleep } from '@headrace/base/clock';
import { Log } from '@headrace/platform/log';
import { CLOCK } from '@headrace/platform/platform-module';
import type { Background } from '@headrace/platform/service';
import { LIMITS, type Limits } from '../config.js';
import { WindowStatistics } from '../domain/quality-statistics.js';
import { judge, worstByFeature, type QualityVerdict } from '../domain/quality-verdict.js';
import { pinnedSpan, type QualityObjective } from '../domain/quality-windows.js';
import type { View } from '../domain/view.js';
import { requestInvalid } from '../errors.js';
import { QualityStore, type QualityWindow } from '../io/quality-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { FeatureAlerts } from './feature-alerts.js';
import { ViewCatalogue } from './view-catalogue.js';

export interface QualityReport {
  readonly view: View;
  readonly windows: readonly QualityWindow[];
  /** The newest window that has ended and has rows enough; undefined = there is none, or no reference for it. */
  readonly judged: QualityWindow | undefined;
  readonly reference: WindowStatistics;
  readonly verdicts: readonly QualityVerdict[];
}

/** Statistics of windows against their reference, and the alerts that follow. */
@Injectable()
export class FeatureQuality {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly store: QualityStore,
    private readonly alerts: FeatureAlerts,
    private readonly telemetry: FeatureTelemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @param name empty = every view of the project that has quality. @param windows newest, at most; all are judged. */
  async report(project: string, name: string, windows: number): Promise<QualityReport[]> {
    const reports: QualityReport[] = [];
    for (const view of await this.#views(project, name)) reports.push(await this.#report(view, windows));
    return reports;
  }

  /** The same, and alerts fire or are resolved by it. */
  async judge(project: string, name: string, windows: number): Promise<QualityReport[]> {
    const reports = await this.report(project, name, windows);
    for (const report of reports) await this.#settle(report);
    return reports;
  }

  async judgeAll(signal: AbortSignal): Promise<void> {
    const { all } = await this.catalogue.newest();
    for (const view of all) if (view.spec.quality && !signal.aborted) await this.#settle(await this.#report(view, 0));
  }

  async #report(view: View, limit: number): Promise<QualityReport> {
    const quality = view.spec.quality!;
    const judgedMs = await this.store.newestWith(view, quality.minRows, lastEnded(quality, this.clock.nowMs()));
    const newest = limit > 0 ? await this.store.windows(view, limit) : [];
    const { judged, before } = await this.#toCompare(view, quality, judgedMs);
    const reference = new WindowStatistics();
    for (const { statistics } of before) reference.merge(statistics.toJSON());
    const canJudge = judged !== undefined && reference.rows >= quality.minRows;
    return {
      view,
      windows: newest,
      judged: canJudge ? judged : undefined,
      reference,
      verdicts: canJudge ? judge(view, judged.statistics, reference) : [],
    };
  }

  /** No more windows are read than are compared: each may hold a sketch for every feature. */
  async #toCompare(view: View, { reference }: QualityObjective, judgedMs: number | undefined): Promise<Compared> {
    if (judgedMs === undefined) return { judged: undefined, before: [] };
    if ('windows' in reference) {
      const [judged, ...before] = await this.store.windows(view, reference.windows + 1, {
        fromMs: Number.MIN_SAFE_INTEGER,
        toMs: judgedMs + 1,
      });
      return { judged, before };
    }
    const [judged] = await this.store.windows(view, 1, { fromMs: judgedMs, toMs: judgedMs + 1 });
    return { judged, before: await this.store.windows(view, Number.MAX_SAFE_INTEGER, pinnedSpan(view.spec.quality!)) };
  }

  async #settle({ view, judged, verdicts }: QualityReport): Promise<void> {
    if (!judged) return;
    const firing = new Set(await this.alerts.firing(view.project, view.name, 'quality'));
    for (const { feature, metric, value, threshold } of verdicts)
      this.telemetry.quality(view.name, feature, metric, value / Math.max(threshold, Number.EPSILON));
    const from = new Date(judged.startMs).toISOString();
    for (const { feature, metric, value, threshold, bad, sentence } of worstByFeature(verdicts)) {
      if (!bad && !firing.has(feature)) continue;
      const about = { project: view.project, view: view.name, feature, metric, value, threshold, bad };
      await this.alerts.settle({
        ...about,
        kind: 'quality',
        samples: judged.statistics.rows,
        sentence: `${view.name} from ${from}: ${sentence}`,
      });
    }
  }

  async #views(project: string, name: string): Promise<View[]> {
    const views = await this.catalogue.newest();
    if (name === '') return views.all.filter((view) => view.project === project && view.spec.quality);
    const view = views.get(project, name);
    if (!view.spec.quality) throw requestInvalid(`view ${name} has no \`quality\`; add it to its definition, and rows count from then on`);
    return [view];
  }
}

/** The latest start of a window that has ended; rows that come a little late shall be in it when it is judged. */
function lastEnded({ window }: QualityObjective, nowMs: number): number {
  return Math.floor(nowMs - window - Math.min(window / 10, LATENESS_MAX_MS));
}

interface Compared {
  readonly judged: QualityWindow | undefined;
  readonly before: readonly QualityWindow[];
}

const LATENESS_MAX_MS = 300_000;

/** Judges every view that has quality, in turn. */
@Injectable()
export class QualityWatch implements Background {
  readonly name = 'feature-quality';
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly quality: FeatureQuality,
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

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.limits.qualityEveryMs, signal).catch(() => undefined); // stopped, not failed
      if (signal.aborted) return;
      try {
        await this.quality.judgeAll(signal);
      } catch (error) {
        if (!signal.aborted) this.log.warn('views could not be judged; it will be tried again', { error });
      }
    }
  }
}
