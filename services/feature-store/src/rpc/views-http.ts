import { View } from '@headrace/contracts/features/v1/features';
import { Controller, Get, Query } from '@nestjs/common';
import { ListViews } from '../app/list-views.js';
import { projectOf } from './fields.js';
import { toView } from './messages.js';

/** The views as JSON, for curl. */
@Controller('views')
export class ViewsHttp {
  constructor(private readonly views: ListViews) {}

  @Get()
  async list(@Query('project') project?: string): Promise<unknown> {
    return { views: (await this.views.list(projectOf(project))).map((view) => View.toJSON(toView(view))) };
  }
}
