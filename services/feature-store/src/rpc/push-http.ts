import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import { PushRows, type Pushed } from '../app/push-rows.js';
import { readJsonRow } from '../domain/json-row.js';
import { parseBody, projectOf } from './fields.js';

const request = z.object({
  project: z.string().default(''),
  view: z.string(),
  rows: z.array(z.unknown()),
  to: z.enum(['both', 'online', 'offline']).default('both'),
});

/** Push in the JSON of the topic `headrace.features.v1`. */
@Controller('rows')
export class PushHttp {
  constructor(private readonly rows: PushRows) {}

  @Post()
  @HttpCode(200)
  push(@Body() body: unknown): Promise<Pushed> {
    const { project, view, rows, to } = parseBody(request, body);
    return this.rows.push({ project: projectOf(project), view, rows: rows.map(readJsonRow), to });
  }
}
