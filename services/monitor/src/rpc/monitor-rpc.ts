import type {
  Alert,
  GetAlertRequest,
  GetReportRequest,
  ListAlertsRequest,
  ListAlertsResponse,
  MonitorDefinition,
  Report,
} from '@headrace/contracts/monitoring/v1/monitoring';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { Alerts } from '../app/alerts.js';
import { toAlert } from '../app/messages.js';
import { ReadReport } from '../app/report.js';
import { alertIdOf, nameOf, projectOf, spanOf, versionOf } from './fields.js';

@Injectable()
export class MonitorRpc implements Implementation<typeof MonitorDefinition> {
  constructor(
    private readonly alerts: Alerts,
    private readonly reports: ReadReport,
  ) {}

  getReport(request: GetReportRequest): Promise<Report> {
    return this.reports.read({
      project: projectOf(request.project),
      model: nameOf('model', request.model),
      version: versionOf(request.version),
      ...spanOf(request.from, request.to),
    });
  }

  async listAlerts(request: ListAlertsRequest): Promise<ListAlertsResponse> {
    const rows = await this.alerts.list(projectOf(request.project), request.model && nameOf('model', request.model));
    return { alerts: rows.map(toAlert) };
  }

  async getAlert(request: GetAlertRequest): Promise<Alert> {
    return toAlert(await this.alerts.get(projectOf(request.project), alertIdOf(request.alertId)));
  }

  async muteAlert(request: GetAlertRequest): Promise<Alert> {
    return toAlert(await this.alerts.mute(projectOf(request.project), alertIdOf(request.alertId)));
  }
}
