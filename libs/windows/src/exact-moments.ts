import type { ByteReader, ByteWriter } from './bytes.js';
import { ExactSum } from './exact-sum.js';

/** Beyond it a square, or the sum of many, may leave the range of float64. */
const SQUARE_MAGNITUDE_MAX = 2 ** 450;
const SUM_MAGNITUDE_MAX = 2 ** 900;

export interface ExactMomentsJson {
  readonly count: number;
  /** Values too large for a sum, and for a sum of squares. */
  readonly beyond: readonly [number, number];
  readonly sum: readonly number[];
  readonly squares: readonly number[];
}

/**
 * Sum, mean and population standard deviation from exact sums of the values and of their squares: the same bits in any order and grouping.
 * A value of 2^900 and more makes them unknown (null) wherever it is counted, one of 2^450 and more the deviation.
 */
export class ExactMoments {
  #count = 0;
  #beyondSum = 0;
  #beyondSquare = 0;
  readonly #sum = new ExactSum();
  readonly #squares = new ExactSum();

  get count(): number {
    return this.#count;
  }

  reset(): void {
    this.#count = this.#beyondSum = this.#beyondSquare = 0;
    this.#sum.reset();
    this.#squares.reset();
  }

  add(value: number): void {
    this.#count++;
    const magnitude = Math.abs(value);
    if (magnitude >= SQUARE_MAGNITUDE_MAX) this.#beyondSquare++;
    else this.#squares.addProduct(value, value);
    if (magnitude >= SUM_MAGNITUDE_MAX) this.#beyondSum++;
    else this.#sum.add(value);
  }

  sum(): number | null {
    return this.#isKnown() ? this.#sum.rounded() : null;
  }

  mean(): number | null {
    return this.#isKnown() ? this.#sum.rounded() / this.#count : null;
  }

  /** sqrt(n Q - S^2) / n, with the difference in exact arithmetic on sums of 106 bits: no cancellation. */
  deviation(): number | null {
    if (!this.#isKnown() || this.#beyondSquare > 0) return null;
    const [sumHigh = 0, sumLow = 0] = this.#sum.canonical();
    const [squaresHigh = 0, squaresLow = 0] = this.#squares.canonical();
    const difference = new ExactSum();
    difference.addProduct(this.#count, squaresHigh);
    difference.addProduct(this.#count, squaresLow);
    difference.addProduct(-sumHigh, sumHigh);
    difference.addProduct(-2 * sumHigh, sumLow);
    difference.addProduct(-sumLow, sumLow);
    return Math.sqrt(Math.max(0, difference.rounded())) / this.#count;
  }

  mergeFrom(bytes: ByteReader): void {
    this.#count += bytes.count();
    this.#beyondSum += bytes.count();
    this.#beyondSquare += bytes.count();
    this.#sum.mergeFrom(bytes);
    this.#squares.mergeFrom(bytes);
  }

  write(out: ByteWriter): void {
    out.count(this.#count);
    out.count(this.#beyondSum);
    out.count(this.#beyondSquare);
    this.#sum.write(out);
    this.#squares.write(out);
  }

  merge({ count, beyond, sum, squares }: ExactMomentsJson): void {
    this.#count += count;
    this.#beyondSum += beyond[0];
    this.#beyondSquare += beyond[1];
    for (const part of sum) this.#sum.add(part);
    for (const part of squares) this.#squares.add(part);
  }

  toJSON(): ExactMomentsJson {
    return {
      count: this.#count,
      beyond: [this.#beyondSum, this.#beyondSquare],
      sum: this.#sum.canonical(),
      squares: this.#squares.canonical(),
    };
  }

  #isKnown(): boolean {
    return this.#count > 0 && this.#beyondSum === 0;
  }
}
