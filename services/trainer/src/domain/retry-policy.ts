import { AppError, ERROR_CODES } from '@headrace/base/errors';

export interface RetryLimits {
  readonly attemptsMax: number;
  readonly backoffMs: number;
}

/** No attempt waits longer than this for its turn. */
const BACKOFF_MAX_MS = 600_000;

/**
 * What follows when an attempt is over without success. Only what may pass by itself is tried again (a peer that is away, a lost
 * worker); a wrong definition or failed training would fail the same way again.
 */
export function afterFailure(
  reason: unknown,
  attempt: number,
  limits: RetryLimits,
): { readonly again: false } | { readonly again: true; readonly afterMs: number } {
  if (!mayPass(reason) || attempt >= limits.attemptsMax) return { again: false };
  return { again: true, afterMs: Math.min(BACKOFF_MAX_MS, limits.backoffMs * 2 ** (attempt - 1)) };
}

/** Thrown or recorded when the process that held the run is gone. */
export class WorkerLost extends Error {
  override readonly name = 'WorkerLost';
}

function mayPass(reason: unknown): boolean {
  if (reason instanceof WorkerLost) return true;
  if (!(reason instanceof AppError)) return false;
  const { kind } = ERROR_CODES[reason.code];
  return kind === 'UNAVAILABLE' || kind === 'DEADLINE_EXCEEDED' || reason.code === 'OVERLOADED' || reason.code === 'ARTIFACT_CORRUPT';
}
