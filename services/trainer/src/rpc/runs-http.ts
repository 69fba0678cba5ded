import { Run } from '@headrace/contracts/training/v1/training';
import { Controller, Get, Param, Query } from '@nestjs/common';
import { toRun } from '../app/run-message.js';
import { Runs } from '../app/runs.js';
import { idOf, nameOf, projectOf } from '../domain/request-fields.js';

/** Runs and workers as JSON, for curl. */
@Controller()
export class RunsHttp {
  constructor(private readonly runs: Runs) {}

  @Get('runs')
  async list(@Query('project') project?: string, @Query('model') model?: string): Promise<unknown> {
    const rows = await this.runs.list(projectOf(project), model ? nameOf('model', model) : '');
    return { runs: rows.map((row) => Run.toJSON(toRun(row))) };
  }

  @Get('runs/:id')
  async run(@Param('id') id: string, @Query('project') project?: string): Promise<unknown> {
    return Run.toJSON(toRun(await this.runs.get(projectOf(project), idOf('id', id))));
  }

  @Get('workers')
  async workers(): Promise<unknown> {
    const rows = await this.runs.workers();
    return {
      workers: rows.map((row) => ({
        workerId: row.worker_id,
        host: row.host,
        pid: row.pid,
        cpus: row.cpus,
        memoryBytes: row.memory_bytes,
        gpus: row.gpus,
        runId: row.run_id,
        startedAt: row.started_at,
        heartbeatAt: row.heartbeat_at,
      })),
    };
  }
}
