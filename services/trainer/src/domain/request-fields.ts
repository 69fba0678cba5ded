import { DEFAULT_PROJECT, NAME_PATTERN } from '@headrace/base/ids';
import { REASONS, type Reason } from './admission.js';
import { requestInvalid } from '../errors.js';

/** Fields as they come from outside, through any door. */
const ID_LENGTH_MAX = 200;

/** Empty = `default`. */
export function projectOf(project: string | undefined): string {
  return project ? nameOf('project', project) : DEFAULT_PROJECT;
}

export function nameOf(field: string, value: string): string {
  if (!NAME_PATTERN.test(value)) throw requestInvalid(field, `${JSON.stringify(value.slice(0, 80))} must match ${NAME_PATTERN.source}`);
  return value;
}

/** Empty = `manual`. */
export function reasonOf(reason: string): Reason {
  const known = REASONS.find((r) => r === (reason || 'manual'));
  if (!known) throw requestInvalid('reason', `${JSON.stringify(reason.slice(0, 80))} is not one of ${REASONS.join(', ')}`);
  return known;
}

/** Ids of others: any printable text of bounded length, or nothing. */
export function idOf(field: string, value: string): string {
  if (value.length > ID_LENGTH_MAX || /[\u0000-\u001f\u007f]/.test(value))
    throw requestInvalid(field, `must be printable text of at most ${ID_LENGTH_MAX} characters`);
  return value;
}
