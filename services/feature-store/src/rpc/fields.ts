import { DEFAULT_PROJECT, NAME_PATTERN } from '@headrace/base/ids';
import type { z } from 'zod';
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

/** A JSON body against its schema. @throws AppError REQUEST_INVALID naming every wrong field. */
export function parseBody<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw requestInvalid(parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; '));
}
