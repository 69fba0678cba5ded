import { ShortBytes } from '@headrace/codec/short-bytes';

const ID_BYTES = 36;
/** Before the last three digits. */
const HEAD_BYTES = 33;

/**
 * Ids for predictions whose caller gave none: UUID version 7 (RFC 9562, section 5.7) without a call for randomness per id.
 * The milliseconds lead, so ids sort as they were made; then a counter of the process and 40 random bits of the process keep
 * them apart: 2^36 ids before the counter wraps, and the milliseconds have long moved by then.
 */
export class PredictionIds {
  #lastMs = -1;
  #counter = 0;
  /** Made anew with the millisecond, and with every 4096th id. */
  readonly #head = new ShortBytes();
  readonly #text = new ShortBytes();
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
    this.nextInto(nowMs, this.#text);
    return this.#text.toString();
  }

  /** The next id, written in place: on the request path no string is made for it. */
  nextInto(nowMs: number, target: ShortBytes): void {
    const count = this.#counter++;
    if (nowMs > this.#lastMs || (count & 0xfff) === 0) {
      this.#lastMs = Math.max(nowMs, this.#lastMs);
      this.#writeHead(count);
    }
    target.reserve(ID_BYTES);
    const { bytes, words } = target;
    const head = this.#head.words;
    for (let i = 0; i < ID_BYTES / 4; i++) words[i] = head[i]!;
    bytes[HEAD_BYTES] = HEX[(count >>> 8) & 0xf]!;
    bytes[HEAD_BYTES + 1] = HEX[(count >>> 4) & 0xf]!;
    bytes[HEAD_BYTES + 2] = HEX[count & 0xf]!;
    target.length = ID_BYTES;
  }

  #writeHead(count: number): void {
    const time = hexOf(this.#lastMs, 12);
    const [high, low] = [hexOf((count / 0x1000000) & 0xfff, 3), hexOf((count >>> 12) & 0xfff, 3)];
    this.#head.setText(`${time.slice(0, 8)}-${time.slice(8)}-7${high}-${this.#middle}-${this.#tail}${low}`);
  }
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

const HEX = Buffer.from('0123456789abcdef', 'latin1');
