import { AppError } from '@headrace/base/errors';
import type { GateVerdict } from './domain/blessing-rules.js';

export function modelUnknown(project: string, model: string): AppError {
  return new AppError('MODEL_UNKNOWN', `project ${project} has no model ${model}; apply its definition first`, {
    details: { project, model },
  });
}

export function versionUnknown(model: string, which: string): AppError {
  return new AppError('VERSION_UNKNOWN', `model ${model} has no version ${which}`, { details: { model, version: which } });
}

export function notBlessed(
  model: string,
  version: number,
  state: string,
  gates: readonly Pick<GateVerdict, 'passed' | 'sentence'>[],
): AppError {
  const reasons = gates.filter((gate) => !gate.passed).map((gate) => gate.sentence);
  const why = reasons.length > 0 ? reasons.join('; ') : 'it was not judged';
  return new AppError('VERSION_NOT_BLESSED', `version ${version} of ${model} is ${state} and may not serve: ${why}`, {
    details: { model, version: String(version), state },
  });
}

export function illegalStep(model: string, version: number, state: string, event: string): AppError {
  return new AppError('VERSION_STATE_ILLEGAL', `version ${version} of ${model} is ${state}, which does not allow the step ${event}`, {
    details: { model, version: String(version), state },
  });
}

export function requestInvalid(field: string, fault: string): AppError {
  return new AppError('REQUEST_INVALID', `${field} ${fault}`, { details: { field } });
}
