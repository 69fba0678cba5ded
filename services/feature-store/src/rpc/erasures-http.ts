import { EraseEntityRequest, Erasure, ListErasuresResponse } from '@headrace/contracts/features/v1/erasures';
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ErasuresRpc } from './erasures-rpc.js';
import { parseBody } from './fields.js';

const request = z.strictObject({
  project: z.string().default(''),
  entity: z.string(),
  keys: z.record(z.string(), z.union([z.string(), z.int().transform(String)])),
  reason: z.string().default(''),
  requestId: z.string().default(''),
});

/** Erasures in the JSON form of the RPC's messages. The door's key is all that is known of who asks. */
@Controller('erasures')
export class ErasuresHttp {
  constructor(private readonly erasures: ErasuresRpc) {}

  @Post()
  @HttpCode(200)
  async erase(@Body() body: unknown): Promise<unknown> {
    return Erasure.toJSON(await this.erasures.erase(EraseEntityRequest.fromPartial(parseBody(request, body)), 'http'));
  }

  @Get()
  async list(@Query('project') project = ''): Promise<unknown> {
    return ListErasuresResponse.toJSON(await this.erasures.listErasures({ project }));
  }

  @Get(':id')
  async get(@Param('id') id: string, @Query('project') project = ''): Promise<unknown> {
    return Erasure.toJSON(await this.erasures.getErasure({ project, id }));
  }
}
