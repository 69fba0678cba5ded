/**
 * When a Kafka record arrived, in microseconds: its timestamp, then the offset for records of the same millisecond. It is the same at
 * every redelivery, which is what makes "newest arrival wins" safe to repeat. A producer's clock that runs ahead is cut to now,
 * else its rows would win for ever.
 */
export function arrivalOfRecordUs(timestampMs: number, offset: string, nowMs: number): number {
  const ms = Number.isSafeInteger(timestampMs) && timestampMs > 0 ? Math.min(timestampMs, nowMs) : nowMs;
  return ms * 1000 + Number(BigInt(offset) % 1000n);
}

/** Arrivals of pushed rows: the clock, made strictly increasing within this process. */
export function pushArrivals(): (nowMs: number) => number {
  let lastUs = 0;
  return (nowMs) => (lastUs = Math.max(nowMs * 1000, lastUs + 1));
}
