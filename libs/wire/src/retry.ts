import { sleep } from '@headrace/base/clock';
import { GrpcError, Status } from './status.js';

export interface RetryPolicy {
  /** Attempts in all, the first one included. */
  readonly attemptsMax: number;
  /** Before the second attempt; it doubles from one to the next, with half of it random. */
  readonly backoffMs: number;
}

export const NO_RETRY: RetryPolicy = { attemptsMax: 1, backoffMs: 0 };

/**
 * Tries again what failed with UNAVAILABLE, within the deadline. For calls that may run twice: a lost connection does not say whether the
 * server did the work.
 */
export async function withRetry<T>(
  policy: RetryPolicy,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
  attempt: (timeoutMs: number | undefined) => Promise<T>,
): Promise<T> {
  const deadlineMs = timeoutMs === undefined ? Infinity : Date.now() + timeoutMs;
  for (let tried = 1; ; tried++) {
    try {
      return await attempt(deadlineMs === Infinity ? undefined : tried === 1 ? timeoutMs : Math.max(1, deadlineMs - Date.now()));
    } catch (error) {
      const waitMs = policy.backoffMs * 2 ** (tried - 1) * (0.5 + Math.random() / 2);
      const hopeless =
        !(error instanceof GrpcError) ||
        error.code !== Status.UNAVAILABLE ||
        tried >= policy.attemptsMax ||
        Date.now() + waitMs >= deadlineMs ||
        signal?.aborted === true;
      if (hopeless) throw error;
      await sleep(waitMs, signal);
    }
  }
}
