import { Controller, Get, Param, Res, StreamableFile } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { BuildTrainingSet } from '../app/build-training-set.js';

const SUFFIX = '.parquet';

/** Snapshots by the hash of their bytes: whoever knows the hash was told it by us, and the bytes never change. */
@Controller('training-sets')
export class TrainingSetsHttp {
  constructor(private readonly trainingSets: BuildTrainingSet) {}

  @Get(':file')
  async get(@Param('file') file: string, @Res({ passthrough: true }) reply: FastifyReply): Promise<StreamableFile> {
    const hash = file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file;
    const { stream, bytes } = await this.trainingSets.open(hash);
    void reply.headers({ etag: `"${hash}"`, 'cache-control': 'private, max-age=31536000, immutable' });
    return new StreamableFile(stream, { type: 'application/vnd.apache.parquet', length: bytes });
  }
}
