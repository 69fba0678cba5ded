import { DEFAULT_PROJECT, NAME_PATTERN, SHA256_PATTERN } from '@headrace/base/ids';
import { requestInvalid } from '../errors.js';

/** Project names become folder names and keys, so they are checked before anything else. Empty = `default`. */
export function projectOf(project: string | undefined): string {
  return project ? nameOf('project', project) : DEFAULT_PROJECT;
}

export function nameOf(field: string, value: string): string {
  if (!NAME_PATTERN.test(value)) throw requestInvalid(field, `${JSON.stringify(value.slice(0, 80))} must match ${NAME_PATTERN.source}`);
  return value;
}

export function sha256Of(value: string): string {
  if (!SHA256_PATTERN.test(value)) throw requestInvalid('sha256', 'must be 64 lower-case hex digits');
  return value;
}

export function versionOf(value: number): number {
  if (!Number.isSafeInteger(value) || value < 1 || value > 2_147_483_647) throw requestInvalid('version', 'must be a whole number from 1');
  return value;
}

/** Free text of bounded length. */
export function textOf(field: string, value: string, lengthMax: number): string {
  if (value.length === 0 || value.length > lengthMax) throw requestInvalid(field, `must have 1 to ${lengthMax} characters`);
  if (value.includes('\u0000')) throw requestInvalid(field, 'must not hold U+0000');
  return value;
}
