import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { ReviewQuarantine, type Replayed } from '../app/quarantine-rows.js';
import { parseBody, projectOf } from './fields.js';
import { LISTED_MAX, REPLAYED_MAX } from './quarantine-rpc.js';

const listQuery = z.object({
  project: z.string().optional(),
  view: z.string().default(''),
  before: z.coerce.number().int().nonnegative().default(0),
  limit: z.coerce.number().int().min(1).max(LISTED_MAX).default(100),
});
const replayRequest = z.object({
  project: z.string().default(''),
  view: z.string(),
  ids: z.array(z.int().positive()).max(REPLAYED_MAX).default([]),
});

/** Refused rows: which there are and why, and once more after a fix. */
@Controller('quarantine')
export class QuarantineHttp {
  constructor(private readonly quarantine: ReviewQuarantine) {}

  /** Newest first, `limit` a page; `before` is the id of the last row of the page before. */
  @Get()
  async list(@Query() query: unknown): Promise<unknown> {
    const { project: name, view, before, limit } = parseBody(listQuery, query);
    const project = projectOf(name);
    const [counts, rows] = await Promise.all([this.quarantine.counts(project), this.quarantine.list(project, view, before, limit)]);
    return { counts, rows: rows.map(({ content, ...row }) => ({ ...row, row: JSON.parse(content) as unknown })) };
  }

  @Post('replay')
  @HttpCode(200)
  replay(@Body() body: unknown): Promise<Replayed> {
    const { project, view, ids } = parseBody(replayRequest, body);
    return this.quarantine.replay(projectOf(project), view, ids);
  }
}
