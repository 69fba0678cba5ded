import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

const NOT_IN_JSON: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, nan: NaN };

const sections = JSON.parse(readFileSync(new URL('./golden.json', import.meta.url), 'utf8'), (_, value: unknown) =>
  typeof value === 'string' && value in NOT_IN_JSON ? NOT_IN_JSON[value] : value,
) as Record<string, unknown>;

/** A section of golden.json: what make_golden.py wrote, its shape stated by the test that reads it. */
export function golden<T>(section: string): T {
  return sections[section] as T;
}

/** Absolute tolerance 1e-9 unless told. */
export function expectClose(actual: number, expected: number, tolerance = 1e-9, what = ''): void {
  const close = Object.is(actual, expected) || Math.abs(actual - expected) <= tolerance;
  expect(close, `${what}: ${actual} should be within ${tolerance} of ${expected}`).toBe(true);
}

/** Relative tolerance, for tails and for sums that grow. */
export function expectRelative(actual: number, expected: number, tolerance: number, what = ''): void {
  expectClose(actual, expected, tolerance * Math.abs(expected), what);
}

/** The long samples of make_golden.py: x_i = (i * 0.618...) mod 1. */
export function ratioSequence(n: number, offset = 0, factor = 1): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => factor * (((i + offset) * 0.618033988749895) % 1)).sort();
}
