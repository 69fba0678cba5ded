import { AppError } from '@headrace/base/errors';

export function runUnknown(project: string, runId: string): AppError {
  return new AppError('RUN_UNKNOWN', `project ${project} has no run ${runId}`, { details: { project, runId } });
}

export function illegalStep(runId: string, state: string, event: string): AppError {
  return new AppError('RUN_STATE_ILLEGAL', `run ${runId} is ${state}, which does not allow the step ${event}`, {
    details: { runId, state },
  });
}

export function requestInvalid(field: string, fault: string): AppError {
  return new AppError('REQUEST_INVALID', `${field} ${fault}`, { details: { field } });
}

export function coolingDown(model: string, untilMs: number): AppError {
  const until = new Date(untilMs).toISOString();
  return new AppError(
    'OVERLOADED',
    `model ${model} was retrained for an alert a short while ago; its retrain policy takes the next one from ${until}`,
    { details: { model, until } },
  );
}

export function queueFull(project: string, waiting: number): AppError {
  return new AppError(
    'OVERLOADED',
    `${waiting} runs of project ${project} are waiting already (HEADRACE_TRAINER_QUEUE_MAX); try again later`,
    { details: { project } },
  );
}
