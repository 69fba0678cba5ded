import type { EventRow, WindowValue } from '../src/measure.js';
import { hopOf, type WindowFeature, type WindowPlan } from '../src/window-plan.js';

/** The slow and obvious way: every raw row, every window by itself, sums as exact fractions of whole numbers. */
export function slowWindows(plan: WindowPlan, rows: readonly EventRow[], atMs: number): WindowValue[] {
  const longest = Math.max(...plan.features.map((f) => f.windowMs));
  if (inWindow(rows, longest, atMs).length === 0) return plan.features.map(() => null);
  return plan.features.map((feature) => slowValue(feature, plan, inWindow(rows, feature.windowMs, atMs)));
}

function inWindow(rows: readonly EventRow[], windowMs: number, atMs: number): EventRow[] {
  const hop = hopOf(windowMs);
  const from = atMs - windowMs - ((((atMs - windowMs) % hop) + hop) % hop);
  return rows.filter((row) => row.timeMs >= from && row.timeMs <= atMs).sort((a, b) => b.timeMs - a.timeMs || b.tie - a.tie);
}

function slowValue(feature: WindowFeature, plan: WindowPlan, rows: readonly EventRow[]): WindowValue {
  if (feature.column === undefined) return rows.length;
  const column = plan.columns.indexOf(feature.column);
  const values = rows.map((row) => row.values[column]!).filter((value) => value !== null);
  const numbers = values.map(Number);
  switch (feature.function) {
    case 'count':
      return values.length;
    case 'sum':
      return numbers.length === 0 ? null : toNumber(exactSum(numbers));
    case 'mean':
      return numbers.length === 0 ? null : toNumber(exactSum(numbers)) / numbers.length;
    case 'std': {
      if (numbers.length === 0) return null;
      const n = BigInt(numbers.length);
      const sum = exactSum(numbers);
      const squares = numbers.reduce((total, x) => total + scaled(x) ** 2n, 0n);
      // In units of 2^-2148; the square root of a ratio of huge whole numbers, by way of 40 decimal digits.
      const variance = n * squares - sum * sum;
      return Number(squareRoot(variance * 10n ** 40n)) / 1e20 / 2 ** 1000 / 2 ** 74 / numbers.length;
    }
    case 'min':
      return numbers.length === 0 ? null : Math.min(...numbers);
    case 'max':
      return numbers.length === 0 ? null : Math.max(...numbers);
    case 'last':
      return values[0] ?? null;
    case 'last_k':
      return numbers.length < feature.k! ? null : numbers.slice(0, feature.k).map(Math.fround);
    case 'approx_distinct':
      return new Set(values).size;
    case 'percentile':
      return numbers.length === 0 ? null : numbers.sort((a, b) => a - b)[Math.floor((feature.percentile! / 100) * (numbers.length - 1))]!;
  }
}

/** In units of 2^-1074: every float64 is a whole number of them. */
function scaled(value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const exponent = (raw >> 52n) & 2047n;
  const fraction = raw & ((1n << 52n) - 1n);
  const magnitude = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return raw >> 63n === 1n ? -magnitude : magnitude;
}

export function exactSum(values: readonly number[]): bigint {
  return values.reduce((sum, value) => sum + scaled(value), 0n);
}

/** Nearest float64, ties to even. */
export function toNumber(units: bigint): number {
  const magnitude = units < 0n ? -units : units;
  const extra = BigInt(Math.max(0, magnitude.toString(2).length - 53));
  let kept = magnitude >> extra;
  const rest = magnitude - (kept << extra);
  const half = extra === 0n ? 1n : 1n << (extra - 1n);
  if (extra > 0n && (rest > half || (rest === half && kept % 2n === 1n))) kept++;
  const exponent = Number(extra) - 1074;
  const value = Number(kept) * 2 ** Math.max(exponent, -1000) * 2 ** Math.min(0, exponent + 1000);
  return units < 0n ? -value : value;
}

function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let x = 1n << BigInt(Math.ceil(value.toString(2).length / 2));
  for (;;) {
    const next = (x + value / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}
