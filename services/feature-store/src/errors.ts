import { AppError } from '@headrace/base/errors';

export function viewUnknown(project: string, view: string): AppError {
  return new AppError(
    'VIEW_UNKNOWN',
    `view ${JSON.stringify(view)} is not defined in project ${project}; apply its FeatureView first, or correct the name`,
    { details: { project, view } },
  );
}

export function featureServiceUnknown(project: string, service: string): AppError {
  return new AppError(
    'FEATURE_SERVICE_UNKNOWN',
    `feature service ${JSON.stringify(service)} is not defined in project ${project}; apply it first, or correct the name`,
    { details: { project, service } },
  );
}

export function requestInvalid(message: string): AppError {
  return new AppError('REQUEST_INVALID', message);
}

export function eventTooLarge(what: string): AppError {
  return new AppError('MESSAGE_TOO_LARGE', what);
}

export function trainingSetUnknown(hash: string): AppError {
  return new AppError(
    'TRAINING_SET_UNKNOWN',
    `no training set ${JSON.stringify(hash)} is stored here; build it first, or correct the hash`,
    { details: { hash } },
  );
}

export function quarantinedRowUnknown(project: string, id: number): AppError {
  return new AppError(
    'QUARANTINED_ROW_UNKNOWN',
    `project ${project} has no quarantined row ${id}; list the quarantine and correct the id, or it was replayed meanwhile`,
    { details: { project, id: String(id) } },
  );
}

export function backfillUnknown(id: string): AppError {
  return new AppError('BACKFILL_UNKNOWN', `there is no backfill ${JSON.stringify(id)}; list the backfills and correct the id`, {
    details: { id },
  });
}

export function trainingSetEmpty(labelView: string, fromMs: number, toMs: number): AppError {
  const window = `${new Date(fromMs).toISOString()} <= event time < ${new Date(toMs).toISOString()}`;
  return new AppError('TRAINING_SET_EMPTY', `view ${labelView} has no row with a label in ${window}; widen the window or publish labels`, {
    details: { view: labelView },
  });
}

export function joinUnknown(project: string, id: string): AppError {
  return new AppError(
    'JOIN_UNKNOWN',
    `project ${project} has no point-in-time join ${JSON.stringify(id.slice(0, 80))}; list the joins and correct the id`,
    {
      details: { project, join: id },
    },
  );
}

export function joinStateIllegal(id: string, state: string, doing: string): AppError {
  return new AppError('JOIN_STATE_ILLEGAL', `point-in-time join ${id} is ${state}; it cannot be ${doing}`, {
    details: { join: id, state },
  });
}

export function entityUnknown(project: string, entity: string): AppError {
  return new AppError('ENTITY_UNKNOWN', `no view of project ${project} is keyed by entity ${JSON.stringify(entity)}; correct the name`, {
    details: { project, entity },
  });
}

export function erasureUnknown(id: string): AppError {
  return new AppError('ERASURE_UNKNOWN', `there is no erasure ${JSON.stringify(id)}; list the erasures and correct the id`, {
    details: { id },
  });
}
