import { RebuildOnlineResponse } from '@headrace/contracts/features/v1/features';
import { ListRebuildsResponse } from '@headrace/contracts/features/v1/health';
import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { FeatureStoreRpc } from './feature-store-rpc.js';
import { parseBody } from './fields.js';
import { HealthRpc } from './health-rpc.js';

const request = z.strictObject({
  project: z.string().default(''),
  view: z.string().default(''),
  resume: z.boolean().default(false),
});

/** Rebuilds of the online store in the JSON form of the RPC's messages. */
@Controller('rebuilds')
export class RebuildsHttp {
  constructor(
    private readonly store: FeatureStoreRpc,
    private readonly health: HealthRpc,
  ) {}

  @Post()
  @HttpCode(200)
  async rebuild(@Body() body: unknown): Promise<unknown> {
    return RebuildOnlineResponse.toJSON(await this.store.rebuildOnline(parseBody(request, body)));
  }

  @Get()
  async list(@Query('project') project = ''): Promise<unknown> {
    return ListRebuildsResponse.toJSON(await this.health.listRebuilds({ project }));
  }
}
