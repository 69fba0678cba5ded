import { DELIMITED } from './reader.js';
import type { ShortBytes } from './short-bytes.js';
import { ProtoWriter } from './writer.js';

const SLASH = 0x2f;
const ZERO = 0x30;
/** Tag, length, slash and digits. */
const NUMBERED_BYTES_MAX = 5 + 5 + 1 + 9;

/**
 * Texts of a repeated field, kept in their wire form: `{ tag length utf8 }`. A log that collects thousands of rows keeps one buffer of bytes in
 * the place of thousands of strings for the garbage collector, and its message is made by one copy.
 */
export class TextList {
  count = 0;
  readonly #writer = new ProtoWriter();

  constructor(readonly field: number) {}

  static of(field: number, texts: readonly string[]): TextList {
    const list = new TextList(field);
    for (const text of texts) list.push(text);
    return list;
  }

  push(text: string): void {
    this.#writer.tag(this.field, DELIMITED);
    this.#writer.string(text);
    this.count++;
  }

  pushText(text: ShortBytes): void {
    this.#writer.tag(this.field, DELIMITED);
    this.#writer.delimitedShort(text);
    this.count++;
  }

  /** `${prefix}/${i}` for i in [from, to), whole numbers of at most nine digits. */
  pushNumbered(prefix: ShortBytes, from: number, to: number): void {
    const writer = this.#writer;
    const { length } = prefix;
    writer.reserve((to - from) * (length + NUMBERED_BYTES_MAX));
    for (let i = from; i < to; i++) {
      const digits = i < 10 ? 1 : i < 100 ? 2 : i < 1_000 ? 3 : String(i).length;
      writer.tag(this.field, DELIMITED);
      writer.uint32(length + 1 + digits);
      writer.rawShort(prefix);
      writer.bytes[writer.pos++] = SLASH;
      for (let at = writer.pos + digits - 1, rest = i; at >= writer.pos; at--, rest = (rest / 10) | 0)
        writer.bytes[at] = ZERO + (rest % 10);
      writer.pos += digits;
    }
    this.count += to - from;
  }

  /** The same text `times` times. */
  fill(text: string, times: number): void {
    if (times === 0) return;
    const writer = this.#writer;
    const start = writer.pos;
    this.push(text);
    const size = writer.pos - start;
    writer.reserve(size * (times - 1));
    for (let i = 1; i < times; i++) writer.pos += writer.bytes.copy(writer.bytes, writer.pos, start, start + size);
    this.count += times - 1;
  }

  clear(): void {
    this.#writer.reset();
    this.count = 0;
  }

  writeTo(writer: ProtoWriter): void {
    writer.raw(this.#writer.bytes, 0, this.#writer.pos);
  }
}
