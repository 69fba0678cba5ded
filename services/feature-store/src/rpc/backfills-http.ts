import { Backfill, StartBackfillRequest } from '@headrace/contracts/features/v1/features';
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { RequestBackfill } from '../app/request-backfill.js';
import { requestInvalid } from '../errors.js';
import { toBackfillMessage, toBackfillRequest } from './backfill-messages.js';
import { projectOf } from './fields.js';

/** Backfills in the JSON form of the RPC's messages. */
@Controller('backfills')
export class BackfillsHttp {
  constructor(private readonly backfills: RequestBackfill) {}

  @Post()
  @HttpCode(202)
  async start(@Body() body: unknown): Promise<unknown> {
    return Backfill.toJSON(toBackfillMessage(await this.backfills.start(toBackfillRequest(read(body)))));
  }

  @Get()
  async list(@Query('project') project?: string): Promise<unknown> {
    return { backfills: (await this.backfills.list(projectOf(project))).map((job) => Backfill.toJSON(toBackfillMessage(job))) };
  }

  @Get(':id')
  async get(@Param('id') id: string, @Query('project') project?: string): Promise<unknown> {
    return Backfill.toJSON(toBackfillMessage(await this.backfills.find(projectOf(project), id)));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  async cancel(@Param('id') id: string, @Query('project') project?: string): Promise<unknown> {
    return Backfill.toJSON(toBackfillMessage(await this.backfills.cancel(projectOf(project), id)));
  }
}

function read(body: unknown): StartBackfillRequest {
  if (typeof body !== 'object' || body === null) throw requestInvalid('the body must be a JSON object');
  return StartBackfillRequest.fromJSON(body);
}
