import { AppError } from '@headrace/base/errors';
import { Body, Controller, HttpCode, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import type { Destination } from '../app/store-rows.js';
import { ListViews } from '../app/list-views.js';
import { PushRows } from '../app/push-rows.js';
import { viewUnknown } from '../errors.js';
import { rowsOfFrame } from './feast-frame.js';
import { parseBody, projectOf } from './fields.js';

const frame = z.record(z.string(), z.array(z.unknown()));
const pushRequest = z.object({
  push_source_name: z.string(),
  df: frame,
  to: z.enum(['online', 'offline', 'online_and_offline']).default('online'),
});
const writeRequest = z.object({ feature_view_name: z.string(), df: frame });

const DESTINATIONS = { online: 'online', offline: 'offline', online_and_offline: 'both' } as const;

/**
 * Writing as Feast's feature server takes it: a frame by column, answered with `null`. The good rows of a frame are stored; when others
 * were refused the answer is an error that names them, because Feast's clients look at nothing but the status.
 */
@Controller()
export class FeastPushHttp {
  constructor(
    private readonly rows: PushRows,
    private readonly views: ListViews,
  ) {}

  /** A push source is a view of the same name. */
  @Post('push')
  @HttpCode(200)
  async push(@Body() body: unknown, @Query('project') project?: string): Promise<null> {
    const { push_source_name: view, df, to } = parseBody(pushRequest, body);
    return this.#write(projectOf(project), view, df, DESTINATIONS[to]);
  }

  /** Into both stores: what is online only would be lost with Redis. */
  @Post('write-to-online-store')
  @HttpCode(200)
  async write(@Body() body: unknown, @Query('project') project?: string): Promise<null> {
    const { feature_view_name: view, df } = parseBody(writeRequest, body);
    return this.#write(projectOf(project), view, df, 'both');
  }

  async #write(project: string, name: string, df: z.output<typeof frame>, to: Destination): Promise<null> {
    const view = await this.views.find(project, name);
    if (!view) throw viewUnknown(project, name);
    const { rejected } = await this.rows.push({ project, view: name, rows: rowsOfFrame(view, df), to });
    if (rejected.length === 0) return null;
    const named = rejected.slice(0, REASONS_SHOWN).map(({ row, reason }) => `row ${row}: ${reason}`);
    throw new AppError('ROW_INVALID', `${rejected.length} rows were refused, the others are stored: ${named.join('; ')}`);
  }
}

const REASONS_SHOWN = 20;
