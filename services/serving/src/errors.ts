import { AppError } from '@headrace/base/errors';

export function requestInvalid(field: string, fault: string): AppError {
  return new AppError('REQUEST_INVALID', `${field} ${fault}`, { details: { field } });
}
