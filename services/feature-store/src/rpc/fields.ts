import { DEFAULT_PROJECT, NAME_PATTERN } from '@headrace/base/ids';
import { requestInvalid } from '../errors.js';

/** Empty = `default`. */
export function projectOf(project: string | undefined): string {
  if (!project) return DEFAULT_PROJECT;
  if (!NAME_PATTERN.test(project))
    throw requestInvalid(`project ${JSON.stringify(project.slice(0, 80))} must match ${NAME_PATTERN.source}`);
  return project;
}

const YEAR_10000_MS = Date.UTC(10_000, 0, 1);

/** A required moment of a request, in milliseconds. */
export function instantOf(field: string, date: Date | undefined): number {
  const ms = date?.getTime() ?? Number.NaN;
  if (Number.isNaN(ms)) throw requestInvalid(`\`${field}\` is missing or no timestamp`);
  if (Math.abs(ms) >= YEAR_10000_MS) throw requestInvalid(`\`${field}\` lies beyond the year 9999`);
  return ms;
}
