import { createRequire } from 'node:module';

interface RequestQueue {
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  pending: unknown[];
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** kafkajs' own interval between looks at requests that wait. */
const CHECK_PENDING_MS = 10;

/**
 * kafkajs 2.2.4 arms a timer with `-1 - now` whenever no broker throttles it; Node 24 prints TimeoutNegativeWarning for that and takes 1 ms.
 * The same method with that 1 ms said outright: the warning goes, all other warnings stay. The library is frozen since 2023, and the
 * version is pinned.
 */
export function mendNegativeTimeout(): void {
  const queue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  queue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.throttleCheckTimeoutId) return;
    const throttledForMs = this.throttledUntil - Date.now();
    const delayMs = throttledForMs > 0 ? throttledForMs : this.pending.length > 0 ? CHECK_PENDING_MS : 1;
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    }, delayMs);
  };
}
