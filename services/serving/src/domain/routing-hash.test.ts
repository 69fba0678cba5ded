import { describe, expect, it } from 'vitest';
import { fnv1a, seedOf, shareOf } from './routing-hash.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Sum of (observed - expected)^2 / expected over equal bins. */
function chiSquare(shares: readonly number[], bins: number): number {
  const counts = new Array<number>(bins).fill(0);
  for (const share of shares) counts[Math.floor(share * bins)]!++;
  const expected = shares.length / bins;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

describe('routing hash', () => {
  it('is FNV-1a before its finalizer (vectors of the reference page of Noll)', () => {
    expect(fnv1a(bytes(''))).toBe(0x811c9dc5);
    expect(fnv1a(bytes('a'))).toBe(0xe40c292c);
    expect(fnv1a(bytes('foobar'))).toBe(0xbf9cf968);
    expect(fnv1a(bytes('xfoobarx'), 1, 7)).toBe(0xbf9cf968);
  });

  it('never changes: the same key and salt have these shares for ever', () => {
    expect(['1', '42', 'person|Bern', 'ü'].map((key) => shareOf(seedOf('m'), bytes(key)).toFixed(6))).toMatchInlineSnapshot(`
      [
        "0.681506",
        "0.685324",
        "0.529602",
        "0.590576",
      ]
    `);
  });

  it.each([
    ['numbers one after the other', (i: number) => String(i)],
    ['long keys with a common beginning', (i: number) => `customer-0000-0000-${i.toString(16).padStart(8, '0')}`],
    ['joined keys', (i: number) => `${i % 100}|${Math.floor(i / 100)}`],
  ])('spreads %s evenly (chi-square over 100 bins, p > 0.001)', (_, keyOf) => {
    const shares = Array.from({ length: 50_000 }, (_, i) => shareOf(seedOf('m'), bytes(keyOf(i))));
    // 99 degrees of freedom: the 0.999 quantile is 148.2 (scipy.stats.chi2.ppf).
    expect(chiSquare(shares, 100)).toBeLessThan(148.2);
  });

  it('makes shares of two salts independent: knowing one says nothing of the other', () => {
    const [a, b] = [seedOf('a'), seedOf('b')];
    const both = Array.from({ length: 20_000 }, (_, i) => {
      const key = bytes(String(i));
      return (Math.floor(shareOf(a, key) * 10) * 10 + Math.floor(shareOf(b, key) * 10)) / 100 + 0.005;
    });
    expect(chiSquare(both, 100)).toBeLessThan(148.2);
  });
});
