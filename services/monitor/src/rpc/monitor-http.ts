import { Alert, Report } from '@headrace/contracts/monitoring/v1/monitoring';
import { Controller, Get, Param, Query } from '@nestjs/common';
import { Alerts } from '../app/alerts.js';
import { toAlert } from '../app/messages.js';
import { ReadReport } from '../app/report.js';
import { alertIdOf, nameOf, projectOf, spanOf, versionOf } from './fields.js';

/** Alerts and reports as JSON, for curl. A figure that is unknown is null. */
@Controller()
export class MonitorHttp {
  constructor(
    private readonly alerts: Alerts,
    private readonly reports: ReadReport,
  ) {}

  @Get('alerts')
  async list(@Query('project') project?: string, @Query('model') model?: string): Promise<unknown> {
    return {
      alerts: (await this.alerts.list(projectOf(project), model ? nameOf('model', model) : '')).map((row) => Alert.toJSON(toAlert(row))),
    };
  }

  @Get('alerts/:alertId')
  async alert(@Param('alertId') alertId: string, @Query('project') project?: string): Promise<unknown> {
    return Alert.toJSON(toAlert(await this.alerts.get(projectOf(project), alertIdOf(alertId))));
  }

  @Get('reports/:model')
  async report(
    @Param('model') model: string,
    @Query('project') project?: string,
    @Query('version') version?: string,
    @Query('from') from?: string,
    @Query('to') to?: string,
  ): Promise<unknown> {
    const span = spanOf(from ? new Date(from) : undefined, to ? new Date(to) : undefined);
    return Report.toJSON(
      await this.reports.read({
        project: projectOf(project),
        model: nameOf('model', model),
        version: versionOf(Number(version ?? 0)),
        ...span,
      }),
    );
  }
}
