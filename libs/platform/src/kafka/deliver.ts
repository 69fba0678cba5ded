import { assert } from '@headrace/base/assert';
import { AppError, ERROR_CODES, messageOf, toAppError, type ErrorCode } from '@headrace/base/errors';
import type { BatchContext, Received, RetryPolicy, SubscribeOptions, Verdict } from './subscription.js';

/** A verdict that nothing can change any more. */
export type FinalVerdict = Exclude<Verdict, { readonly kind: 'retry' }>;

export interface DeliveryHooks {
  readonly context: Omit<BatchContext, 'attempt'>;
  /** Rejects with DeliveryStopped when the process stops or the partition is taken away. */
  readonly wait: (delayMs: number) => Promise<void>;
  readonly onRetry: (events: number, reason: string, delayMs: number) => void;
  readonly onOutage: (reason: string, delayMs: number) => void;
}

/** The batch was left unfinished on purpose: nothing of it may be committed; it comes again. */
export class DeliveryStopped extends Error {
  override readonly name = 'DeliveryStopped';
}

export const OUTAGE_DELAY_MAX_MS = 10_000;

/** Not the event's fault: a dependency is away or refuses work. Such events must never be dead-lettered. */
export function isOutage(error: unknown): boolean {
  return error instanceof AppError && (ERROR_CODES[error.code].kind === 'UNAVAILABLE' || error.code === 'OVERLOADED');
}

/** Doubles with each attempt (the first is 1), with a quarter of jitter so that members do not strike together. */
export function backoffMs(
  attempt: number,
  { initialDelayMs, maxDelayMs }: Pick<RetryPolicy, 'initialDelayMs' | 'maxDelayMs'>,
  random: () => number = Math.random,
): number {
  return Math.min(maxDelayMs, initialDelayMs * 2 ** (attempt - 1)) * (0.75 + 0.25 * random());
}

/**
 * Hands a batch to a handler until every event has a final verdict. Outages wait without an end of their own; everything else
 * has `tries`, first for the batch, then for each event alone, so that only the poison event dies.
 */
export async function deliver<T>(
  batch: readonly Received<T>[],
  handle: SubscribeOptions<T>['handle'],
  retry: RetryPolicy,
  hooks: DeliveryHooks,
): Promise<FinalVerdict[]> {
  const final = new Array<FinalVerdict | undefined>(batch.length).fill(undefined);
  let open = batch.map((_, index) => index);
  for (let attempt = 1, outages = 0; open.length > 0;) {
    let reason: string;
    try {
      const verdicts = checked(
        await handle(
          open.map((index) => batch[index]!),
          { ...hooks.context, attempt },
        ),
        open.length,
      );
      const again: number[] = [];
      reason = '';
      for (const [position, index] of open.entries()) {
        const verdict = verdicts?.[position] ?? { kind: 'done' };
        if (verdict.kind !== 'retry') final[index] = verdict;
        else if (attempt < retry.tries) again.push(index);
        else final[index] = dead('DEADLINE_EXCEEDED', `not handled after ${retry.tries} tries: ${verdict.reason}`, verdict);
        if (verdict.kind === 'retry') reason = verdict.reason;
      }
      open = again;
    } catch (error) {
      reason = messageOf(error);
      if (isOutage(error)) {
        const delayMs = backoffMs(++outages, { initialDelayMs: retry.initialDelayMs, maxDelayMs: OUTAGE_DELAY_MAX_MS });
        hooks.onOutage(reason, delayMs);
        await hooks.wait(delayMs);
        continue;
      }
      if (attempt >= retry.tries) {
        if (open.length === 1) final[open[0]!] = deadBy(error);
        else for (const index of open) final[index] = (await deliver([batch[index]!], handle, retry, hooks))[0];
        break;
      }
    }
    if (open.length === 0) break;
    const delayMs = backoffMs(attempt++, retry);
    hooks.onRetry(open.length, reason, delayMs);
    await hooks.wait(delayMs);
  }
  return final.map((verdict) => verdict ?? { kind: 'done' });
}

function checked(verdicts: readonly Verdict[] | void, events: number): readonly Verdict[] | undefined {
  if (!verdicts) return undefined;
  assert(verdicts.length === events, `one verdict for each of the ${events} events, got ${verdicts.length}`);
  return verdicts;
}

/** An unexpected error is a defect, yet the dead letter is read by those who mend it: it keeps the real words. */
const deadBy = (error: unknown): FinalVerdict => dead(toAppError(error).code, messageOf(error));

const dead = (code: ErrorCode, reason: string, { quarantine }: Pick<Verdict, 'quarantine'> = {}): FinalVerdict => ({
  kind: 'dead',
  code,
  reason,
  ...(quarantine ? { quarantine } : {}),
});
