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
 * kafkajs 2.2.4 looks at a connection's waiting requests every millisecond for ever, also when none waits and no broker throttles it: a thousand timers
 * a second for each connection, in every idle service (and a warning of Node 24, because their delay is `-1 - now`). The same method that arms its timer
 * only while something waits: `push` calls it for what has to wait, and an answer looks at the queue itself. The library is frozen since 2023,
 * and the version is pinned.
 */
export function mendRequestQueue(): void {
  const queue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  queue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
    if (this.throttleCheckTimeoutId || this.pending.length === 0) return;
    const throttledForMs = this.throttledUntil - Date.now();
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null;
        this.checkPendingRequests();
      },
      throttledForMs > 0 ? throttledForMs : CHECK_PENDING_MS,
    );
  };
}
