import { sleep } from '@headrace/base/clock';
import { messageOf } from '@headrace/base/errors';

export interface EventuallyOptions {
  /** Default 10,000. */
  readonly withinMs?: number;
  /** Default 25. */
  readonly everyMs?: number;
}

/**
 * Asks again and again until `probe` neither throws nor returns false, and returns its value. After `withinMs` it fails with `what` and
 * the last reason. Write the probe as assertions: `await eventually('the row is online', async () => expect(await read()).toEqual(row))`.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  const withinMs = options.withinMs ?? 10_000;
  const begin = Date.now();
  let tries = 0;
  let reason: unknown;
  do {
    if (tries++ > 0) await sleep(options.everyMs ?? 25);
    try {
      const value = await probe();
      if (value !== false) return value as Exclude<T, false>;
      reason = new Error('it returned false');
    } catch (thrown) {
      reason = thrown;
    }
  } while (Date.now() - begin < withinMs);
  throw new Error(`not within ${withinMs} ms (${tries} tries): ${what}: ${messageOf(reason)}`, { cause: reason });
}
