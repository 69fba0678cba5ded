import type { Readable } from 'node:stream';
import { Join, StartJoinRequest } from '@headrace/contracts/features/v1/joins';
import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { requestInvalid } from '../errors.js';
import { FrameJoins } from '../app/frame-joins.js';
import type { FrameFormat } from '../domain/frame-values.js';
import { JoinsRpc } from './joins-rpc.js';

/** Content types of frames. */
const FORMATS: Readonly<Record<string, FrameFormat>> = {
  'application/vnd.apache.parquet': 'parquet',
  'application/vnd.apache.arrow.stream': 'arrow',
  'application/vnd.apache.arrow.file': 'arrow',
  'text/csv': 'csv',
  'application/x-ndjson': 'ndjson',
};

/** Frames are streamed to disk, not parsed: Fastify hands their body over as it is. */
export function acceptFrames(server: FastifyInstance): void {
  server.addContentTypeParser(Object.keys(FORMATS), (_request, payload, done) => done(null, payload));
}

/** Frames up, joins as JSON. */
@Controller()
export class JoinsHttp {
  constructor(
    private readonly joins: JoinsRpc,
    private readonly frames: FrameJoins,
  ) {}

  @Post('frames')
  @HttpCode(200)
  async upload(@Body() body: unknown, @Headers('content-type') type = ''): Promise<unknown> {
    const format = FORMATS[type.split(';')[0]!.trim().toLowerCase()];
    if (!format) throw requestInvalid(`content-type ${JSON.stringify(type)} is no frame; send ${Object.keys(FORMATS).join(', ')}`);
    return this.frames.upload(body as Readable, format);
  }

  @Post('joins')
  @HttpCode(202)
  async start(@Body() body: unknown, @Query('project') project = ''): Promise<unknown> {
    if (typeof body !== 'object' || body === null) throw requestInvalid('a JSON object is wanted');
    return Join.toJSON(await this.joins.startJoin({ ...readRequest(body), project }));
  }

  @Get('joins')
  async list(@Query('project') project = ''): Promise<unknown> {
    return { joins: (await this.joins.listJoins({ project })).joins.map((join) => Join.toJSON(join)) };
  }

  @Get('joins/:id')
  async get(@Param('id') joinId: string, @Query('project') project = ''): Promise<unknown> {
    return Join.toJSON(await this.joins.getJoin({ project, joinId }));
  }

  @Post('joins/:id/cancel')
  @HttpCode(200)
  async cancel(@Param('id') joinId: string, @Query('project') project = ''): Promise<unknown> {
    return Join.toJSON(await this.joins.cancelJoin({ project, joinId }));
  }

  @Post('joins/:id/restart')
  @HttpCode(200)
  async restart(@Param('id') joinId: string, @Query('project') project = ''): Promise<unknown> {
    return Join.toJSON(await this.joins.restartJoin({ project, joinId }));
  }
}

/** `rows` may be a plain list here. */
function readRequest(body: object): StartJoinRequest {
  try {
    const { rows } = body as { rows?: unknown };
    return StartJoinRequest.fromJSON({ ...body, ...(Array.isArray(rows) ? { rows: { rows } } : {}) });
  } catch (error) {
    throw requestInvalid(`the body is no join: ${error instanceof Error ? error.message : String(error)}`);
  }
}
