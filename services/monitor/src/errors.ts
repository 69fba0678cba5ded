import { AppError } from '@headrace/base/errors';

export function modelUnknown(project: string, model: string): AppError {
  return new AppError('MODEL_UNKNOWN', `project ${project} has no model ${model}; apply its definition first`, {
    details: { project, model },
  });
}

export function alertUnknown(alertId: string): AppError {
  return new AppError('ALERT_UNKNOWN', `there is no alert ${alertId}`, { details: { alertId } });
}

export function illegalStep(alertId: string, state: string, event: string): AppError {
  return new AppError('ALERT_STATE_ILLEGAL', `alert ${alertId} is ${state}, which does not allow the step ${event}`, {
    details: { alertId, state },
  });
}

export function requestInvalid(field: string, fault: string): AppError {
  return new AppError('REQUEST_INVALID', `${field} ${fault}`, { details: { field } });
}
