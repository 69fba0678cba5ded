import { DEFAULT_PROJECT, NAME_PATTERN } from '@headrace/base/ids';
import { requestInvalid } from '../errors.js';

/** Empty = `default`. */
export function projectOf(project: string | undefined): string {
  return project ? nameOf('project', project) : DEFAULT_PROJECT;
}

export function nameOf(field: string, value: string): string {
  if (!NAME_PATTERN.test(value)) throw requestInvalid(field, `${JSON.stringify(value.slice(0, 80))} must match ${NAME_PATTERN.source}`);
  return value;
}

export function alertIdOf(value: string): string {
  if (value.length === 0 || value.length > 100 || value.includes('\u0000'))
    throw requestInvalid('alert_id', 'must have 1 to 100 characters');
  return value;
}

/** 0 = all versions. */
export function versionOf(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > 2_147_483_647) throw requestInvalid('version', 'must be a whole number from 0');
  return value;
}

export function spanOf(from: Date | undefined, to: Date | undefined): { from: Date | undefined; to: Date | undefined } {
  for (const [field, time] of [
    ['from', from],
    ['to', to],
  ] as const)
    if (time && Number.isNaN(time.getTime())) throw requestInvalid(field, 'is not a time; write it like 2026-01-31T12:00:00Z');
  if (from && to && from >= to) throw requestInvalid('from', 'must lie before `to`');
  return { from, to };
}
