import { newId } from '@headrace/base/ids';
import type {
  GetRunRequest,
  ListRunsRequest,
  ListRunsResponse,
  RequestRunRequest,
  Run,
  TrainerDefinition,
} from '@headrace/contracts/training/v1/training';
import type { CallContext, Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { CancelRun } from '../app/cancel-run.js';
import { RequestRun } from '../app/request-run.js';
import { toRun } from '../app/run-message.js';
import { Runs } from '../app/runs.js';
import { coolingDown } from '../errors.js';
import { idOf, nameOf, projectOf, reasonOf } from '../domain/request-fields.js';

@Injectable()
export class TrainerRpc implements Implementation<typeof TrainerDefinition> {
  constructor(
    private readonly requests: RequestRun,
    private readonly cancels: CancelRun,
    private readonly runs: Runs,
  ) {}

  /** Without a request id every call is a new run. */
  async requestRun(request: RequestRunRequest, call: CallContext): Promise<Run> {
    const requestId = idOf('request_id', request.requestId) || newId();
    const alertId = idOf('alert_id', request.alertId);
    const outcome = await this.requests.request({
      project: projectOf(request.project),
      model: nameOf('model', request.model),
      reason: reasonOf(request.reason),
      requestId,
      alertId,
      mitigation: request.mitigation,
      cause: { traceparent: call.traceparent, correlationId: alertId || requestId, causationId: requestId },
    });
    if (outcome.kind === 'cooling') throw coolingDown(request.model, outcome.untilMs);
    return toRun(outcome.run);
  }

  async getRun(request: GetRunRequest): Promise<Run> {
    return toRun(await this.runs.get(projectOf(request.project), idOf('run_id', request.runId)));
  }

  /** Newest first; without a model those of all. */
  async listRuns(request: ListRunsRequest): Promise<ListRunsResponse> {
    const model = request.model && nameOf('model', request.model);
    return { runs: (await this.runs.list(projectOf(request.project), model)).map(toRun) };
  }

  async cancelRun(request: GetRunRequest): Promise<Run> {
    return toRun(await this.cancels.cancel(projectOf(request.project), idOf('run_id', request.runId)));
  }
}
