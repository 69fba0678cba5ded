import { QualityResponse } from '@headrace/contracts/features/v1/quality';
import { Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { parseBody } from './fields.js';
import { QualityRpc } from './quality-rpc.js';

const query = z.object({
  project: z.string().default(''),
  view: z.string().default(''),
  windows: z.coerce.number().int().min(0).max(168).default(1),
});

/** Quality statistics as JSON, for curl. */
@Controller('feature-quality')
export class QualityHttp {
  constructor(private readonly quality: QualityRpc) {}

  @Get()
  async list(@Query() given: unknown): Promise<unknown> {
    return QualityResponse.toJSON(await this.quality.listQuality(parseBody(query, given)));
  }

  @Post('judge')
  @HttpCode(200)
  async judge(@Query() given: unknown): Promise<unknown> {
    return QualityResponse.toJSON(await this.quality.judge(parseBody(query, given)));
  }
}
