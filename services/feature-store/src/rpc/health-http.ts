import { FeatureAlerts, HealthResponse } from '@headrace/contracts/features/v1/health';
import { Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { HealthRpc } from './health-rpc.js';

/** Consistency, freshness and alerts as JSON, for curl. */
@Controller('feature-health')
export class HealthHttp {
  constructor(private readonly health: HealthRpc) {}

  @Get()
  async list(@Query('project') project = '', @Query('view') view = ''): Promise<unknown> {
    return HealthResponse.toJSON(await this.health.listHealth({ project, view }));
  }

  @Post('inspect')
  @HttpCode(200)
  async inspect(@Query('project') project = '', @Query('view') view = ''): Promise<unknown> {
    return HealthResponse.toJSON(await this.health.inspect({ project, view }));
  }

  @Get('alerts')
  async alerts(@Query('project') project = '', @Query('view') view = ''): Promise<unknown> {
    return FeatureAlerts.toJSON(await this.health.listFeatureAlerts({ project, view }));
  }
}
