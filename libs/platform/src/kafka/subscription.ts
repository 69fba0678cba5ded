import type { ErrorCode } from '@headrace/base/errors';
import type { EventType } from '@headrace/events/catalog';
import type { Envelope, WireHeaders } from '@headrace/events/envelope';

/** An event as a handler gets it. */
export type Received<T> = Envelope<T> & ReceivedRecord;

/** Where it lay and what its bytes were. */
export interface ReceivedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly key: string;
  readonly rawValue: Uint8Array;
  readonly rawHeaders: WireHeaders;
  /** When the producer or the broker stamped it. */
  readonly timestampMs: number;
}

/** A bad part of an event that was good otherwise: goes to the dead-letter topic by itself, so that it can be mended and replayed. */
export interface Quarantined {
  readonly code: ErrorCode;
  readonly reason: string;
  readonly value: Uint8Array;
  readonly contentType: string;
}

/** What became of one event. */
export type Verdict = (
  | { readonly kind: 'done' }
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'dead'; readonly code: ErrorCode; readonly reason: string }
  | { readonly kind: 'retry'; readonly reason: string }
) & { readonly quarantine?: readonly Quarantined[] };

export interface BatchContext {
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
  /** 1 for the first try of this batch. */
  readonly attempt: number;
  /** Aborts when the process cannot wait any longer for this handler. */
  readonly signal: AbortSignal;
}

export interface RetryPolicy {
  /** Tries of a batch, and then again of each of its events alone, the first included. */
  readonly tries: number;
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
}

export interface SubscribeOptions<T> {
  readonly group: string;
  /** Where a new group begins; default earliest. */
  readonly from?: 'earliest' | 'latest';
  /** Most events in one call of the handler; default 500. */
  readonly batchMax?: number;
  /** Partitions handled at once by this process; default 4. */
  readonly concurrency?: number;
  readonly sessionTimeoutMs?: number;
  readonly retry?: Partial<RetryPolicy>;
  /**
   * Gets events of one partition in order, must be idempotent. Nothing returned = all done; else one verdict an event. A throw
   * tries the batch again, then its events one by one, and the one that keeps failing goes to the dead-letter topic.
   * AppErrors of kind UNAVAILABLE and the code OVERLOADED are nobody's fault: the batch waits until the dependency is back.
   */
  readonly handle: (batch: readonly Received<T>[], context: BatchContext) => Promise<readonly Verdict[] | void>;
}

export interface Subscription<T = unknown> {
  readonly type: EventType<T>;
  readonly group: string;
  readonly from: 'earliest' | 'latest';
  readonly batchMax: number;
  readonly concurrency: number;
  readonly sessionTimeoutMs: number;
  readonly retry: RetryPolicy;
  readonly handle: SubscribeOptions<T>['handle'];
}

/** The blocked time of a partition by one poison event stays under half a second: 2 x (50 + 100) ms and the handler's own time. */
const DEFAULT_RETRY: RetryPolicy = { tries: 3, initialDelayMs: 50, maxDelayMs: 5_000 };

export function subscribe<T>(type: EventType<T>, options: SubscribeOptions<T>): Subscription {
  const subscription: Subscription<T> = {
    type,
    group: options.group,
    from: options.from ?? 'earliest',
    batchMax: options.batchMax ?? 500,
    concurrency: options.concurrency ?? 4,
    sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
    retry: { ...DEFAULT_RETRY, ...options.retry },
    handle: options.handle,
  };
  // The runner decodes with the very type that the handler was written for, so the event's type need not be known further on.
  return subscription as unknown as Subscription;
}
