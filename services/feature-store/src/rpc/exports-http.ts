import { PassThrough } from 'node:stream';
import { Body, Controller, Get, HttpCode, Post, Query, StreamableFile } from '@nestjs/common';
import { z } from 'zod';
import { ExportHistory } from '../app/export-history.js';
import { DEFAULT_TIME_COLUMN } from '../app/frame-joins.js';
import type { Knowledge } from '../domain/point-in-time-probe.js';
import { requestInvalid } from '../errors.js';
import { instantOf, projectOf } from './fields.js';

const request = z.object({
  features: z.array(z.string().includes(':')).min(1),
  /** Columns of the frame that come back. */
  columns: z.array(z.string().min(1)).min(1),
  timeColumn: z.string().min(1).default(DEFAULT_TIME_COLUMN),
  asOf: z.string().optional(),
});

/** The point-in-time join for DuckDB. */
@Controller('exports')
export class ExportsHttp {
  constructor(private readonly exports: ExportHistory) {}

  /** The query, and where the files that it reads come from. */
  @Post()
  @HttpCode(200)
  async plan(@Body() body: unknown, @Query('project') project = ''): Promise<unknown> {
    const parsed = request.safeParse(body);
    if (!parsed.success) throw requestInvalid(parsed.error.issues.map((i) => `${i.path.join('.') || 'body'}: ${i.message}`).join('; '));
    const { features, columns, timeColumn, asOf } = parsed.data;
    const frame = columns.map((name) => ({ name, type: 'string' as const }));
    const plan = await this.exports.plan(projectOf(project), frame, { features, timeColumn, knowledge: knowledgeOf(asOf) });
    return {
      sql: plan.sql,
      histories: plan.histories.map(({ view, file, columns: [, , ...wanted] }) => {
        const query = new URLSearchParams({
          project: projectOf(project),
          features: wanted.map(({ name }) => `${view.name}:${name}`).join(','),
        });
        if (asOf !== undefined) query.set('as_of', asOf);
        return { file, path: `/exports/history.parquet?${query.toString()}` };
      }),
    };
  }

  /** @param features `view:feature` of one view, with commas between. */
  @Get('history.parquet')
  async history(
    @Query('features') features = '',
    @Query('as_of') asOf?: string,
    @Query('project') project?: string,
  ): Promise<StreamableFile> {
    const references = features.split(',').filter((reference) => reference.includes(':'));
    if (references.length === 0)
      throw requestInvalid('`features` is missing; name features of one view as `view:feature`, with commas between');
    const views = new Set(references.map((reference) => reference.slice(0, reference.indexOf(':'))));
    if (views.size > 1) throw requestInvalid(`one history is of one view; asked for ${[...views].join(', ')}`);
    const write = await this.exports.history(projectOf(project), references, knowledgeOf(asOf));
    const out = new PassThrough();
    // What fails on the way ends the answer before its end, so nobody takes a part for the whole.
    write(out).catch((error: unknown) => out.destroy(error instanceof Error ? error : new Error(String(error))));
    return new StreamableFile(out, { type: 'application/vnd.apache.parquet' });
  }
}

function knowledgeOf(asOf: string | undefined): Knowledge {
  return asOf === undefined ? { kind: 'all' } : { kind: 'asOf', ms: instantOf('as_of', new Date(asOf)) };
}
