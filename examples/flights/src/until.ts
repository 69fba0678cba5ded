import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';

/** Longest that any one step may take. */
const STEP_TIMEOUT_MS = 600_000;
const POLL_MS = 200;

/** Polls until `check` gives something; its own errors end the wait at once. @throws AppError DEADLINE_EXCEEDED */
export async function until<T>(what: string, check: () => Promise<T | false>): Promise<T> {
  const limit = Date.now() + STEP_TIMEOUT_MS;
  for (;;) {
    const result = await check();
    if (result !== false) return result;
    if (Date.now() > limit) throw new AppError('DEADLINE_EXCEEDED', `waited ${STEP_TIMEOUT_MS / 1000} s in vain for: ${what}`);
    await sleep(POLL_MS);
  }
}
