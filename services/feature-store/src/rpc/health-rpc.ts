import { splitEntityKey } from '@headrace/codec/feature-key';
import type {
  FeatureAlerts as FeatureAlertsMessage,
  FeatureHealthDefinition,
  HealthFinding,
  HealthRequest,
  HealthResponse,
  ListRebuildsRequest,
  ListRebuildsResponse,
  ViewHealth,
} from '@headrace/contracts/features/v1/health';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { FeatureAlerts, toAlert } from '../app/feature-alerts.js';
import { HealthWatch, type ViewReport } from '../app/health-watch.js';
import { RebuildOnline } from '../app/rebuild-online.js';
import { projectOf } from './fields.js';

const FINDINGS_MAX = 200;

/** The gRPC door of the inspection. */
@Injectable()
export class HealthRpc implements Implementation<typeof FeatureHealthDefinition> {
  constructor(
    private readonly health: HealthWatch,
    private readonly alerts: FeatureAlerts,
    private readonly rebuilds: RebuildOnline,
  ) {}

  async listHealth({ project, view }: HealthRequest): Promise<HealthResponse> {
    return toResponse(await this.health.report(projectOf(project), view));
  }

  async inspect({ project, view }: HealthRequest): Promise<HealthResponse> {
    return toResponse(await this.health.inspect(projectOf(project), view));
  }

  async listFeatureAlerts({ project, view }: HealthRequest): Promise<FeatureAlertsMessage> {
    return { alerts: (await this.alerts.list(projectOf(project), view)).map(toAlert) };
  }

  async listRebuilds({ project }: ListRebuildsRequest): Promise<ListRebuildsResponse> {
    const rebuilds = await this.rebuilds.list(projectOf(project));
    return { rebuilds: rebuilds.map(({ afterEntity: _named, finishedAt, ...one }) => ({ ...one, finishedAt: finishedAt ?? undefined })) };
  }
}

function toResponse(reports: readonly ViewReport[]): HealthResponse {
  return { views: reports.map(toViewHealth), findings: reports.flatMap(toFindings).slice(0, FINDINGS_MAX) };
}

function toViewHealth({ view, counts, freshness }: ViewReport): ViewHealth {
  return {
    view: view.name,
    checked: Math.max(0, ...counts.map(({ checked }) => checked)),
    features: counts.map(({ feature, mismatched, missing, extra }) => ({ feature, mismatched, missing, extra })),
    freshness: freshness && {
      young: freshness.young,
      sampled: freshness.sampled,
      fraction: view.spec.freshness!.fraction,
      maxAgeMs: view.spec.freshness!.maxAge,
      burnRate: freshness.long,
      burnRateShort: freshness.short,
    },
  };
}

function toFindings({ view, findings }: ViewReport): HealthFinding[] {
  return findings.map(({ feature, entity, kind, served, expected, eventTime, foundAt }) => {
    const values = splitEntityKey(entity);
    return {
      view: view.name,
      feature,
      entity: Object.fromEntries(view.joinKeys.map((name, i) => [name, values[i] ?? ''])),
      kind,
      served,
      expected,
      eventTime: eventTime ?? undefined,
      foundAt,
    };
  });
}
