import type { ByteReader, ByteWriter } from './bytes.js';

/**
 * A sum of float64 without rounding: a list of non-overlapping parts whose exact sum is the exact sum of everything that was added
 * (Shewchuk, Discrete & Computational Geometry 18, 1997; the same idea as Python's `math.fsum`). It is rounded once, when it is read.
 * So any order and any grouping of the same numbers gives the same bits, which is what makes tiles equal to raw rows.
 * Finite numbers of magnitude below 2^960 only: a sum of 2^53 of them does not overflow.
 */
export class ExactSum {
  #parts: number[] = [];

  reset(): void {
    this.#parts.length = 0;
  }

  add(value: number): void {
    const parts = this.#parts;
    let x = value;
    let kept = 0;
    for (let i = 0; i < parts.length; i++) {
      let y = parts[i]!;
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low !== 0) parts[kept++] = low;
      x = high;
    }
    parts.length = kept;
    if (x !== 0) parts.push(x);
  }

  /** The product of the two without rounding: Dekker, Numerische Mathematik 18, 1971. Magnitudes below 2^990, product too. */
  addProduct(a: number, b: number): void {
    const product = a * b;
    const aBig = SPLIT * a;
    const aHigh = aBig - (aBig - a);
    const aLow = a - aHigh;
    const bBig = SPLIT * b;
    const bHigh = bBig - (bBig - b);
    const bLow = b - bHigh;
    this.add(product);
    this.add(aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow));
  }

  /** The float64 that is nearest to the exact sum; ties to even. */
  rounded(): number {
    const parts = this.#parts;
    let n = parts.length;
    if (n === 0) return 0;
    let high = parts[--n]!;
    let low = 0;
    while (n > 0) {
      const x = high;
      const y = parts[--n]!;
      high = x + y;
      low = y - (high - x);
      if (low !== 0) break;
    }
    // Half-way cases are decided by the sign of what lies below.
    if (n > 0 && ((low < 0 && parts[n - 1]! < 0) || (low > 0 && parts[n - 1]! > 0))) {
      const twice = low * 2;
      const up = high + twice;
      if (twice === up - high) high = up;
    }
    return high;
  }

  /** The sum as float64 parts of falling magnitude: a function of the exact sum alone, whatever order built it. */
  canonical(): number[] {
    const rest = new ExactSum();
    rest.#parts = [...this.#parts];
    const parts: number[] = [];
    for (let next = rest.rounded(); next !== 0; next = rest.rounded()) {
      parts.push(next);
      rest.add(-next);
    }
    return parts;
  }

  write(out: ByteWriter): void {
    const parts = this.canonical();
    out.count(parts.length);
    for (const part of parts) out.f64(part);
  }

  mergeFrom(bytes: ByteReader): void {
    for (let n = bytes.count(); n > 0; n--) this.add(bytes.f64());
  }
}

/** 2^27 + 1: splits a float64 into two halves of 26 bits. */
const SPLIT = 134_217_729;
