import type { ByteReader, ByteWriter } from './bytes.js';

/** 2^12 registers: a standard error of 1.04 / sqrt(4096) = 1.6 %. Few values are counted nearly exactly. */
const INDEX_BITS = 12;
const REGISTERS = 2 ** INDEX_BITS;
/** Hash bits that are left for the run of zeros. */
const TAIL_BITS = 64 - INDEX_BITS;

/**
 * HyperLogLog (Flajolet et al. 2007) with the estimator of Ertl, arXiv:1702.01284, algorithm 6: no bias correction tables and no change
 * of method at some size. A register is a maximum, so order, grouping and repetition do not matter. Only registers that were
 * touched are kept, because most tiles see few values.
 */
export class DistinctSketch {
  #registers = new Map<number, number>();

  reset(): void {
    this.#registers.clear();
  }

  add(value: number | string | boolean): void {
    const bytes = bytesOf(value);
    const high = murmur3(bytes, 0x9747b28c);
    const low = murmur3(bytes, 0x3c6ef372);
    const tailHigh = (high << INDEX_BITS) >>> 0;
    const run = tailHigh !== 0 ? Math.clz32(tailHigh) + 1 : Math.min(TAIL_BITS, 32 - INDEX_BITS + Math.clz32(low)) + 1;
    this.#raise(high >>> (32 - INDEX_BITS), run);
  }

  /** Rounded to a whole number. */
  estimate(): number {
    if (this.#registers.size === 0) return 0;
    const counts = new Float64Array(TAIL_BITS + 2);
    counts[0] = REGISTERS - this.#registers.size;
    for (const run of this.#registers.values()) counts[run]!++;
    let z = REGISTERS * tau(1 - counts[TAIL_BITS + 1]! / REGISTERS);
    for (let run = TAIL_BITS; run >= 1; run--) z = 0.5 * (z + counts[run]!);
    z += REGISTERS * sigma(counts[0] / REGISTERS);
    return Math.round((REGISTERS * REGISTERS) / (2 * Math.LN2 * z));
  }

  write(out: ByteWriter): void {
    out.count(this.#registers.size);
    let last = 0;
    for (const index of [...this.#registers.keys()].sort((a, b) => a - b)) {
      out.count(index - last);
      out.u8(this.#registers.get(index)!);
      last = index;
    }
  }

  mergeFrom(bytes: ByteReader): void {
    let index = 0;
    for (let n = bytes.count(); n > 0; n--) {
      index += bytes.count();
      this.#raise(index, bytes.u8());
    }
  }

  #raise(index: number, run: number): void {
    if (run > (this.#registers.get(index) ?? 0)) this.#registers.set(index, run);
  }
}

function sigma(x: number): number {
  if (x === 1) return Infinity;
  let power = x;
  let y = 1;
  let z = x;
  for (let before = -1; z !== before;) {
    power *= power;
    before = z;
    z += power * y;
    y += y;
  }
  return z;
}

function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let root = x;
  let y = 1;
  let z = 1 - x;
  for (let before = -1; z !== before;) {
    root = Math.sqrt(root);
    before = z;
    y *= 0.5;
    z -= (1 - root) ** 2 * y;
  }
  return z / 3;
}

const eight = Buffer.alloc(8);

function bytesOf(value: number | string | boolean): Buffer {
  if (typeof value === 'string') return Buffer.from(value);
  eight.writeDoubleLE(Number(value));
  return eight;
}

/** MurmurHash3, x86, 32 bits (Appleby, public domain). */
export function murmur3(bytes: Buffer, seed: number): number {
  let h = seed;
  const whole = bytes.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    h ^= scramble(bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let i = bytes.length - 1; i >= whole; i--) rest = (rest << 8) | bytes[i]!;
  h ^= scramble(rest);
  h ^= bytes.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function scramble(k: number): number {
  const mixed = Math.imul(k, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}
