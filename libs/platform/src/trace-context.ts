import { randomFillSync } from 'node:crypto';

/** W3C Trace Context, version 00: `00-<32 hex trace id>-<16 hex span id>-<2 hex flags>`. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

export interface SpanIdentity {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

/** undefined for anything that the specification tells receivers to ignore. */
export function parseTraceparent(value: string | undefined): SpanIdentity | undefined {
  const match = value === undefined ? null : TRACEPARENT.exec(value);
  if (!match) return undefined;
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string];
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent(span: SpanIdentity): string {
  return `00-${span.traceId}-${span.spanId}-${span.sampled ? '01' : '00'}`;
}

/** A context for a chain that begins here, so that logs and events of it can be joined even when no trace is exported. */
export function newTraceparent(sampled = false): string {
  if (poolAt === POOL.length) {
    randomFillSync(POOL);
    poolAt = 0;
  }
  const hex = POOL.toString('hex', poolAt, (poolAt += IDS_BYTES));
  return formatTraceparent({ traceId: hex.slice(0, 32), spanId: hex.slice(32), sampled });
}

/** 16 bytes of trace id and 8 of span id. */
const IDS_BYTES = 24;
/** One call into OpenSSL for many ids: it costs ten times what the rest does. */
const POOL = Buffer.alloc(IDS_BYTES * 128);
let poolAt = POOL.length;
