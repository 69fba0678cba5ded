import type {
  FeatureQualityDefinition,
  FeatureStatistics as FeatureStatisticsMessage,
  QualityRequest,
  QualityResponse,
  QualityWindow,
  ViewQuality,
} from '@headrace/contracts/features/v1/quality';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { FeatureQuality, type QualityReport } from '../app/quality-watch.js';
import { histogram, statisticsKind, type WindowStatistics } from '../domain/quality-statistics.js';
import type { View } from '../domain/view.js';
import { projectOf } from './fields.js';

const WINDOWS_MAX = 168;
const QUANTILES = [0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1];
const CATEGORIES_LISTED = 20;

/** The gRPC door of quality statistics. */
@Injectable()
export class QualityRpc implements Implementation<typeof FeatureQualityDefinition> {
  constructor(private readonly quality: FeatureQuality) {}

  async listQuality({ project, view, windows }: QualityRequest): Promise<QualityResponse> {
    return { views: (await this.quality.report(projectOf(project), view, Math.min(windows, WINDOWS_MAX))).map(toViewQuality) };
  }

  async judge({ project, view, windows }: QualityRequest): Promise<QualityResponse> {
    return { views: (await this.quality.judge(projectOf(project), view, Math.min(windows, WINDOWS_MAX))).map(toViewQuality) };
  }
}

function toViewQuality({ view, windows, judged, reference, verdicts }: QualityReport): ViewQuality {
  const { by, window } = view.spec.quality!;
  return {
    view: view.name,
    by,
    windowMs: window,
    windows: windows.map(({ startMs, statistics }) => toWindow(view, statistics, new Date(startMs))),
    judged: judged && new Date(judged.startMs),
    reference: toWindow(view, reference, undefined),
    verdicts: verdicts.map((verdict) => ({ ...verdict, newCategories: [...verdict.newCategories] })),
  };
}

function toWindow(view: View, statistics: WindowStatistics, start: Date | undefined): QualityWindow {
  const features = view.spec.features.map((field): FeatureStatisticsMessage => {
    const { values, moments, sketch, categories } = statistics.feature(field.name);
    const kind = statisticsKind(field);
    const hasNumbers = kind === 'numbers' && moments.count > 0;
    const hasCategories = kind === 'categories';
    return {
      feature: field.name,
      count: values,
      nulls: statistics.rows - values,
      mean: hasNumbers ? (moments.mean() ?? undefined) : undefined,
      std: hasNumbers ? (moments.deviation() ?? undefined) : undefined,
      quantiles: hasNumbers ? QUANTILES.map((q) => ({ q, value: sketch.quantile(q) })) : [],
      histogram: hasNumbers ? histogram(sketch) : [],
      distinct: hasCategories ? categories.distinct() : 0,
      categories: hasCategories
        ? categories
            .list()
            .slice(0, CATEGORIES_LISTED)
            .map(({ label, count }) => ({ value: label, count }))
        : [],
    };
  });
  return { start, rows: statistics.rows, features };
}
