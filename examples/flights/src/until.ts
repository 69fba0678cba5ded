import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';

/** Longest wait for what does not grow with the number of flights. */
export const STALL_TIMEOUT_MS = 300_000;
const POLL_MS = 200;

/** Polls until `check` gives something; its own errors end the wait at once. @throws AppError DEADLINE_EXCEEDED */
export async function until<T>(what: string, check: () => Promise<T | false>, timeoutMs = STALL_TIMEOUT_MS): Promise<T> {
  const limitMs = Date.now() + timeoutMs;
  for (;;) {
    const result = await check();
    if (result !== false) return result;
    if (Date.now() > limitMs) throw new AppError('DEADLINE_EXCEEDED', `waited ${timeoutMs / 1000} s in vain for: ${what}`);
    await sleep(POLL_MS);
  }
}
