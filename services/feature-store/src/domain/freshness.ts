/**
 * The one rule for time to live: a value is too old when its age is greater than `ttlMs`; 0 = never. Online the age counts to now,
 * in the point-in-time join to the time of the label row.
 */
export function isExpired(eventTimeMs: number, atMs: number, ttlMs: number): boolean {
  return ttlMs > 0 && atMs - eventTimeMs > ttlMs;
}
