import { Controller, Get, Param, Put, Query, Req, Res, StreamableFile } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Readable } from 'node:stream';
import { KeepArtifacts } from '../app/keep-artifacts.js';
import { requestInvalid } from '../errors.js';
import { projectOf, sha256Of } from './fields.js';

/** Bytes by their own hash. */
@Controller('artifacts')
export class ArtifactsHttp {
  constructor(private readonly artifacts: KeepArtifacts) {}

  @Put(':sha256')
  async put(
    @Param('sha256') sha256: string,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Query('project') project?: string,
  ): Promise<{ sha256: string; bytes: number }> {
    // `streamBodies` hands the bytes on unread; without a content type there is no body at all.
    const body = request.body as Readable | undefined;
    if (!body || typeof body.pipe !== 'function')
      throw requestInvalid('body', 'must be the bytes of the artefact, with content-type: application/octet-stream');
    const { bytes, created } = await this.artifacts.put(projectOf(project), sha256Of(sha256), body);
    void reply.status(created ? 201 : 200);
    return { sha256, bytes };
  }

  @Get(':sha256')
  async get(@Param('sha256') sha256: string, @Query('project') project?: string): Promise<StreamableFile> {
    const { bytes, body } = await this.artifacts.get(projectOf(project), sha256Of(sha256));
    return new StreamableFile(body, { type: 'application/octet-stream', length: bytes });
  }
}
