/**
 * Ids for predictions whose caller gave none: UUID version 7 (RFC 9562, section 5.7) without a call for randomness per id.
 * The milliseconds lead, so ids sort as they were made; then a counter of the process and 40 random bits of the process keep
 * them apart: 2^36 ids before the counter wraps, and the milliseconds have long moved by then.
 */
export class PredictionIds {
  #lastMs = -1;
  #counter = 0;
  /** All but the last three digits; made anew with the millisecond, and with every 4096th id. */
  #head = '';
  readonly #middle: string;
  readonly #tail: string;

  /** @param random 5 random bytes. */
  constructor(random: Uint8Array) {
    const hex = Buffer.from(random).toString('hex').padEnd(10, '0');
    // The variant bits 10 open the fourth group.
    this.#middle = ((parseInt(hex.slice(0, 1), 16) & 0x3) | 0x8).toString(16) + hex.slice(1, 4);
    this.#tail = hex.slice(4, 10);
  }

  next(nowMs: number): string {
    const count = this.#counter++;
    if (nowMs > this.#lastMs || (count & 0xfff) === 0) {
      this.#lastMs = Math.max(nowMs, this.#lastMs);
      this.#head = this.#headOf(count);
    }
    return this.#head + HEX3[count & 0xfff]!;
  }

  #headOf(count: number): string {
    const time = this.#lastMs.toString(16).padStart(12, '0');
    const head = `${time.slice(0, 8)}-${time.slice(8)}-7${HEX3[(count / 0x1000000) & 0xfff]}-${this.#middle}-${this.#tail}${HEX3[(count >>> 12) & 0xfff]}`;
    // Out of one piece: what is put together is copied piece by piece when its characters are read, for each id again.
    return Buffer.from(head, 'latin1').toString('latin1');
  }
}

const HEX3 = Array.from({ length: 4096 }, (_, i) => i.toString(16).padStart(3, '0'));
